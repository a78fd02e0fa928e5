"""Pool: who waits for a slot, what is left after a kill."""

import queue

import pytest

from greenscope.runtime import Greenlet, joinall, kill, killall, sleep, spawn
from greenscope.runtime.exceptions import LoopExit
from greenscope.runtime.lock import Semaphore
from greenscope.runtime.pool import Group, Pool, PoolFull


def test_pool_spawn_blocks_while_it_is_full() -> None:
    pool = Pool(2)
    running = peak = 0

    def work() -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        sleep(0)
        running -= 1

    for _ in range(7):
        pool.spawn(work)
        assert len(pool) <= 2
    pool.join()
    assert peak == 2
    assert pool.free_count() == 2
    assert pool._semaphore.counter == 2


def test_pool_says_how_full_it_is() -> None:
    pool = Pool(2)
    assert (pool.size, pool.free_count(), pool.full(), pool.waiting_count()) == (2, 2, False, 0)
    members = [pool.spawn(sleep, 10) for _ in range(2)]
    spawners = [spawn(pool.spawn, sleep, 10) for _ in range(3)]
    sleep(0)
    assert (pool.free_count(), pool.full(), len(pool), pool.waiting_count()) == (0, True, 2, 3)
    assert pool.wait_available(timeout=0.001) == 0
    killall(spawners)
    assert pool.waiting_count() == 0
    members[0].kill()
    assert pool.wait_available() == 1
    pool.kill()
    assert pool._semaphore.counter == 2


def test_pool_shows_observers_who_waits_for_a_slot() -> None:
    pool = Pool(1)
    pool.name = "fetchers"
    pool.spawn(sleep, 0.001)
    spawner = spawn(pool.spawn, sleep, 0)
    sleep(0)
    assert spawner._carrier is not None
    shown = spawner._carrier.waiting_on
    assert (shown.waits_as, shown.name) == ("pool slot", "fetchers")
    spawner.join()
    pool.join()


def test_pool_add_raises_pool_full() -> None:
    pool = Pool(1)
    member = pool.spawn(sleep, 10)
    newcomer = Greenlet(sleep, 0)
    with pytest.raises(PoolFull):
        pool.add(newcomer, blocking=False)
    with pytest.raises(queue.Full):
        pool.start(newcomer, timeout=0.001)
    assert not newcomer.started
    assert newcomer not in pool
    pool.add(member, blocking=False)  # a member already: takes no second slot
    member.kill()
    pool.start(newcomer, blocking=False)
    pool.join()
    assert pool._semaphore.counter == 1


def test_pool_without_a_size_never_blocks() -> None:
    pool = Pool()
    for _ in range(50):
        pool.spawn(sleep, 0)
    assert (pool.size, pool.free_count(), pool.full(), pool.waiting_count(), len(pool)) == (None, 1, False, 0, 50)
    assert pool.wait_available() == 1
    pool.join()


def test_pool_of_size_zero_lets_nobody_in() -> None:
    pool = Pool(0)
    assert pool.full()
    assert pool.wait_available(timeout=0.001) == 0
    with pytest.raises(LoopExit):
        pool.spawn(sleep, 0)
    with pytest.raises(ValueError, match="must not be negative: -1"):
        Pool(-1)


def test_pool_grows_while_it_works_and_wakes_those_who_wait() -> None:
    pool = Pool(1)
    pool.spawn(sleep, 10)
    spawners = [spawn(pool.spawn, sleep, 10) for _ in range(4)]
    sleep(0)
    pool.size = 3
    sleep(0)
    assert (len(pool), pool.waiting_count()) == (3, 2)
    pool.size = None
    sleep(0)
    assert (len(pool), pool.waiting_count(), pool.size) == (5, 0, None)
    assert all(spawner.ready() for spawner in spawners)
    pool.kill()


def test_pool_shrinks_as_its_members_end() -> None:
    pool = Pool(3)
    members = [pool.spawn(sleep, 10) for _ in range(3)]
    pool.size = 1
    assert (len(pool), pool.free_count(), pool.full()) == (3, 0, True)
    spawner = spawn(pool.spawn, sleep, 10)
    sleep(0)
    members[0].kill()
    members[1].kill()
    sleep(0)
    assert not spawner.ready()
    members[2].kill()
    sleep(0)
    assert spawner.ready()
    assert len(pool) == 1
    with pytest.raises(ValueError, match="must not be negative"):
        pool.size = -2
    assert pool.size == 1
    pool.kill()
    assert pool._semaphore.counter == 1


def test_pool_gets_a_limit_while_it_works() -> None:
    pool = Pool()
    members = [pool.spawn(sleep, 10) for _ in range(3)]
    pool.size = 2
    assert pool._semaphore.counter == -1
    with pytest.raises(PoolFull):
        pool.start(Greenlet(sleep, 0), blocking=False)
    members[0].kill()
    members[1].kill()
    sleep(0)
    assert pool.free_count() == 1
    pool.start(Greenlet(sleep, 0), blocking=False)
    pool.size = None
    pool.size = 1
    pool.kill()
    assert pool._semaphore.counter == 1


@pytest.mark.parametrize("seed", range(5))
def test_pool_slots_are_conserved_when_spawners_and_members_are_killed(seed: int) -> None:
    import random

    chance = random.Random(seed)
    pool = Pool(3)
    spawners = [spawn(pool.spawn, sleep, 0) for _ in range(30)]
    for _ in range(10):
        sleep(0)
        alive = [one for one in [*spawners, *pool] if not one.dead]
        for victim in chance.sample(alive, min(3, len(alive))):
            kill(victim)
        pool.size = chance.choice([1, 3, 5])
        assert len(pool) <= 5
    joinall(spawners, timeout=1)
    pool.join(timeout=1)
    pool.size = 3
    assert (len(pool), pool.free_count(), pool._semaphore.counter, pool.waiting_count()) == (0, 3, 3, 0)


def test_group_with_a_semaphore_of_its_own_keeps_it() -> None:
    class Throttled(Group):
        def __init__(self, most: int) -> None:
            super().__init__()
            self._semaphore = Semaphore(most)

        def add(self, greenlet: Greenlet) -> None:
            self._semaphore.acquire()
            super().add(greenlet)

        def _discard(self, greenlet: Greenlet) -> bool:
            left = super()._discard(greenlet)
            self._semaphore.release()
            return left

    group = Throttled(2)
    for _ in range(3):
        group.spawn(int)
    group.join()
    assert group._semaphore.counter == 2


def test_member_that_ends_while_it_is_added_leaves() -> None:
    """In another thread: after it was looked whether it has ended, before it has the link."""

    class Ending(Group):
        @property
        def _discard(self) -> object:  # type: ignore[override]
            task.join()
            return super()._discard

    task = spawn(sleep, 0.001)
    group = Ending()
    group.add(task)
    sleep(0.001)
    assert len(group) == 0
