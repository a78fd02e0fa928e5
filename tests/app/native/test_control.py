"""The native probe: what is asked of the program is answered by what was seen."""

import time

from greenscope.app.backends.native import NativeProbe
from greenscope.runtime import GreenletExit, getcurrent, sleep, spawn
from greenscope.runtime.event import Event as Flag
from greenscope.runtime.thread import RuntimeThread
from tests.app.native.probing import answer, drain_until, id_of


def test_kill_answers_what_was_seen(thread: RuntimeThread, probe: NativeProbe) -> None:
    def stubborn() -> None:
        while True:
            try:
                sleep(60)
            except GreenletExit:
                pass

    mortal, immortal = thread.call(spawn, sleep, 60), thread.call(spawn, stubborn)
    thread.call(sleep, 0)
    first = answer(probe, probe.kill(id_of(probe, mortal), 1.0))
    assert (first.outcome, first.state) == ("done", "killed")
    second = answer(probe, probe.kill(id_of(probe, immortal), 0.05))
    assert second.outcome == "alive"
    assert second.place is not None
    assert second.place.function.endswith("stubborn")
    assert answer(probe, probe.kill(10**9, 1.0)).outcome == "unknown"
    thread.call(immortal.kill, ValueError)


def test_kill_of_the_main_greenlet_is_refused(thread: RuntimeThread, probe: NativeProbe) -> None:
    main = next(id for id in probe.live_ids() if probe.alive[id].parent is None)
    assert answer(probe, probe.kill(main, 1.0)).outcome == "refused"


def test_control_of_a_busy_hub_is_queued_and_then_carried_out(thread: RuntimeThread, probe: NativeProbe) -> None:
    victim = thread.call(spawn, sleep, 60)
    thread.call(sleep, 0)
    busy = [True]

    def block() -> None:
        while busy[0]:
            time.sleep(0.001)

    thread.submit(block)
    time.sleep(0.02)
    assert answer(probe, probe.kill(id_of(probe, victim), 0.05)).outcome == "queued"
    hub = next(h for h in probe.hubs() if h.thread == "watched")
    assert hub.lag > 0.02
    busy[0] = False
    drain_until(probe, lambda seen: any(e.kind == "killed" and e.greenlet == victim._greenscope_id for e in seen))


def test_spawn_runs_a_function_in_the_hub(thread: RuntimeThread, probe: NativeProbe) -> None:
    got: list[object] = []

    flag = Flag()

    def work(number: int) -> None:
        got.append((number, getcurrent()))
        flag.wait()

    result = answer(probe, probe.spawn(work, {"number": 3}, None, None, 1.0))
    assert result.outcome == "done"
    thread.call(flag.set)
    drain_until(probe, lambda seen: any(e.kind == "succeeded" and e.greenlet == result.ids[0] for e in seen))
    assert got[0][0] == 3  # type: ignore[index]
