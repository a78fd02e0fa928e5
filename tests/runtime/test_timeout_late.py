"""Timeouts that come late: after a turn that took long, much is due at once."""

from typing import Any

import pytest

from greenscope.runtime import (
    Timeout,
    get_hub,
    joinall,
    sleep,
    socket,
    spawn,
    spawn_later,
    with_timeout,
)
from greenscope.runtime.carriers import FREE_LIMIT
from greenscope.runtime.event import Event
from greenscope.runtime.turns import HELD_MOST

pytestmark = pytest.mark.usefixtures("clock")


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
