"""Event and AsyncResult: who is woken, when, with what; across threads; nothing left behind."""

import random
import threading
import traceback
import weakref
from typing import Any

import pytest

from greenscope.runtime import GreenletExit, Timeout, iwait, joinall, kill, killall, sleep, spawn, spawn_raw, wait
from greenscope.runtime.event import AsyncResult, Event
from greenscope.runtime.exceptions import BlockingSwitchOutError, LoopExit
from greenscope.runtime.hub import get_hub
from greenscope.runtime.waiting import wake


class BrokenError(Exception):
    pass


def test_event_wait_returns_at_once_when_it_is_set() -> None:
    event = Event()
    assert not event.is_set()
    assert not event.ready()
    event.set()
    assert event.is_set()
    assert event.isSet()
    assert event.wait() is True
    assert event.wait(0) is True


def test_event_set_wakes_all_waiters_in_order() -> None:
    event = Event()
    woken: list[int] = []

    def waiter(number: int) -> None:
        assert event.wait() is True
        woken.append(number)

    greenlets = [spawn(waiter, number) for number in range(5)]
    sleep(0)
    assert event.linkcount() == 5
    event.set()
    joinall(greenlets)
    assert woken == [0, 1, 2, 3, 4]
    assert event.linkcount() == 0


def test_event_that_is_set_and_cleared_wakes_those_who_waited() -> None:
    event = Event()
    waiter = spawn(event.wait)
    sleep(0)
    event.set()
    event.clear()
    assert waiter.get() is True
    assert event.wait(0.001) is False


def test_event_wait_returns_false_after_its_time_and_leaves_the_line() -> None:
    event = Event()
    assert event.wait(0.001) is False
    assert event.linkcount() == 0


def test_event_wait_returns_false_for_a_timeout_object() -> None:
    event = Event()
    assert event.wait(Timeout(0.001)) is False  # type: ignore[arg-type]
    running = Timeout.start_new(0.001)
    assert event.wait(running) is False  # type: ignore[arg-type]
    assert not running.pending


def test_event_wait_raises_somebody_elses_timeout() -> None:
    event = Event()
    with pytest.raises(Timeout) as caught, Timeout(0.001) as outer:
        event.wait(10)
    assert caught.value is outer
    assert event.linkcount() == 0


def test_event_waiter_that_is_granted_and_timed_out_in_one_turn_counts_as_granted() -> None:
    event = Event()
    waiter = spawn(event.wait, 0.001)
    sleep(0)
    spawn_raw(lambda: event.set())
    threading.Event().wait(0.002)  # hold the hub until the time is over, too
    assert waiter.get() is True


def test_event_without_anybody_to_set_it_ends_in_loop_exit() -> None:
    with pytest.raises(LoopExit):
        Event().wait()


def test_event_wait_in_the_hub_is_refused() -> None:
    event = Event()
    caught: list[BaseException] = []

    def in_hub() -> None:
        try:
            event.wait()
        except BaseException as error:
            caught.append(error)

    get_hub().run_callback(in_hub)
    sleep(0)
    assert [type(error) for error in caught] == [BlockingSwitchOutError]
    assert event.linkcount() == 0


def test_event_waiters_can_be_killed_in_any_order_at_no_growing_cost() -> None:
    event = Event()
    waiters = [spawn(event.wait) for _ in range(2000)]
    sleep(0)
    assert event.linkcount() == 2000
    random.Random(7).shuffle(waiters)
    killall(waiters)
    assert event.linkcount() == 0
    assert all(isinstance(waiter.value, GreenletExit) for waiter in waiters)


def test_event_rawlink_is_called_once_in_the_hub() -> None:
    event = Event()
    called: list[Any] = []
    event.rawlink(called.append)
    event.rawlink(called.append)
    event.unlink(called.append)
    event.set()
    event.set()
    assert called == []
    sleep(0)
    assert called == [event]
    event.rawlink(called.append)  # ready already
    sleep(0)
    assert called == [event, event]
    with pytest.raises(TypeError, match="callable"):
        event.rawlink(None)  # type: ignore[arg-type]


def test_event_link_that_is_removed_or_added_by_another_is_not_called_this_time() -> None:
    event = Event()
    called: list[str] = []
    event.unlink(called.append)  # there were none yet
    assert event.linkcount() == 0

    def second(_: Event) -> None:
        called.append("second")

    def first(_: Event) -> None:
        called.append("first")
        event.unlink(second)
        event.rawlink(third)

    def third(_: Event) -> None:
        called.append("third")

    event.rawlink(first)
    event.rawlink(second)
    event.set()
    sleep(0)
    assert called[0] == "first"
    sleep(0)
    assert called == ["first", "third"], "the event is set, so that a new link is called, too"
    assert event.linkcount() == 0


def test_event_that_is_made_anew_after_a_fork_calls_no_link_of_the_parent() -> None:
    event = Event()
    called: list[Event] = []
    event.rawlink(lambda _: event._at_fork_reinit())  # as in a child that the first link has forked
    event.rawlink(called.append)
    event.set()
    sleep(0)
    sleep(0)
    assert called == []
    assert event.linkcount() == 0


def test_event_link_that_fails_is_reported_and_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    event = Event()
    called: list[Any] = []

    def fail(source: Event) -> None:
        raise BrokenError("link")

    event.rawlink(fail)
    event.rawlink(called.append)
    event.set()
    sleep(0)
    assert called == [event]
    assert "BrokenError: link" in capsys.readouterr().err


