"""Timeout: an exception that throws itself."""

import gc
import weakref
from typing import Any

import pytest

from greenscope.runtime import (
    Timeout,
    get_hub,
    getcurrent,
    joinall,
    sleep,
    socket,
    spawn,
    spawn_later,
    testing,
    with_timeout,
)
from greenscope.runtime.carriers import FREE_LIMIT
from greenscope.runtime.event import AsyncResult, Event
from greenscope.runtime.lock import Semaphore
from greenscope.runtime.queue import Queue
from greenscope.runtime.timeout import limit
from greenscope.runtime.turns import HELD_MOST
from greenscope.runtime.waiting import park_until


@pytest.fixture(autouse=True)
def clock() -> Any:
    """Every test here is on a virtual clock, and leaves no timer behind."""
    with testing.virtual_clock() as clock:
        yield clock
        assert len(get_hub().timers) == 0


class Custom(Exception):
    """What some time-outs raise instead of themselves."""


def test_timeout_raises_itself_when_the_time_is_over(clock: Any) -> None:
    at = clock()
    timeout = Timeout(5)
    with pytest.raises(Timeout) as caught, timeout:
        sleep(10)
    assert caught.value is timeout
    assert clock() - at == pytest.approx(5)
    assert not timeout.pending


@pytest.mark.parametrize("exception", [Custom, Custom("instance")])
def test_timeout_raises_what_it_was_given(exception: Any) -> None:
    with pytest.raises(Custom), Timeout(1, exception):
        sleep(2)


def test_timeout_that_is_false_ends_the_block_silently(clock: Any) -> None:
    reached = []
    with Timeout(1, False) as timeout:
        sleep(2)
        reached.append(1)
    assert reached == []
    assert str(timeout) == "1 second (silent)"


def test_false_timeout_does_not_swallow_another() -> None:
    with pytest.raises(Timeout) as caught, Timeout(1) as outer, Timeout(2, False):
        sleep(3)
    assert caught.value is outer


def test_nested_timeouts_raise_the_earlier_one_and_then_the_later() -> None:
    outer = Timeout.start_new(3)
    with pytest.raises(Timeout) as caught, Timeout(1) as inner:
        sleep(10)
    assert caught.value is inner
    with pytest.raises(Timeout) as caught:
        sleep(10)
    assert caught.value is outer


def test_timeout_that_is_cancelled_never_fires_and_can_start_again() -> None:
    timeout = Timeout.start_new(1)
    assert timeout.pending
    timeout.cancel()
    timeout.close()
    assert not timeout.pending
    sleep(2)
    timeout.start()
    with pytest.raises(Timeout):
        sleep(2)


def test_timeout_started_twice_is_refused() -> None:
    timeout = Timeout.start_new(5)
    with pytest.raises(AssertionError, match="already started"):
        timeout.start()
    assert Timeout.start_new(timeout) is timeout
    timeout.cancel()


def test_timeout_without_seconds_never_expires() -> None:
    with Timeout(None) as timeout:
        assert not timeout.pending
        sleep(1000)
    assert str(timeout) == ""


def test_timeout_without_ref_does_not_keep_the_loop_alive() -> None:
    timeout = Timeout.start_new(1000, ref=False)
    assert get_hub().join() is True
    assert timeout.pending
    timeout.cancel()


def test_timeout_interrupts_the_greenlet_that_started_it_alone() -> None:
    def body() -> str:
        try:
            with Timeout(1):
                sleep(10)
        except Timeout:
            return "interrupted"
        return "slept"

    other = spawn(lambda: (sleep(2), "slept")[1])
    assert spawn(body).get() == "interrupted"
    assert other.get() == "slept"


def test_timeout_beats_a_result_that_comes_in_the_same_turn() -> None:
    def body() -> str:
        try:
            with Timeout(1):
                park_until("result", 1)  # set later, so due second in the same turn
        except Timeout:
            return "timed out"
        return "result"

    assert spawn(body).get() == "timed out"


def test_timeout_left_by_a_dead_greenlet_is_nobodys(clock: Any) -> None:
    spawn(lambda: Timeout.start_new(1)).join()
    assert spawn(lambda: (sleep(5), "lived")[1]).get() == "lived"


