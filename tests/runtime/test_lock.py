"""RLock: its owner, observers, kills, conditions."""

import threading
import weakref

import pytest

from greenscope.runtime import Greenlet, GreenletExit, getcurrent, joinall, sleep, spawn
from greenscope.runtime.lock import RLock
from greenscope.runtime.waiting import interrupt
from tests.runtime.elsewhere import in_thread


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
