"""Waiting for many, and killing many."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from greenscope.runtime import (
    Greenlet,
    GreenletExit,
    Timeout,
    get_hub,
    iwait,
    joinall,
    kill,
    killall,
    sleep,
    spawn,
    spawn_later,
    spawn_raw,
    testing,
    wait,
)
from greenscope.runtime.event import AsyncResult, Event

pytestmark = pytest.mark.usefixtures("clock")


def after(seconds: float) -> Greenlet:
    """Return a greenlet that ends after `seconds`."""
    return spawn_later(seconds, lambda: seconds)


def stubborn() -> None:
    """Live on for 100 s after a kill."""
    try:
        sleep(1000)
    except GreenletExit:
        sleep(100)


def links_of(things: list[Greenlet]) -> int:
    """Return how many links wait for the end of `things`."""
    return sum(thing.has_links() for thing in things)


# -- wait


def test_wait_returns_in_order_of_ending() -> None:
    slow, fast = after(2), after(1)
    assert wait([slow, fast]) == [fast, slow]


def test_wait_for_some_leaves_no_links() -> None:
    tasks = [after(n) for n in range(5)]
    assert wait(tasks, count=2) == tasks[:2]
    assert links_of(tasks) == 0
    assert wait(tasks, count=0) == []
    killall(tasks)


def test_wait_gives_up_after_its_timeout() -> None:
    tasks = [after(1), after(10)]
    assert wait(tasks, timeout=5) == tasks[:1]
    assert links_of(tasks) == 0
    assert wait(tasks, timeout=0) == tasks[:1]
    killall(tasks)


def test_wait_takes_what_has_ended_already() -> None:
    dead = after(1)
    dead.join()
    assert wait([dead]) == [dead]
    assert wait([dead, dead]) == [dead, dead]
    assert wait([]) == []


def test_wait_that_is_interrupted_leaves_no_links() -> None:
    tasks = [after(10) for _ in range(3)]
    with pytest.raises(Timeout), Timeout(1):
        wait(tasks)
    assert links_of(tasks) == 0
    killall(tasks)


def test_wait_for_events_and_results_beside_greenlets() -> None:
    event, result, task = Event(), AsyncResult(), after(3)
    spawn_later(2, event.set)
    spawn_later(1, result.set, 5)
    assert wait([event, result, task]) == [result, event, task]
    assert event.linkcount() == 0


def test_wait_without_objects_waits_for_all(clock: testing.VirtualClock) -> None:
    tasks = [after(3), after(7)]
    assert wait() is True
    assert [task.dead for task in tasks] == [True, True]
    late = after(10)
    assert wait(timeout=1) is False
    late.kill()


def test_wait_takes_any_iterable() -> None:
    tasks = [after(1), after(2)]
    assert wait(task for task in tasks) == tasks  # type: ignore[arg-type]


# -- iwait


def test_iwait_yields_each_as_it_ends(clock: testing.VirtualClock) -> None:
    at = clock()
    seen = [(one.value, round(clock() - at)) for one in iwait([after(3), after(1), after(2)])]
    assert seen == [(1, 1), (2, 2), (3, 3)]


def test_iwait_stops_at_its_count_and_at_its_timeout() -> None:
    tasks = [after(n + 1) for n in range(5)]
    assert list(iwait(tasks, count=2)) == tasks[:2]
    assert links_of(tasks) == 0
    assert list(iwait(tasks, timeout=1.5)) == tasks[:3]
    assert links_of(tasks) == 0
    killall(tasks)


def test_iwait_left_early_leaves_no_links() -> None:
    tasks = [after(n + 1) for n in range(5)]
    with iwait(tasks) as ended:
        assert next(ended) is tasks[0]
        assert links_of(tasks) == 4
    assert links_of(tasks) == 0
    killall(tasks)


def test_iwait_that_is_interrupted_leaves_no_links() -> None:
    tasks = [after(10) for _ in range(3)]
    with pytest.raises(Timeout), Timeout(1):
        next(iwait(tasks))
    assert links_of(tasks) == 0
    killall(tasks)


def test_iwait_over_what_cannot_be_waited_for_leaves_no_links() -> None:
    task = after(10)
    things: list[Any] = [task, object()]
    with pytest.raises(AttributeError):
        next(iwait(things))
    with pytest.raises(AttributeError):
        wait(things)
    assert links_of([task]) == 0
    task.kill()


def test_iwait_may_go_on_in_another_greenlet() -> None:
    ended = iwait([after(1), after(2)])
    assert next(ended).value == 1
    assert spawn(lambda: next(ended).value).get() == 2


def test_iwait_keeps_what_ends_between_two_steps() -> None:
    ended = iwait([after(1), after(2), after(3)])
    next(ended)
    sleep(10)
    assert [one.value for one in ended] == [2, 3]


def test_iwait_without_objects_waits_for_the_loop() -> None:
    after(1)
    assert list(iwait()) == [True]


# -- joinall


def test_joinall_returns_those_that_ended_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [after(1), after(2), after(9)]
    assert joinall(tasks, timeout=5) == tasks[:2]
    assert joinall(tasks, count=1) == tasks[:1]
    assert set(joinall(set(tasks))) == set(tasks)
    failing = spawn(int, "x")
    assert joinall([failing]) == [failing]


def test_joinall_raises_the_first_error(capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [after(5), spawn_later(1, int, "x"), spawn_later(2, [].__getitem__, 0)]
    with pytest.raises(ValueError):
        joinall(tasks, raise_error=True)
    assert links_of(tasks) == 0
    killall(tasks)


# -- kill and killall


def test_kill_takes_any_greenlet_and_does_not_wait() -> None:
    caught: list[str] = []

    def body(name: str) -> None:
        try:
            sleep(1000) if name != "by hand" else get_hub().switch()
        except GreenletExit:
            caught.append(name)

    victims = [spawn(body, "greenlet"), spawn_raw(body, "raw"), spawn_raw(body, "by hand")]
    sleep(0)
    unstarted: Any = spawn_raw(body, "unstarted")
    for victim in (*victims, unstarted):
        kill(victim)
    assert caught == []
    sleep(0)
    sleep(0)
    assert sorted(caught) == ["by hand", "greenlet", "raw"] or sorted(caught) == [
        "by hand",
        "greenlet",
        "raw",
        "unstarted",
    ]
    for victim in (*victims, unstarted):
        assert victim.dead
        kill(victim)


def test_killall_ends_all_kinds_and_waits() -> None:
    ran: list[int] = []
    sleepers = [spawn(sleep, 1000) for _ in range(3)]
    raws = [spawn_raw(sleep, 1000) for _ in range(2)]
    sleep(0)
    unstarted = [spawn(ran.append, 1), spawn_later(5, ran.append, 2), Greenlet(ran.append, 3)]
    killall([*sleepers, *raws, *unstarted])
    assert all(one.dead for one in (*sleepers, *raws, *unstarted))
    assert ran == []


def test_killall_without_block_returns_at_once() -> None:
    tasks = [spawn(sleep, 1000) for _ in range(3)]
    sleep(0)
    killall(tasks, block=False)
    assert not any(task.dead for task in tasks)
    joinall(tasks)


def test_killall_raises_timeout_when_some_live_on(clock: testing.VirtualClock) -> None:
    tasks = [spawn(stubborn), spawn(sleep, 1000)]
    sleep(0)
    at = clock()
    with pytest.raises(Timeout):
        killall(tasks, timeout=3)
    assert clock() - at == pytest.approx(3)
    assert [task.dead for task in tasks] == [False, True]
    assert links_of(tasks) == 0
    killall(tasks)


def test_killall_gives_one_instance_to_all(capsys: pytest.CaptureFixture[str]) -> None:
    error = ValueError("for all")
    tasks = [spawn(sleep, 1000) for _ in range(50)]
    sleep(0)
    killall(tasks, error)
    assert {id(task.exception) for task in tasks} == {id(error)}
    depth, tb = 0, error.__traceback__
    while tb is not None:
        depth, tb = depth + 1, tb.tb_next
    assert depth < 10


def test_killall_with_itself_among_them_ends_all() -> None:
    tasks: list[Greenlet] = []
    tasks += [spawn(lambda: killall(tasks)), spawn(sleep, 1000)]
    joinall(tasks)
    assert all(isinstance(task.value, GreenletExit) for task in tasks)


def test_killall_ends_who_has_not_begun_at_once_and_the_others_when_it_has_all() -> None:
    def some() -> Iterator[Any]:
        yield begun
        yield unbegun
        sleep(0)
        assert begun
        assert not unbegun
        raise LookupError("no more")

    ran: list[int] = []
    begun = spawn(sleep, 60)
    sleep(0)
    unbegun = spawn(ran.append, 1)
    with pytest.raises(LookupError):
        killall(some())
    sleep(0)
    assert not begun.dead
    assert ran == []
    begun.kill()


def test_killall_of_nothing_is_nothing() -> None:
    killall([])
    dead = after(1)
    dead.join()
    killall(iter([dead]))
    assert dead.value == 1


def test_waiting_leaves_no_garbage() -> None:
    gc.collect()
    gc.disable()
    before = {id(one) for one in gc.get_objects()}
    try:
        for _ in range(3):
            tasks = [after(1), after(2)]
            wait(tasks, count=1)
            list(iwait(tasks))
            killall(tasks)
        del tasks
        sleep(0)
        left = [one for one in gc.get_objects() if type(one) is Greenlet and id(one) not in before]
        assert left == []
    finally:
        gc.enable()
