"""Semaphores between threads, with and without a hub."""

import threading
from typing import Any

import pytest

from greenscope.runtime import sleep, spawn
from greenscope.runtime.hub import get_hub, get_hub_if_exists
from greenscope.runtime.lock import Semaphore
from tests.runtime.elsewhere import in_thread


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