def test_timeout_of_main_is_raised_in_main() -> None:
    task = spawn(sleep, 10)
    with pytest.raises(Timeout), Timeout(1):
        task.join()
    assert task.has_links() == 0
    task.kill()


def test_with_timeout_returns_the_value_or_the_substitute() -> None:
    assert with_timeout(1, lambda x, y: x + y, 1, y=2) == 3
    assert with_timeout(1, sleep, 5, timeout_value="late") == "late"
    assert with_timeout(None, sleep, 5) is None
    with pytest.raises(Timeout):
        with_timeout(1, sleep, 5)


def test_with_timeout_raises_a_timeout_that_is_not_its_own() -> None:
    def body() -> Any:
        with Timeout(1):
            return with_timeout(5, sleep, 10, timeout_value="late")

    with pytest.raises(Timeout):
        body()


def test_timeout_in_words() -> None:
    assert str(Timeout(1)) == "1 second"
    assert str(Timeout(1.5, Custom("x"))) == "1.5 seconds: x"
    assert "pending" not in repr(Timeout(1))
    with Timeout(1) as timeout:
        assert "seconds=1 pending" in repr(timeout)


def test_timeouts_order_by_their_seconds() -> None:
    assert Timeout(1) < Timeout(2)
    assert Timeout(1) < 3
    assert not Timeout(4) < Timeout(2)


def test_limit_splits_a_timeout_argument() -> None:
    timeout = Timeout(5)
    assert limit(None) == (None, None)
    assert limit(2) == (2, None)
    assert limit(timeout) == (5, timeout)


def test_join_and_get_take_a_timeout_object() -> None:
    task = spawn(sleep, 100)
    own = Timeout(1)
    task.join(own)  # gevent returns, too
    with pytest.raises(Timeout) as caught:
        task.get(timeout=own)
    assert caught.value is own
    for method in (task.join, task.get):
        with pytest.raises(Custom):
            method(timeout=Timeout(1, Custom))
    running = Timeout.start_new(1)
    task.join(running)
    assert task.has_links() == 0
    task.kill()


def test_timeout_counts_from_its_start_in_the_current_greenlet() -> None:
    timeout = Timeout(1)
    sleep(5)

    def body() -> Any:
        try:
            with timeout:
                sleep(2)
        except Timeout:
            return getcurrent()

    task = spawn(body)
    assert task.get() is task


def test_timeout_gives_way_to_a_sleep_that_was_over_before_it(clock: Any) -> None:
    spawn(clock.advance, 20)  # a turn that takes long
    with Timeout(10):
        sleep(5)
        assert clock() > 10


def test_timeout_gives_way_to_bytes_that_came_before_the_hub_looked(clock: Any) -> None:
    one, two = socket.socketpair()
    with one, two:
        spawn(lambda: (two.sendall(b"in time"), clock.advance(20)))
        with Timeout(10):
            assert one.recv(100) == b"in time"


def test_timeout_gives_way_for_one_batch_only(clock: Any) -> None:
    one, two = socket.socketpair()
    turns: list[str] = []

    def wait_for_what_is_there() -> None:
        while True:
            clock.advance(20)
            socket.wait_read(one.fileno())  # ready whenever the hub looks
            turns.append("read")

    def sleep_shortly() -> None:
        while True:
            clock.advance(20)
            sleep(1)
            turns.append("sleep")

    with one, two:
        two.sendall(b"more than anybody reads")
        for work in (wait_for_what_is_there, sleep_shortly):
            with pytest.raises(Timeout):
                with_timeout(10, work)
    assert turns in ([], ["read"])


def test_timeouts_that_are_due_together_expire_in_order(clock: Any) -> None:
    def work() -> None:
        with Timeout(30), Timeout(20):
            clock.advance(40)
            sleep(100)

    with pytest.raises(Timeout, match="10 seconds"):
        with_timeout(10, work)
    sleep(1)  # the others were cancelled on the way out: nothing comes later


