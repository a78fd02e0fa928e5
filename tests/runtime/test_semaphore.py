"""Semaphores: order, fairness, time-outs, kills that lose no slot."""

import gc
import threading
import weakref
from typing import Any

import pytest

from greenscope.runtime import GreenletExit, Timeout, joinall, killall, sleep, spawn, spawn_raw, wait
from greenscope.runtime.exceptions import LoopExit
from greenscope.runtime.hub import get_hub
from greenscope.runtime.lock import BoundedSemaphore, DummySemaphore, Semaphore
from greenscope.runtime.semaphore import PATIENCE
from greenscope.runtime.waiting import interrupt


def test_semaphore_counts_its_slots() -> None:
    semaphore = Semaphore(2)
    assert semaphore.acquire()
    assert semaphore.acquire()
    assert semaphore.locked()
    assert not semaphore.ready()
    assert semaphore.acquire(blocking=False) is False
    assert semaphore.release() == 1
    assert semaphore.wait() == 1
    assert semaphore.counter == 1
    assert "counter=1" in str(semaphore)
    with semaphore:
        assert semaphore.counter == 0
    assert semaphore.counter == 1
    assert semaphore.hub is None
    assert weakref.ref(semaphore)() is semaphore
    with pytest.raises(ValueError, match=">= 0"):
        Semaphore(-1)


def test_semaphore_serves_in_order_of_arrival() -> None:
    semaphore = Semaphore(0)
    served: list[int] = []

    def work(number: int) -> None:
        with semaphore:
            served.append(number)

    greenlets = [spawn(work, number) for number in range(5)]
    sleep(0)
    assert semaphore.linkcount() == 5
    semaphore.release()
    joinall(greenlets)
    assert served == [0, 1, 2, 3, 4]
    assert semaphore.counter == 1
    assert semaphore.linkcount() == 0


def test_semaphore_release_can_be_taken_by_a_faster_one_and_the_robbed_one_stays_first() -> None:
    semaphore = Semaphore(1)
    semaphore.acquire()
    log: list[str] = []

    def slow(name: str) -> None:
        semaphore.acquire()
        log.append(name)
        semaphore.release()

    first, second = spawn(slow, "first"), spawn(slow, "second")
    sleep(0)
    assert semaphore.release() == 1
    assert semaphore.acquire(blocking=False)  # as in gevent: it is free until the first one runs
    sleep(0)
    assert log == []
    assert semaphore.linkcount() == 2
    assert semaphore.release() == 1
    joinall([first, second])
    assert log == ["first", "second"]
    assert semaphore.counter == 1


def test_semaphore_is_fair_to_those_who_wait_while_one_takes_it_again_and_again() -> None:
    semaphore = Semaphore(1)
    turns: list[str] = []

    def greedy() -> None:
        for _ in range(10 * PATIENCE):
            with semaphore:
                turns.append("greedy")
                sleep(0)

    def patient() -> None:
        for _ in range(3):
            with semaphore:
                turns.append("patient")

    joinall([spawn(greedy), spawn(patient), spawn(patient)])
    assert turns.index("patient") <= PATIENCE + 3
    assert turns.count("patient") == 6
    assert turns[-1] == "greedy"
    assert semaphore.counter == 1
    assert not semaphore._handed


def rob(semaphore: Semaphore) -> None:
    """Be faster than the one who waits, until the next slot is handed over to it."""
    for _ in range(PATIENCE + 1):
        semaphore.release()
        semaphore.acquire()
        sleep(0)


def test_semaphore_acquire_returns_false_after_its_time() -> None:
    semaphore = Semaphore(0)
    assert semaphore.acquire(timeout=0.001) is False
    assert semaphore.acquire(timeout=Timeout(0.001)) is False  # type: ignore[arg-type]
    assert semaphore.acquire(timeout=Timeout.start_new(0.001)) is False  # type: ignore[arg-type]
    assert semaphore.wait(timeout=0.001) == 0
    assert semaphore.linkcount() == 0
    with pytest.raises(Timeout), Timeout(0.001):
        semaphore.acquire(timeout=5)
    assert semaphore.linkcount() == 0


def test_semaphore_acquire_without_anybody_to_release_ends_in_loop_exit() -> None:
    semaphore = Semaphore(0)
    with pytest.raises(LoopExit):
        semaphore.acquire()
    assert semaphore.linkcount() == 0


def test_semaphore_slot_of_a_killed_waiter_goes_to_the_next() -> None:
    semaphore = Semaphore(0)
    victim, next_one = spawn(semaphore.acquire), spawn(semaphore.acquire)
    sleep(0)
    semaphore.release()
    interrupt(victim._carrier, GreenletExit)  # called already, not run yet
    assert next_one.get(timeout=1) is True
    assert semaphore.counter == 0


