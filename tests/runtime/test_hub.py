"""The event loop: turns, callbacks, timers, running dry."""

import threading
import time
from typing import Any

import pytest

from greenscope.runtime import GreenletExit, Timeout, getcurrent, joinall, sleep, spawn, spawn_later, testing, wait
from greenscope.runtime.exceptions import BlockingSwitchOutError, LoopExit
from greenscope.runtime.hub import Hub

# -- callbacks and turns


def test_callbacks_run_in_order_in_the_hub(hub: Hub) -> None:
    seen: list[Any] = []
    for n in range(3):
        hub.run_callback(lambda n=n: seen.append((n, getcurrent())))
    sleep(0)
    assert seen == [(0, hub), (1, hub), (2, hub)]


def test_callback_that_was_stopped_is_not_called(hub: Hub) -> None:
    seen: list[int] = []
    callback = hub.loop.run_callback(seen.append, 1)
    assert callback.pending
    callback.stop()
    assert not callback.pending
    sleep(0)
    assert seen == []


def test_callback_that_raises_is_reported_and_stops_no_other(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[int] = []
    hub.run_callback(int, "x")
    hub.run_callback(seen.append, 1)
    sleep(0)
    assert seen == [1]
    assert capsys.readouterr().err.count("ValueError: invalid literal") == 1


def test_callback_may_not_block(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    errors: list[BaseException] = []

    def block() -> None:
        for blocking in (lambda: sleep(0), lambda: sleep(1), task.join):
            try:
                blocking()
            except BlockingSwitchOutError as error:
                errors.append(error)

    task = spawn(sleep, 0)
    hub.run_callback(block)
    task.join()
    sleep(0)
    assert len(errors) == 3


def test_callbacks_from_another_thread_wake_a_sleeping_hub(hub: Hub) -> None:
    began = time.monotonic()
    task = spawn(sleep, 30)

    def elsewhere() -> None:
        while not hub.sleeping:
            time.sleep(0.001)
        hub.run_callback(task.kill, GreenletExit, False)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    task.join()
    thread.join()
    assert time.monotonic() - began < 10


def test_callbacks_from_many_threads_all_arrive(hub: Hub) -> None:
    seen: list[int] = []
    hub.hold()

    def elsewhere() -> None:
        for n in range(500):
            hub.run_callback(seen.append, n)

    threads = [threading.Thread(target=elsewhere) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(seen) < 2000:
        sleep(0.001)
    for thread in threads:
        thread.join()
    hub.release()
    assert len(seen) == 2000


def test_link_to_the_dead_from_another_thread_is_called(hub: Hub) -> None:
    task = spawn(lambda: 7)
    task.join()
    seen: list[Any] = []
    hub.hold()
    thread = threading.Thread(target=lambda: task.rawlink(lambda source: seen.append((source.value, getcurrent()))))
    thread.start()
    while not seen:
        sleep(0.001)
    thread.join()
    hub.release()
    assert seen == [(7, hub)]


def test_two_that_spin_starve_neither_timers_nor_callbacks(hub: Hub) -> None:
    fired: list[str] = []

    def spin() -> None:
        while len(fired) < 2:
            sleep(0)

    with Timeout(10):
        tasks = [spawn(spin), spawn(spin)]
        spawn_later(0.001, fired.append, "timer")
        hub.run_callback(fired.append, "callback")
        joinall(tasks)
    assert sorted(fired) == ["callback", "timer"]


def test_timer_that_sets_itself_again_starves_nobody(hub: Hub) -> None:
    fired: list[int] = []

    def again() -> None:
        fired.append(1)
        if not done.dead:
            hub.call_later(0, again)

    with testing.virtual_clock():
        done = spawn(lambda: [sleep(0) for _ in range(5)])
        again()
        done.join()
        assert wait()
    assert len(fired) >= 3


@pytest.mark.parametrize("seconds", [float("inf"), 1e12])
def test_sleep_may_be_longer_than_the_kernel_takes(hub: Hub, seconds: float) -> None:
    task = spawn(sleep, seconds)
    sleep(0.002)
    assert not task.dead
    task.kill()


def test_timer_at_no_number_is_refused(hub: Hub) -> None:
    with pytest.raises(ValueError, match="nan"):
        sleep(float("nan"))
    with pytest.raises(ValueError, match="nan"):
        Timeout(float("nan")).start()


def test_loop_timer_repeats_until_it_is_stopped(hub: Hub) -> None:
    times: list[float] = []
    with testing.virtual_clock(0.0):
        timer = hub.loop.timer(1.0, 2.0)

        def tick() -> None:
            times.append(hub.clock())
            if len(times) == 3:
                timer.stop()
                assert not timer.pending
                raise ValueError("told once")

        hub.exception_stream = None
        try:
            timer.start(tick)
            assert wait()
            timer.again(times.append, -1.0)
            sleep(2.0)
            timer.close()
        finally:
            del hub._exception_stream
    assert times == [1.0, 3.0, 5.0, -1.0]
    with pytest.raises(ValueError, match="repeat"):
        hub.loop.timer(1.0, -1.0)


# -- running dry


def test_wait_that_could_never_end_raises_loop_exit(hub: Hub) -> None:
    task = spawn(lambda: hub.switch())
    with pytest.raises(LoopExit) as caught:
        task.join()
    assert caught.value.hub is hub
    assert "would block forever" in str(caught.value)
    assert task.has_links() == 0
    task.kill()


def test_hub_goes_on_after_loop_exit(hub: Hub) -> None:
    for _ in range(3):
        with pytest.raises(LoopExit):
            hub.switch()
    assert spawn(lambda: 5).get() == 5


def test_join_waits_for_the_loop_to_run_dry(hub: Hub) -> None:
    done: list[int] = []
    with testing.virtual_clock():
        spawn_later(10, done.append, 1)
        assert hub.join() is True
    assert done == [1]


def test_join_gives_up_after_its_timeout(hub: Hub) -> None:
    with testing.virtual_clock() as clock:
        at = clock()
        task = spawn(sleep, 100)
        assert hub.join(timeout=3) is False
        assert clock() - at == pytest.approx(3)
        task.kill()


def test_join_does_not_wait_for_sleeps_without_ref(hub: Hub) -> None:
    task = spawn(sleep, 1000, ref=False)
    assert hub.join() is True
    assert not task.dead
    task.kill()


def test_sleep_without_ref_ends_in_time_all_the_same(hub: Hub) -> None:
    with testing.virtual_clock():
        task = spawn(sleep, 5, ref=False)
        sleep(6)
        assert task.dead


def test_join_is_for_the_main_greenlet(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    task = spawn(hub.join)
    task.join()
    assert isinstance(task.exception, AssertionError)


def test_join_that_is_interrupted_leaves_nothing_behind(hub: Hub) -> None:
    with testing.virtual_clock():
        task = spawn(sleep, 100)
        with pytest.raises(Timeout), Timeout(1):
            hub.join(timeout=50)
        assert hub._joiner is None
        task.kill()
