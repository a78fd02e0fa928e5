"""Group and Pool: who is a member and for how long, who waits for a slot, what is left after a kill."""

import gc
import queue
import weakref
from typing import Any

import pytest

from greenscope.runtime import (
    Greenlet,
    GreenletExit,
    Timeout,
    getcurrent,
    joinall,
    kill,
    killall,
    sleep,
    spawn,
    spawn_later,
    spawn_raw,
)
from greenscope.runtime.exceptions import LoopExit
from greenscope.runtime.hub import get_hub
from greenscope.runtime.instruments import hooks
from greenscope.runtime.pool import Group, Pool, PoolFull, groups


class BrokenError(Exception):
    pass


def fail() -> None:
    raise BrokenError("in a member")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(get_hub()), "print_exception", lambda *args: None)


class Listener:
    """An instrument that writes down what happens to groups."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def group_opened(self, group: Any) -> None:
        self.seen.append(("opened", group))

    def grouped(self, group: Any, greenlet: Any) -> None:
        self.seen.append(("grouped", group, greenlet))

    def ungrouped(self, group: Any, greenlet: Any) -> None:
        self.seen.append(("ungrouped", group, greenlet))


# -- Group


def test_group_members_leave_when_they_end() -> None:
    group = Group()
    assert not group
    first, second = group.spawn(sleep, 0), group.spawn(sleep, 0.002)
    assert len(group) == 2
    assert first in group
    assert set(group) == {first, second}
    first.join()
    assert set(group) == {second}
    assert group.join() is True
    assert len(group) == 0
    assert not group.full()
    assert group.wait_available() == 1


def test_group_takes_greenlets_of_others_once() -> None:
    running = spawn(sleep, 0.001)
    group = Group([running])
    group.add(running)
    assert running.has_links() == 1
    group.join()
    assert len(group) == 0
    with pytest.raises(TypeError, match="at most one"):
        Group([], [])


def test_group_discarded_member_lives_on() -> None:
    group = Group()
    member = group.spawn(sleep, 0.001)
    group.discard(member)
    group.discard(member)
    assert len(group) == 0
    assert member.has_links() == 0
    assert group.join() is True
    assert not member.dead
    member.join()


def test_group_keeps_a_raw_greenlet_until_it_is_discarded() -> None:
    group = Group()
    raw = spawn_raw(lambda: None)
    group.add(raw)
    group.add(getcurrent())
    sleep(0)
    assert raw in group
    group.discard(raw)
    group.discard(getcurrent())
    assert len(group) == 0


def test_group_join_returns_false_after_its_time() -> None:
    group = Group()
    member = group.spawn(sleep, 1)
    assert group.join(timeout=0.001) is False
    member.kill()
    assert group.join(timeout=0.001) is True


def test_group_join_returns_when_it_was_empty_once() -> None:
    group = Group()
    group.spawn(sleep, 0)
    joiners = [spawn(group.join) for _ in range(2)]
    spawn_later(0.002, group.spawn, sleep, 0.001)
    assert [joiner.get() for joiner in joiners] == [True, True]


def test_group_join_raises_the_error_of_a_member(quiet: None) -> None:
    group = Group()
    group.spawn(sleep, 0)
    group.spawn(fail)
    with pytest.raises(BrokenError):
        group.join(raise_error=True)
    group.spawn(fail)
    assert group.join() is True


def test_group_join_shows_observers_the_group() -> None:
    group = Group()
    group.name = "stages"
    group.spawn(sleep, 0.001)
    joiner = spawn(group.join)
    sleep(0)
    assert joiner._carrier is not None
    shown = joiner._carrier.waiting_on
    assert (shown.waits_as, shown.name) == ("group", "stages")
    joiner.join()


def test_group_kill_ends_all_members_also_those_that_have_not_begun() -> None:
    group = Group()
    running = [group.spawn(sleep, 10) for _ in range(3)]
    sleep(0)
    pending = group.spawn(sleep, 10)
    group.kill()
    assert len(group) == 0
    assert not group.dying
    assert all(isinstance(member.value, GreenletExit) for member in [*running, pending])


def test_group_kill_interrupts_each_member_once() -> None:
    shots = 0

    def undead() -> None:
        nonlocal shots
        while True:
            try:
                sleep(10)
            except BrokenError:
                return
            except GreenletExit:
                shots += 1

    group = Group()
    member = group.spawn(undead)
    sleep(0)
    group.kill(block=False)
    group.killone(member, block=False)
    assert len(group) == 1
    group.kill(timeout=0.001)
    group.kill(timeout=Timeout(0.001))  # type: ignore[arg-type]
    group.kill(timeout=Timeout.start_new(0.001))  # type: ignore[arg-type]
    with pytest.raises(BrokenError):
        group.kill(timeout=Timeout(0.001, BrokenError))  # type: ignore[arg-type]
    assert shots == 1
    assert member in group
    member.kill(BrokenError)
    assert group.join(1)
    assert not group.dying


def test_group_kill_also_ends_those_that_join_meanwhile() -> None:
    group = Group()

    def stubborn() -> None:
        try:
            sleep(10)
        finally:
            group.spawn(sleep, 10)

    group.spawn(stubborn)
    sleep(0)
    group.kill(timeout=1)
    assert len(group) == 0


def test_group_kill_by_a_member_ends_it_too() -> None:
    group = Group()
    other = group.spawn(sleep, 10)
    killer = group.spawn(group.kill)
    joinall([other, killer], timeout=1)
    assert isinstance(killer.value, GreenletExit)
    assert isinstance(other.value, GreenletExit)
    sleep(0)
    assert len(group) == 0


def test_group_killone_waits_for_the_end_of_one_member() -> None:
    group = Group()
    one, other = group.spawn(sleep, 10), group.spawn(sleep, 10)
    sleep(0)
    group.killone(one)
    assert one.dead
    assert set(group) == {other}
    group.killone(one)
    group.killone(other, block=False)
    assert not other.dead
    group.join()


def test_group_spawns_its_greenlet_class() -> None:
    class Mine(Greenlet):
        pass

    class Mines(Group):
        greenlet_class = Mine

    group = Mines()
    assert type(group.spawn(sleep, 0)) is Mine
    pool = Pool(2, Mine)
    assert type(pool.spawn(sleep, 0)) is Mine
    group.join()
    pool.join()


def test_group_has_a_name_and_is_found_by_observers_as_long_as_it_lives() -> None:
    group, pool = Group(), Pool(1)
    assert group.name == f"Group-{group._number}"
    assert pool.name == f"Pool-{pool._number}"
    assert group._number != pool._number
    pool.name = "hashers"
    assert pool.name == "hashers"
    assert {group, pool} <= set(groups)
    assert "Group at" in repr(group)
    gone = weakref.ref(pool)
    pool.spawn(sleep, 0).join()
    del pool
    gc.collect()
    assert gone() is None
    assert "hashers" not in {one.name for one in groups}


def test_group_tells_instruments_who_comes_and_goes() -> None:
    listener = Listener()
    hooks.add(listener)
    try:
        pool = Pool(1)
        first = pool.spawn(sleep, 0)
        second = pool.spawn(sleep, 0)
        pool.join()
    finally:
        hooks.remove(listener)
    assert listener.seen == [
        ("opened", pool),
        ("grouped", pool, first),
        ("ungrouped", pool, first),
        ("grouped", pool, second),
        ("ungrouped", pool, second),
    ]


def test_group_instrument_that_fails_is_removed_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Listener):
        def grouped(self, group: Any, greenlet: Any) -> None:
            raise BrokenError("hook")

        group_opened = ungrouped = grouped  # type: ignore[assignment]

    broken = Broken()
    hooks.add(broken)
    try:
        group = Group()
        group.spawn(sleep, 0)
        assert group.join() is True
        assert not hooks.grouped
        assert not hooks.ungrouped
    finally:
        hooks.remove(broken)
    assert capsys.readouterr().err.count("was removed") == 3


# -- Pool


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