def test_timeout_that_is_due_with_a_kill_does_not_come_after_its_block(clock: Any) -> None:
    ends: list[str] = []

    def work() -> None:
        try:
            with Timeout(10):
                sleep(100)
        finally:
            sleep(1)
            ends.append("in order")

    one = spawn(work)
    sleep(1)
    one.kill(block=False)
    clock.advance(20)
    one.join()
    assert ends == ["in order"]


def test_thousands_that_are_late_expire_in_a_few_turns(clock: Any) -> None:
    def wait(seconds: float) -> bool:
        with Timeout(seconds, False):
            sleep(100)
        return clock() > began + 99

    began = clock()
    sleepers = [spawn(sleep, 1 + n / 1000) for n in range(1000)]
    limited = [spawn(wait, 1 + (n + 0.5) / 1000) for n in range(1000)]
    sleep(0)
    clock.advance(10)
    turns = get_hub().turns
    joinall(sleepers + limited)
    assert get_hub().turns - turns < 10
    assert not any(one.value for one in limited)


def test_timeout_does_not_give_way_to_what_is_for_others(clock: Any) -> None:
    log: list[str] = []
    event = Event()

    def consume() -> None:
        with Timeout(2, False):
            event.wait()
            log.append("event")

    consumer = spawn(consume)
    spawn(sleep, 1)
    spawn_later(3, event.set)  # due after the Timeout
    sleep(0)
    clock.advance(10)
    consumer.join()
    assert log == []


def test_timeout_gives_way_to_bytes_also_while_the_hub_ends_carriers_and_others_sleep(clock: Any) -> None:
    joinall([spawn(sleep, 0) for _ in range(FREE_LIMIT + 200)])
    one, two = socket.socketpair()
    with one, two:
        reader = spawn(with_timeout, 2, one.recv, 100)
        spawn(sleep, 1)
        sleep(0)
        two.sendall(b"in time")
        clock.advance(10)
        assert reader.get() == b"in time"


def test_timeout_that_is_cancelled_while_it_gives_way_is_counted_once(clock: Any) -> None:
    timers = get_hub().timers
    held: list[int] = []

    def work() -> None:
        kept = Timeout.start_new(2)
        get_hub().call_later(3, lambda: (held.append(len(timers.held)), kept.cancel()))
        sleep(1)  # over in the same turn: to this it gives way

    task = spawn(work)
    sleep(0)
    clock.advance(10)
    task.join()
    assert (held, timers.refs) == ([1], 0)
    assert timers.cancelled == len(timers.heap)


def test_many_timeouts_of_one_greenlet_wait_for_each_other_a_few_at_a_time(clock: Any) -> None:
    started = [Timeout.start_new(1) for _ in range(5 * HELD_MOST)]
    clock.advance(10)
    caught = []
    for _ in started:
        with pytest.raises(Timeout) as raised:
            sleep(100)
        caught.append(raised.value)
    assert caught == started
    assert not get_hub().timers.held


def test_error_in_the_midst_of_late_timeouts_loses_none(clock: Any) -> None:
    ends: list[bool] = []

    def work() -> None:
        with Timeout(2, False):
            sleep(1)
            ends.append(True)

    def cut_short() -> None:
        raise KeyboardInterrupt

    tasks = [spawn(work) for _ in range(10)]
    for seconds in (1.5, 3):  # then all are held
        get_hub().call_later(seconds, cut_short)
    sleep(0)
    clock.advance(10)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            sleep(1)
    joinall(tasks)
    assert (len(ends), get_hub().timers.refs, get_hub().timers.held) == (10, 0, [])


@pytest.mark.parametrize(
    "wait", [lambda: sleep(10), Event().wait, Queue().get, Semaphore(0).acquire, AsyncResult().get]
)
def test_timeout_that_was_caught_leaves_no_cycle(wait: Any) -> None:
    class Thing:
        """What the frames of the one who waited hold."""

    def work() -> Any:
        thing = Thing()
        with pytest.raises(Timeout), Timeout(1):
            wait()
        return weakref.ref(thing)

    gc.disable()
    try:
        assert spawn(work).get()() is None
    finally:
        gc.enable()
