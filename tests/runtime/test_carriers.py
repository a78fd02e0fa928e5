"""Borrowed raw greenlets: what one job leaves behind must not reach the next."""

import contextvars
import gc
import sys
import threading
import weakref
from collections.abc import Callable
from time import monotonic
from typing import Any

import greenlet
import pytest

from greenscope.runtime import (
    Greenlet,
    GreenletExit,
    get_hub,
    getcurrent,
    joinall,
    sleep,
    spawn,
    wait,
)
from greenscope.runtime.carriers import FREE_LIMIT
from greenscope.runtime.event import Event


class Thing:
    """Something that can be weakly referenced."""


def run(function: Callable[..., Any], *args: Any) -> Any:
    return spawn(function, *args).get()


def test_carrier_is_used_again_and_current_is_the_task() -> None:
    raws: list[Any] = []

    def task() -> Any:
        raws.append(greenlet.getcurrent())
        return getcurrent()

    tasks = [spawn(task) for _ in range(3)]
    assert [one.get() for one in tasks] == tasks
    assert raws[0] is raws[1] is raws[2]


def test_idle_hub_ends_what_a_burst_left() -> None:
    joinall([spawn(sleep, 0) for _ in range(FREE_LIMIT * 2)])
    assert len(get_hub().free) > FREE_LIMIT
    assert wait()  # for the loop to have nothing left to do
    assert len(get_hub().free) == FREE_LIMIT


def test_busy_hub_ends_what_a_burst_left_little_by_little() -> None:
    joinall([spawn(sleep, 0) for _ in range(FREE_LIMIT * 2)])
    until = monotonic() + 5
    while len(get_hub().free) > FREE_LIMIT:
        sleep(0)  # never idle
        assert monotonic() < until
    assert len(get_hub().free) == FREE_LIMIT


def test_carriers_that_are_ended_do_not_look_for_themselves_among_thousands() -> None:
    class Free(list[Any]):
        def __contains__(self, thing: object) -> bool:
            looked.append(thing)
            return super().__contains__(thing)

    def burst() -> None:
        hub = get_hub()
        hub.free = Free()
        event = Event()
        tasks = [spawn(event.wait) for _ in range(FREE_LIMIT * 2)]
        sleep(0)
        raws.extend(hub.carriers)
        event.set()
        joinall(tasks)
        assert wait()
        left.extend(hub.carriers)

    looked: list[object] = []
    raws: list[Any] = []
    left: list[Any] = []
    thread = threading.Thread(target=burst)
    thread.start()
    thread.join()
    assert (len(raws), len(left), looked) == (FREE_LIMIT * 2, FREE_LIMIT, [])
    assert all(raw.dead for raw in raws if raw not in left)


def test_free_carrier_that_somebody_switches_to_stays_free_once() -> None:
    def parent() -> Any:
        def child() -> str:
            sleep(0)
            return "to its parent"  # the raw greenlet of a job that has long ended

        get_hub().run_callback(greenlet.greenlet(child).switch)
        return greenlet.getcurrent()

    raw = run(parent)
    get_hub().run_callback(raw.switch, "by hand")
    for _ in range(4):
        sleep(0)
    free = get_hub().free
    assert raw in free
    assert len(set(free)) == len(free)
    served = [spawn(sleep, 0.001) for _ in range(len(free) + 5)]
    joinall(served)
    assert all(one.successful() for one in served)


def test_carrier_that_somebody_switched_to_is_ended_like_others() -> None:
    hub = get_hub()
    joinall([spawn(sleep, 0) for _ in range(FREE_LIMIT + 10)])
    for raw in hub.free[-5:]:
        hub.run_callback(raw.switch)
    assert wait()
    assert len(hub.free) == FREE_LIMIT
    assert not any(raw.dead for raw in hub.free)
    assert hub.free[-1].parent is hub


def test_free_carrier_keeps_nothing_of_who_switched_to_it() -> None:
    def parent() -> None:
        def child() -> Thing:
            thing = Thing()
            refs.append(weakref.ref(thing))
            sleep(0)
            return thing

        get_hub().run_callback(greenlet.greenlet(child).switch)

    refs: list[weakref.ref[Any]] = []
    run(parent)
    for _ in range(4):
        sleep(0)
    gc.collect()
    assert [ref() for ref in refs] == [None]


def test_error_thrown_by_hand_into_a_free_carrier_ends_that_one_alone() -> None:
    raw = run(greenlet.getcurrent)
    get_hub().run_callback(raw.throw)
    sleep(0)
    assert raw.dead
    assert raw not in get_hub().free
    assert run(lambda: "served") == "served"


def test_current_greenlet_of_a_false_subclass_is_itself() -> None:
    class False_(Greenlet):
        def __bool__(self) -> bool:
            return False

    task = False_.spawn(lambda: (getcurrent(), spawn(lambda: None).spawning_greenlet()))
    task.join()
    assert task.value == (task, task)


def test_each_task_begins_with_an_empty_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="empty")

    def task() -> str:
        found = variable.get()
        variable.set("used")
        return found

    variable.set("main")
    assert [run(task) for _ in range(3)] == ["empty"] * 3
    chained = [spawn(task) for _ in range(3)]
    assert [one.get() for one in chained] == ["empty"] * 3


