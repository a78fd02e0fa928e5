"""The locks: order, fairness, time-outs, kills that lose no slot, threads with and without a hub."""

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from greenscope.runtime import (
    Greenlet,
    GreenletExit,
    Timeout,
    getcurrent,
    joinall,
    killall,
    sleep,
    spawn,
    spawn_raw,
    wait,
)
from greenscope.runtime.exceptions import LoopExit
from greenscope.runtime.hub import get_hub, get_hub_if_exists
from greenscope.runtime.lock import BoundedSemaphore, DummySemaphore, RLock, Semaphore
from greenscope.runtime.semaphore import PATIENCE
from greenscope.runtime.waiting import interrupt


def in_thread(function: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            function()
        finally:
            hub = get_hub_if_exists()
            if hub is not None:
                hub.destroy()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


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


# -- across threads


def test_semaphore_thread_without_a_hub_waits_natively() -> None:
    semaphore = Semaphore(1)
    semaphore.acquire()
    found: list[Any] = []
    started = threading.Event()

    def work() -> None:
        started.set()
        found.append(semaphore.acquire())
        found.append(semaphore.acquire(timeout=0.001))
        found.append(get_hub_if_exists())

    thread = in_thread(work)
    started.wait(5)
    semaphore.release()
    thread.join(5)
    assert found == [True, False, None]
    assert semaphore.linkcount() == 0


def test_semaphore_greenlet_waits_for_what_a_thread_holds() -> None:
    semaphore = Semaphore(1)
    semaphore.acquire()
    semaphore.release()
    taken, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with semaphore:
            taken.set()
            go_on.wait(5)

    thread = in_thread(hold)
    taken.wait(5)
    waiter = spawn(semaphore.acquire)
    ticks: list[int] = []
    for _ in range(3):
        spawn(ticks.append, 1).join()
    assert len(ticks) == 3
    assert not waiter.ready()
    go_on.set()
    assert waiter.get() is True
    thread.join(5)
    assert get_hub().holds == 0


def test_semaphore_that_a_second_thread_comes_to_keeps_the_hubs_of_those_in_line_alive() -> None:
    semaphore = Semaphore(1)
    semaphore.acquire()
    hub = get_hub()
    waiter = spawn(semaphore.acquire)
    sleep(0)
    assert hub.holds == 0
    come = threading.Event()

    def release() -> None:
        assert semaphore.acquire(blocking=False) is False
        come.set()
        while not hub.sleeping:
            pass
        semaphore.release()

    thread = in_thread(release)
    come.wait(5)
    assert waiter.get() is True
    thread.join(5)
    assert hub.holds == 0


def test_semaphore_forgets_the_hub_of_a_thread_whose_number_another_one_has_got() -> None:
    semaphore = Semaphore(0)
    in_thread(lambda: semaphore.acquire(timeout=0.001)).join(5)
    semaphore._ident = threading.get_ident()  # what the system does when it feels like it
    waiter = spawn(semaphore.acquire)
    sleep(0)
    semaphore.release()
    semaphore.acquire()
    sleep(0)
    assert not waiter.ready()  # it was robbed
    semaphore.release()
    assert waiter.get(timeout=1) is True


def test_semaphore_hands_over_no_slot_that_another_thread_has_just_taken() -> None:
    semaphore = Semaphore(0)
    waiter = spawn(semaphore.acquire)
    sleep(0)
    semaphore._hand_over()  # as release() does, who saw a free slot a moment ago
    sleep(0)
    assert semaphore.counter == 0
    assert not waiter.ready()
    semaphore.release()
    assert waiter.get(timeout=1) is True


@pytest.mark.parametrize("with_hub", [True, False], ids=["hubs", "no hubs"])
def test_semaphore_excludes_threads_from_each_other(with_hub: bool) -> None:
    semaphore = Semaphore(1)
    inside: list[int] = []
    overlaps: list[int] = []
    rounds = 300

    def duel() -> None:
        if with_hub:
            get_hub()
        for _ in range(rounds):
            semaphore.acquire()
            inside.append(1)
            if len(inside) != 1:
                overlaps.append(len(inside))
            if with_hub:
                sleep(0)
            inside.pop()
            semaphore.release()

    threads = [in_thread(duel) for _ in range(3)]
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert overlaps == []
    assert semaphore.counter == 1
    assert not semaphore._handed


# -- RLock


def test_rlock_can_be_taken_again_by_its_owner_only() -> None:
    lock = RLock()
    assert lock.owner is None
    with lock:
        assert lock.acquire() == 1
        assert lock.locked()
        assert lock.owner is getcurrent()
        other = spawn(lock.acquire, blocking=False)
        assert other.get() is False
        assert spawn(lock.acquire, timeout=0.001).get() is False
        lock.release()
        assert lock.locked()
    assert not lock.locked()
    assert lock.owner is None
    assert spawn(lock.acquire).get() is True
    with pytest.raises(RuntimeError, match="un-acquired"):
        lock.release()
    assert weakref.ref(lock)() is lock


def test_rlock_shows_observers_who_waits_for_whom() -> None:
    lock = RLock()

    def hold() -> None:
        with lock:
            sleep(0.002)

    def want() -> None:
        with lock:
            pass

    holder, wanting = Greenlet(hold), Greenlet(want)
    holder.start()
    wanting.start()
    sleep(0)
    assert wanting._carrier is not None
    shown = wanting._carrier.waiting_on
    assert shown is lock
    assert shown.waits_as == "lock"
    assert shown.owner is holder
    joinall([holder, wanting])
    assert lock.owner is None
    assert "_count=0" in repr(lock)


def test_rlock_of_a_killed_waiter_stays_free() -> None:
    lock = RLock()
    lock.acquire()
    victim = spawn(lock.acquire)
    sleep(0)
    lock.release()
    interrupt(victim._carrier, GreenletExit)
    sleep(0)
    assert not lock.locked()
    assert lock.acquire(blocking=False)


def test_rlock_serves_a_condition() -> None:
    condition = threading.Condition(RLock())  # type: ignore[arg-type]
    items: list[int] = []

    def give() -> None:
        with condition:
            items.append(1)
            condition.notify()

    with condition:
        thread = in_thread(give)
        assert condition.wait_for(lambda: items, timeout=5)
    thread.join(5)
    assert items == [1]
