"""Carriers outlive their jobs: what was meant for one job, a timeout or a kill, never hits the next."""

from collections.abc import Callable
from typing import Any

import greenlet

from greenscope.runtime import (
    Greenlet,
    GreenletExit,
    Timeout,
    get_hub,
    getcurrent,
    joinall,
    kill,
    sleep,
    spawn,
    testing,
)
from greenscope.runtime.carriers import Carrier


def run(function: Callable[..., Any], *args: Any) -> Any:
    return spawn(function, *args).get()


def test_forgotten_timeout_spares_the_next_task() -> None:
    def forget() -> Any:
        Timeout.start_new(5)
        return greenlet.getcurrent()

    def innocent() -> tuple[Any, str]:
        sleep(10)
        return greenlet.getcurrent(), "lived"

    with testing.virtual_clock():
        first = run(forget)
        assert run(innocent) == (first, "lived")


def test_late_kill_spares_the_next_task() -> None:
    def kill_myself() -> Any:
        getcurrent().kill(block=False)
        return greenlet.getcurrent()

    def innocent() -> tuple[Any, str]:
        sleep(0)
        sleep(0)
        return greenlet.getcurrent(), "lived"

    late, next_one = spawn(kill_myself), spawn(innocent)
    joinall([late, next_one])
    assert next_one.value == (late.value, "lived")


def test_late_kill_spares_the_idle_carrier() -> None:
    def kill_myself() -> Any:
        getcurrent().kill(block=False)
        return greenlet.getcurrent()

    raw = run(kill_myself)
    sleep(0)
    assert raw in get_hub().free
    assert not raw.dead
    assert run(greenlet.getcurrent) is raw


def test_second_error_for_a_task_that_ends_at_the_first_spares_the_next() -> None:
    def innocent() -> str:
        for _ in range(5):
            sleep(0)
        return "lived"

    def victim() -> None:
        try:
            sleep(1000)
        except ValueError:
            spawned.append(spawn(innocent))

    spawned: list[Greenlet] = []
    task = spawn(victim)
    sleep(0)
    task.kill(ValueError, block=False)
    task.kill(ValueError, block=False)
    task.join()
    assert spawned[0].get() == "lived"


def test_kill_of_a_link_callbacks_greenlet_after_its_end_spares_the_carrier() -> None:
    raws: list[Any] = []
    task = spawn(lambda: None)
    task.link(lambda source: raws.append(getcurrent()))
    task.join()
    sleep(0)
    assert type(raws[0]) is Carrier
    kill(raws[0])
    sleep(0)
    assert not raws[0].dead
    assert run(lambda: "served") == "served"


def test_forgotten_timeout_of_a_link_callback_spares_the_next_callback() -> None:
    lived: list[bool] = []

    def second(_: Any) -> None:
        sleep(10)
        lived.append(True)

    with testing.virtual_clock():
        task = spawn(lambda: None)
        task.link(lambda source: Timeout.start_new(5))
        task.link(second)
        sleep(20)
    assert lived == [True]


def test_carrier_survives_the_kill_of_its_task() -> None:
    tasks = [spawn(sleep, 1000) for _ in range(5)]
    sleep(0)
    raws = [one._carrier for one in tasks]
    tasks[2].kill()
    assert get_hub().free[-1] is raws[2]
    for one in tasks:
        one.kill()
    assert not any(raw.dead for raw in raws if raw is not None)


def test_task_that_swallows_its_kill_gives_its_carrier_back() -> None:
    def stubborn() -> str:
        try:
            sleep(1000)
        except GreenletExit:
            pass
        sleep(0)
        return "lived"

    task = spawn(stubborn)
    sleep(0)
    raw = task._carrier
    task.kill()
    assert task.value == "lived"
    assert raw in get_hub().free