def test_each_link_callback_begins_with_an_empty_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("link_variable", default="empty")
    found: list[str] = []

    def callback(_: Any) -> None:
        found.append(variable.get())
        variable.set("used")

    task = spawn(lambda: None)
    for _ in range(3):
        task.link(lambda source: callback(source))
    sleep(0)
    sleep(0)
    assert found == ["empty"] * 3


def test_exception_of_one_task_is_unknown_to_the_next(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError("seen by nobody else")

    failed = spawn(fail)
    after = spawn(sys.exc_info)
    handled = spawn(lambda: (sleep(0), sys.exc_info())[1])
    joinall([failed, after, handled])
    assert after.value == handled.value == (None, None, None)


def test_idle_carriers_keep_nothing_of_their_tasks(capfd: pytest.CaptureFixture[str]) -> None:
    refs: list[weakref.ref[Any]] = []

    def keep(thing: Any) -> None:
        refs.append(weakref.ref(thing))

    def succeed(thing: Any, *, more: Any) -> Any:
        sleep(0)
        return thing

    def fail(thing: Any) -> None:
        local = thing
        raise ValueError(local)

    def body() -> None:
        for function, args, kwargs in ((succeed, (Thing(),), {"more": Thing()}), (fail, (Thing(),), {})):
            for argument in (*args, *kwargs.values()):
                keep(argument)
            task = spawn(function, *args, **kwargs)
            keep(task)
            task.join()
        link_argument = spawn(lambda: None)
        keep(link_argument)
        link_argument.link(lambda source: None)
        link_argument.join()

    run(body)
    sleep(0)
    sleep(0)
    gc.collect()
    assert [ref() for ref in refs if ref() is not None] == []
    assert get_hub().free


def test_killed_task_keeps_no_frames() -> None:
    def victim() -> None:
        thing = Thing()
        refs.append(weakref.ref(thing))
        sleep(1000)

    refs: list[weakref.ref[Any]] = []
    task = spawn(victim)
    sleep(0)
    gc.disable()
    try:
        task.kill()
        assert isinstance(task.value, GreenletExit)
        assert refs[0]() is None
    finally:
        gc.enable()


def test_traceback_of_a_failure_begins_in_the_function(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError

    task = spawn(fail)
    task.join()
    assert task.exc_info is not None
    assert task.exc_info[2].tb_frame.f_code is fail.__code__
    wrong: Any = spawn(lambda required: None)
    wrong.join()
    assert isinstance(wrong.exception, TypeError)
    assert wrong.exc_info[2] is None


def test_throw_by_hand_into_a_ready_greenlet_loses_no_turn() -> None:
    """Whoever leaves the ready queue early must not make the hub miscount its batch."""
    ran: list[str] = []

    def ready() -> None:
        sleep(0)
        try:
            sleep(0)
        except ValueError:
            ran.append("thrown")

    def thrower() -> None:
        get_hub().run_callback(target.throw, ValueError)
        sleep(0)
        ran.append("thrower")

    target = spawn(ready)
    other = spawn(thrower)
    third = spawn(lambda: (sleep(0), sleep(0), ran.append("third")))
    joinall([target, other, third])
    assert sorted(ran) == ["third", "thrower", "thrown"]


def test_batch_is_counted_right_when_a_ready_greenlet_is_thrown_into_within_it() -> None:
    ran: list[int] = []
    sleepers = [spawn(lambda n=n: (sleep(0), ran.append(n))) for n in range(3)]
    sleep(0)

    def throw_into_last() -> None:
        raw: Any = sleepers[2]._carrier
        raw.throw(GreenletExit)

    get_hub().ready.appendleft(_Turn(throw_into_last))
    wait(sleepers)
    assert ran == [0, 1]
    assert sleepers[2].dead


class _Turn:
    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function

    def _turn(self, hub: Any) -> None:
        self._function()


def test_parked_raw_greenlet_that_is_collected_ends_at_once() -> None:
    ended: list[str] = []

    def parked() -> None:
        try:
            get_hub().switch()
        finally:
            ended.append("ended")

    raw = greenlet.greenlet(parked, get_hub())
    get_hub().run_callback(raw.switch)
    sleep(0)
    del raw
    gc.collect()
    assert ended == ["ended"]
    assert run(lambda: 1) == 1


def test_carriers_of_a_destroyed_hub_are_freed() -> None:
    refs: list[Any] = []

    def thread() -> None:
        joinall([spawn(sleep, 0) for _ in range(20)])
        refs.extend(weakref.ref(carrier) for carrier in get_hub().carriers)
        get_hub().destroy()

    native = threading.Thread(target=thread)
    native.start()
    native.join()
    gc.collect()
    assert len(refs) == 20
    assert [ref() for ref in refs if ref() is not None] == []


def test_carrier_whose_job_has_ended_goes_straight_to_the_next_parked_one() -> None:
    event = Event()
    waiters = [spawn(event.wait) for _ in range(50)]
    sleep(0)
    switches: list[str] = []
    event.set()
    greenlet.settrace(lambda kind, _: switches.append(kind))
    try:
        joinall(waiters)
    finally:
        greenlet.settrace(None)
    assert all(waiter.value is True for waiter in waiters)
    assert len(switches) < 60  # through the hub they would be a hundred
