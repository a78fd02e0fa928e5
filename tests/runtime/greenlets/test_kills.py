"""Greenlet: kills before the start, of itself, in rings, twice, in vain; and throws."""

from typing import Any

import pytest

from greenscope.runtime import (
    Greenlet,
    GreenletExit,
    get_hub,
    getcurrent,
    joinall,
    kill,
    killall,
    sleep,
    spawn,
    spawn_later,
    testing,
)
from greenscope.runtime.event import Event
from greenscope.runtime.exceptions import BlockingSwitchOutError


@pytest.mark.parametrize("later", [False, True])
def test_kill_before_the_start_means_never(later: bool) -> None:
    ran: list[int] = []
    linked: list[Any] = []
    task = spawn_later(5, ran.append, 1) if later else spawn(ran.append, 1)
    task.rawlink(linked.append)
    task.kill()
    assert task.dead
    assert isinstance(task.value, GreenletExit)
    task.start()
    sleep(10)
    assert ran == []
    assert linked == [task]


def test_kill_of_a_new_one_means_never() -> None:
    ran: list[int] = []
    task = Greenlet(ran.append, 1)
    task.kill()
    task.start()
    sleep(0)
    assert ran == []
    assert task.dead


@pytest.mark.parametrize("exception", [ValueError, ValueError("x"), (ValueError, None, None)])
def test_kill_before_the_start_with_an_error_is_a_failure(exception: Any, capsys: pytest.CaptureFixture[str]) -> None:
    task = spawn(sleep)
    task.kill(exception)
    assert isinstance(task.exception, ValueError)
    with pytest.raises(ValueError):
        task.get()


def test_kill_of_the_dead_is_nothing() -> None:
    task = spawn(lambda: 5)
    task.join()
    task.kill()
    task.throw(ValueError)
    assert task.get() == 5


@pytest.mark.parametrize("block", [True, False])
def test_kill_of_itself(block: bool) -> None:
    reached: list[str] = []

    def body() -> None:
        getcurrent().kill(block=block)
        reached.append("after kill")
        sleep(0)
        sleep(0)
        reached.append("after sleep")

    task = spawn(body)
    task.join()
    assert isinstance(task.value, GreenletExit)
    assert reached == ([] if block else ["after kill"])


@pytest.mark.parametrize("killer", [lambda task: task.kill(), kill, lambda task: killall([task])])
def test_kill_of_a_ready_one_comes_after_its_turn(killer: Any) -> None:
    reached: list[str] = []

    def body() -> None:
        event.wait()
        reached.append("ran on")
        sleep(0)
        reached.append("ran further")

    event = Event()
    task = spawn(body)
    sleep(0)
    event.set()
    killer(task)
    task.join()
    assert reached == ["ran on"]
    assert isinstance(task.value, GreenletExit)


def test_second_kill_reaches_the_cleanup() -> None:
    reached: list[str] = []

    def body() -> None:
        try:
            sleep(100)
        finally:
            try:
                sleep(100)
            except GreenletExit:
                reached.append("second")
                raise

    task = spawn(body)
    sleep(0)
    task.kill(block=False)
    sleep(1)
    assert not task.dead
    task.kill()
    assert reached == ["second"]
    assert task.dead


def test_two_kills_in_one_turn_are_raised_one_after_the_other() -> None:
    caught: list[type] = []

    def body() -> None:
        for _ in range(2):
            try:
                sleep(100)
            except (KeyError, IndexError) as error:
                caught.append(type(error))

    task = spawn(body)
    sleep(0)
    task.kill(KeyError, block=False)
    task.kill(IndexError, block=False)
    task.join()
    assert caught == [KeyError, IndexError]


def test_kill_with_a_triple_raises_that_instance() -> None:
    error = ValueError("mine")
    caught: list[BaseException] = []

    def body() -> None:
        try:
            sleep(100)
        except ValueError as found:
            caught.append(found)

    for exception in (error, (ValueError, error, None)):
        task = spawn(body)
        sleep(0)
        task.kill(exception)
    assert caught == [error, error]


def test_kill_of_one_that_does_not_die_returns_after_its_timeout(clock: testing.VirtualClock) -> None:
    def stubborn() -> str:
        while True:
            try:
                sleep(100)
                return "lived"
            except GreenletExit:
                pass

    task = spawn(stubborn)
    sleep(0)
    at = clock()
    task.kill(timeout=3)
    assert clock() - at == pytest.approx(3)
    assert not task.dead
    assert task.get() == "lived"


def test_kill_of_one_that_waits_for_another_leaves_no_link() -> None:
    target = spawn(sleep, 100)
    joiner, getter = spawn(target.join), spawn(target.get)
    sleep(0)
    assert target.has_links() == 2
    joiner.kill()
    getter.kill()
    assert target.has_links() == 0
    target.kill()


def test_kill_from_the_hub_must_not_block() -> None:
    task = spawn(sleep, 100)
    sleep(0)
    errors: list[BaseException] = []

    def callback() -> None:
        try:
            task.kill()
        except BlockingSwitchOutError as error:
            errors.append(error)

    get_hub().run_callback(callback)
    task.join()
    assert len(errors) == 1
    assert task.has_links() == 0


def test_kill_in_a_ring_ends_all() -> None:
    tasks: list[Greenlet] = []

    def body(n: int) -> None:
        try:
            sleep(100)
        finally:
            tasks[(n + 1) % 3].kill()

    tasks += [spawn(body, n) for n in range(3)]
    sleep(0)
    tasks[0].kill()
    joinall(tasks)
    assert [task.dead for task in tasks] == [True] * 3


def test_throw_from_the_hub_raises_at_once() -> None:
    caught: list[str] = []

    def body() -> None:
        try:
            sleep(100)
        except ValueError:
            caught.append("thrown")

    task = spawn(body)
    sleep(0)
    get_hub().run_callback(task.throw, ValueError)
    task.join()
    assert caught == ["thrown"]
    unstarted = spawn(body)
    unstarted.throw()
    assert isinstance(unstarted.value, GreenletExit)