@pytest.mark.parametrize("timeout", [None, 10])
def test_semaphore_slot_handed_to_a_killed_waiter_goes_to_the_next(timeout: float | None) -> None:
    semaphore = Semaphore(0)
    victim, next_one = spawn(semaphore.acquire, timeout=timeout), spawn(semaphore.acquire)
    sleep(0)
    rob(semaphore)
    assert semaphore.release() == 0
    assert semaphore._handed
    interrupt(victim._carrier, GreenletExit)
    assert next_one.get(timeout=1) is True
    assert semaphore.counter == 0
    assert not semaphore._handed


@pytest.mark.parametrize("timeout", [None, 10])
def test_semaphore_slot_is_handed_over_to_who_was_robbed_too_often(timeout: float | None) -> None:
    semaphore = Semaphore(0)
    waiter = spawn(semaphore.acquire, timeout=timeout)
    sleep(0)
    rob(semaphore)
    assert not waiter.ready()
    assert semaphore.release() == 0
    assert not semaphore.acquire(blocking=False)
    assert waiter.get() is True
    assert semaphore.counter == 0
    assert not semaphore._handed


def test_semaphore_forgets_a_waiter_that_was_robbed_and_then_killed() -> None:
    semaphore = Semaphore(0)
    victim = spawn(semaphore.acquire)
    sleep(0)
    rob(semaphore)
    victim.kill()
    assert semaphore.release() == 1
    assert semaphore.linkcount() == 0
    waiter = spawn(semaphore.acquire)
    semaphore.acquire()
    sleep(0)
    semaphore.release()
    assert waiter.get(timeout=1) is True


def test_semaphore_slot_that_comes_with_the_time_out_is_taken() -> None:
    semaphore = Semaphore(0)
    waiter = spawn(semaphore.acquire, timeout=0.001)
    sleep(0)
    spawn_raw(semaphore.release)
    threading.Event().wait(0.002)
    assert waiter.get() is True
    assert semaphore.counter == 0


@pytest.mark.parametrize("victims", [1, 3, 7])
def test_semaphore_slots_are_conserved_when_waiters_are_killed(victims: int) -> None:
    semaphore = Semaphore(2)
    inside = peak = 0

    def work() -> None:
        nonlocal inside, peak
        with semaphore:
            inside += 1
            peak = max(peak, inside)
            try:
                sleep(0)
            finally:
                inside -= 1

    greenlets = [spawn(work) for _ in range(30)]
    for _ in range(5):
        sleep(0)
        killall([one for one in greenlets if not one.dead][:victims], block=False)
    joinall(greenlets)
    assert semaphore.counter == 2
    assert peak == 2
    assert semaphore.linkcount() == 0
    assert not semaphore._handed


def test_semaphore_wait_does_not_take_the_slot_and_calls_the_next() -> None:
    semaphore = Semaphore(0)
    watcher, taker = spawn(semaphore.wait), spawn(semaphore.acquire)
    sleep(0)
    semaphore.release()
    assert taker.get() is True
    assert watcher.get() == 1
    assert semaphore.counter == 0


def test_semaphore_adjust_changes_the_number_of_slots_while_they_are_taken() -> None:
    semaphore = Semaphore(2)
    semaphore.acquire()
    semaphore.acquire()
    semaphore.adjust(-1)
    assert semaphore.counter == -1
    assert semaphore.locked()
    assert semaphore.release() == 0
    assert semaphore.acquire(blocking=False) is False
    waiters = [spawn(semaphore.acquire) for _ in range(3)]
    sleep(0)
    semaphore.adjust(2)
    sleep(0)
    assert [waiter.ready() for waiter in waiters] == [True, True, False]
    assert semaphore.counter == 0
    semaphore.release()
    waiters[2].join()


def test_semaphore_links_are_called_while_it_is_free() -> None:
    semaphore = Semaphore(0)
    called: list[Any] = []
    semaphore.rawlink(called.append)
    semaphore.release()
    semaphore.acquire()
    sleep(0)
    assert called == []
    assert semaphore.linkcount() == 1
    semaphore.release()
    sleep(0)
    assert called == [semaphore]
    assert wait([semaphore], timeout=1) == [semaphore]


def test_bounded_semaphore_refuses_a_release_too_many() -> None:
    semaphore = BoundedSemaphore(1)
    with pytest.raises(ValueError, match="too many times"):
        semaphore.release()
    semaphore.acquire()
    spawn(semaphore.acquire, timeout=0)
    sleep(0.001)
    assert semaphore.hub is get_hub()
    assert semaphore.release() == 1
    assert semaphore.hub is None


def test_dummy_semaphore_never_blocks() -> None:
    dummy = DummySemaphore(3)
    with dummy:
        assert dummy.acquire()
        assert dummy.acquire(False, 0)
    dummy.release()
    assert not dummy.locked()
    assert dummy.ready()
    assert dummy.wait() == 1
    assert str(dummy) == "<DummySemaphore>"


def test_semaphore_in_a_finalizer_works_while_another_one_waits() -> None:
    semaphore = Semaphore(1)

    class Holder:
        def __del__(self) -> None:
            semaphore.release()

    semaphore.acquire()
    holder = Holder()
    waiter = spawn(semaphore.acquire)
    sleep(0)
    del holder
    gc.collect()
    assert waiter.get() is True
