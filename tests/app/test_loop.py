"""The loop of the dashboard's own thread: what has waited need not let go of the interpreter first."""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from greenscope.app import breath, loop, watchdog
from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed
from greenscope.app.findings.ledger import Ledger
from greenscope.app.selection import Steps
from greenscope.app.ticker import Ticker


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


class CountingSelector(selectors.SelectSelector):
    """Counts the turns of its loop, and lets the time pass for which that would wait."""

    turns = 0
    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.turns += 1
        self.now += timeout or 0.0
        return super().select(0)


def turns_until(work: Callable[[], Coroutine[Any, Any, None]], is_done: Callable[[], bool]) -> int:
    """Return how many turns a loop makes for something that goes on for ever, until it is done."""
    selector = CountingSelector()

    async def main() -> None:
        task = asyncio.create_task(work())
        while not is_done():
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait({task})

    made = asyncio.SelectorEventLoop(selector)
    made.time = lambda: selector.now  # type: ignore[method-assign]
    made.run_until_complete(asyncio.wait_for(main(), 10))
    made.close()
    return selector.turns


def test_tick_with_nothing_to_do_takes_two_turns_of_the_loop() -> None:
    class Idler(Ticker):
        ticks = 0

        def _work_steps(self) -> Steps:
            self.ticks += 1
            yield

        def _on_fault(self, error: Exception) -> None:
            raise error

    ticker = Idler(0.001, time.monotonic)
    turns = turns_until(ticker.run, lambda: ticker.ticks >= 200)
    assert turns < 3 * ticker.ticks


def test_look_of_the_watchdog_takes_one_turn_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PERIOD", 0.001)
    dog = watchdog.Watchdog(Feed(FakeProbe()), Ledger())
    dog.period = 0.001
    turns = turns_until(dog.run, lambda: dog.looks >= 200)
    assert turns < 1.5 * dog.looks
