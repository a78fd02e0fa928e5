"""Native threads beside a hub that turns too fast for them: given breath when the watchdog has not looked."""

import pytest

pytest.importorskip("gevent")

from tests.app.gevent_runs import run


def test_hub_lets_go_of_the_interpreter_only_while_the_watchdog_is_late() -> None:
    found = run(
        """
        from greenscope.app.backends import gevent_breather as module
        probe = GeventProbe(); probe.attach(); probe.drain()
        lane = probe._registry.lanes[gevent.get_hub().thread_ident]
        now, looked, slept = [100.0], [100.0], []
        module.monotonic = lambda: now[0]; module.native_sleep = slept.append
        breather = module.Breather(lambda: looked[0], probe._control.post); told = []
        def breathe(at, seen):
            now[0], looked[0] = at, seen
            before = len(slept); breather.breathe(lane); told.append(len(slept) - before)
        breathe(100.1, 100.0); breathe(100.2, 100.0); breathe(101.1, 101.1); breathe(101.3, 101.3)
        answer(told=told, slept=slept)
        """
    )
    assert found["told"] == [0, 1, 1, 0]  # in time; late; for a second more; in time again
    assert max(found["slept"]) < 0.005


def test_timer_is_in_the_main_loop_keeps_it_not_alive_and_goes_with_the_probe() -> None:
    found = run(
        """
        import threading
        probe = GeventProbe(); probe.attach(); probe.drain()
        hub = gevent.get_hub(); lane = probe._registry.lanes[hub.thread_ident]
        there = lane.breath.loop is hub.loop and lane.breath.active
        begun = time.monotonic(); ended = hub.join(); took = time.monotonic() - begun
        seen = []
        def other():
            gevent.sleep(0.05); gevent.spawn(int).join()
            seen.append(probe._registry.lanes[gevent.get_hub().thread_ident].breath is not None)
        thread = threading.Thread(target=other); thread.start(); thread.join()
        timer = lane.breath; probe.close()
        answer(there=there, ended=ended, took=took, seen=seen, left=lane.breath is None and not timer.active,
            faults=probe.faults)
        """
    )
    assert found["there"]
    assert found["ended"]
    assert found["took"] < 1
    assert found["seen"] == [False]  # a loop that is destroyed with a timer in it would stay
    assert found["left"]
    assert found["faults"] == []
