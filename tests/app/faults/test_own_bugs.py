"""Faults of the observer: a bug of ours is told, and the program goes on as if nobody watched."""

from typing import Any

import pytest

from greenscope.app.backends.native import NativeProbe
from greenscope.runtime import sleep, spawn
from greenscope.runtime.instruments import hooks
from greenscope.runtime.pool import Group
from greenscope.runtime.thread import RuntimeThread
from tests.app.faults.asking import ask, ask_json, drain_until, id_of, watching
from tests.patience import wait_for


@pytest.mark.parametrize("broken", ["spawned", "grouped", "end"])
def test_bug_in_a_hook_removes_it_and_is_told(
    thread: RuntimeThread, broken: str, capfd: pytest.CaptureFixture[str]
) -> None:
    probe = NativeProbe()

    def bug(*_: Any) -> None:
        raise AssertionError("a bug of the observer")

    if broken == "end":
        probe.hooks = probe.hooks._replace(on_lived=bug)
    else:
        setattr(probe, broken, bug)
    with watching(probe) as monitor:

        def work() -> list[int]:
            group = Group()
            members = [spawn(abs, -number) for number in range(3)]
            for member in members:
                group.add(member)
            return [member.get() for member in members]

        assert thread.call(work) == [0, 1, 2]
        assert thread.call(work) == [0, 1, 2]
        wait_for(lambda: ask_json(monitor, "/api/health")["fault"])
        name = {"end": "the link on every end"}.get(broken, f"the hook {broken}")
        assert ask_json(monitor, "/api/health")["fault"] == f"{name} raised and was removed"
        assert f"{name} raised and was removed" in ask(monitor, "/")[1].decode()
        assert bug not in getattr(hooks, broken, ())
    assert capfd.readouterr().err.count("AssertionError: a bug") == 1


def test_bug_in_the_drain_loses_one_note_and_is_told(thread: RuntimeThread, probe: NativeProbe) -> None:
    probe.buffer.append(("failed", 0.0, 1, None, None, ("spawned", 0.0, 1, None, None, None, "no origin")))
    greenlet = thread.call(spawn, sleep, 0)
    drain_until(probe, lambda seen: any(e.greenlet == id_of(greenlet) for e in seen))
    assert [fault.partition(":")[0] for fault in probe.faults] == ["spawned"]
