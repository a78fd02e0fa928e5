"""Timeout: an exception that throws itself."""

import gc
import weakref
from typing import Any

import pytest

from greenscope.runtime import (
    Timeout,
    get_hub,
    getcurrent,
    sleep,
    spawn,
    with_timeout,
)
from greenscope.runtime.event import AsyncResult, Event
from greenscope.runtime.lock import Semaphore
from greenscope.runtime.queue import Queue
from greenscope.runtime.timeout import limit
from greenscope.runtime.waiting import park_until

pytestmark = pytest.mark.usefixtures("clock")


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