def test_event_works_with_wait_and_iwait() -> None:
    first, second = Event(), Event()
    spawn(second.set)
    assert wait([first, second], count=1) == [second]
    assert first.linkcount() == 0
    with iwait([first, second], timeout=0.01) as ready:
        assert next(ready) is second
    assert first.linkcount() == second.linkcount() == 0


def test_event_is_weakly_referenceable_and_says_its_state() -> None:
    event = Event()
    assert weakref.ref(event)() is event
    assert "clear _links[0]" in str(event)
    event.set()
    assert "set _links[0]" in str(event)


def test_event_set_in_another_thread_wakes_a_waiter_here() -> None:
    event = Event()
    result = AsyncResult()
    threads = [threading.Timer(0.005, event.set), threading.Timer(0.005, result.set, ["there"])]
    for thread in threads:
        thread.start()
    assert event.wait(5) is True
    assert result.get(timeout=5) == "there"
    for thread in threads:
        thread.join()


def test_event_set_here_wakes_waiters_in_other_threads() -> None:
    event = Event()
    standing = threading.Barrier(4)
    woken: list[bool] = []

    def stand() -> None:
        greenlet = spawn(event.wait, 5)
        sleep(0)
        standing.wait()
        woken.append(greenlet.get())
        get_hub().destroy()

    threads = [threading.Thread(target=stand) for _ in range(3)]
    for thread in threads:
        thread.start()
    standing.wait()
    event.set()
    for thread in threads:
        thread.join(5)
    assert woken == [True, True, True]


def test_event_link_is_called_in_the_hub_that_linked_it() -> None:
    event = Event()
    where: list[int] = []
    event.rawlink(lambda source: where.append(threading.get_ident()))
    thread = threading.Thread(target=event.set)
    thread.start()
    thread.join()
    sleep(0)
    assert where == [threading.get_ident()]


@pytest.mark.parametrize("again", [True, False], ids=["same event", "other event"])
def test_event_wake_up_that_comes_too_late_does_not_disturb_the_next_wait(again: bool) -> None:
    event = Event()
    second = event if again else Event()
    waiter = spawn(lambda: (event.wait(0.001), second.wait(0.004)))
    sleep(0)
    ((raw, shown),) = event._waiters.items()
    while event.linkcount() and raw.waiting_on is shown and second is not event:
        sleep(0.001)
    wake(raw, shown)
    assert waiter.get() == (False, False)
    assert not get_hub().ready


def test_result_get_returns_the_value_to_all() -> None:
    result = AsyncResult()
    getters = [spawn(result.get) for _ in range(3)]
    sleep(0)
    assert not result.ready()
    result.set("value")
    assert [getter.get() for getter in getters] == ["value"] * 3
    assert result.get() == result.get_nowait() == result.result() == result.wait() == result.value == "value"
    assert result.ready()
    assert result.done()
    assert result.successful()
    assert result.exception is None
    assert result.exc_info == ()


def test_result_get_raises_the_exception_again_without_growing_its_traceback() -> None:
    result = AsyncResult()
    result.set_exception(BrokenError("no"))
    depths = []
    for _ in range(3):
        with pytest.raises(BrokenError) as caught:
            result.get()
        depths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert len(set(depths)) == 1
    assert result.wait() is None
    assert not result.successful()
    assert result.exc_info[0] is BrokenError


def test_result_get_raises_timeout() -> None:
    result = AsyncResult()
    with pytest.raises(Timeout) as caught:
        result.get(timeout=0.001)
    assert caught.value.seconds == 0.001
    with pytest.raises(Timeout):
        result.get(block=False)
    with pytest.raises(Timeout):
        result.get_nowait()
    mine = Timeout(0.001)
    with pytest.raises(Timeout) as caught:
        result.get(timeout=mine)  # type: ignore[arg-type]
    assert caught.value is mine
    assert result.wait(0.001) is None
    assert result.linkcount() == 0


def test_result_is_a_link_target() -> None:
    def fail() -> None:
        raise BrokenError("in a greenlet")

    values, errors, both = AsyncResult(), AsyncResult(), AsyncResult()
    hub = get_hub()
    hub.print_exception = lambda *args: None  # type: ignore[method-assign]
    try:
        good, bad = spawn(lambda: 42), spawn(fail)
        good.link(both)
        good.link_value(values)
        bad.link_exception(errors)
        assert both.get() == values.get() == 42
        with pytest.raises(BrokenError) as caught:
            errors.get()
    finally:
        del hub.print_exception
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "fail"
    chained = AsyncResult()
    both.rawlink(chained)
    assert chained.get() == 42


def test_result_cannot_be_cancelled_and_says_its_state() -> None:
    result = AsyncResult()
    assert result.cancel() is False
    assert result.cancelled() is False
    assert "unset" in str(result)
    result.set(3)
    assert "value=3" in str(result)
    failed = AsyncResult()
    failed.set_exception(BrokenError("x"))
    assert "exception=BrokenError('x')" in str(failed)


def test_result_waiter_that_is_killed_leaves_the_line() -> None:
    result = AsyncResult()
    getter = spawn(result.get)
    sleep(0)
    kill(getter)
    getter.join()
    assert isinstance(getter.value, GreenletExit)
    assert result.linkcount() == 0
