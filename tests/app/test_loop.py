"""The loop of the dashboard's own thread: what has waited need not let go of the interpreter first."""

import selectors
from typing import Any

import pytest

from greenscope.app import breath, loop


@pytest.mark.parametrize(("waited", "breaths"), [(breath.PAUSE / 2, 1), (2 * breath.PAUSE, 0)])
def test_loop_takes_a_wait_for_a_rest_but_not_a_short_look(
    monkeypatch: pytest.MonkeyPatch, waited: float, breaths: int
) -> None:
    now, taken = [100.0], []

    class Waiter(selectors.SelectSelector):
        def select(self, timeout: float | None = None) -> list[Any]:
            now[0] += waited
            return []

    async def work() -> None:
        breath.breathe()

    for module in (breath, loop):
        monkeypatch.setattr(module, "perf_counter", lambda: now[0])
    monkeypatch.setattr(breath, "_since", 0.0)
    monkeypatch.setattr(breath, "native_sleep", taken.append)
    monkeypatch.setattr(selectors, "DefaultSelector", Waiter)
    made = loop.new_loop()
    made.run_until_complete(work())
    made.close()
    assert len(taken) == breaths
