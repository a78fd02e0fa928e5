"""Group: who is a member and for how long, what is left after a kill, who is told."""

import gc
import weakref
from typing import Any

import pytest

from greenscope.runtime import (
    Greenlet,
    GreenletExit,
    Timeout,
    getcurrent,
    joinall,
    sleep,
    spawn,
    spawn_later,
    spawn_raw,
)
from greenscope.runtime.hub import get_hub
from greenscope.runtime.instruments import hooks
from greenscope.runtime.pool import Group, Pool, groups


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


def test_group_tells_instruments_of_the_living_who_come_and_go() -> None:
    listener = Listener()
    stays = spawn(sleep, 60)
    hooks.add(listener)
    try:
        pool = Pool(2)
        pool.spawn(sleep, 0)  # its start tells of the pool, by its links, and its end that it left
        pool.add(stays)
        pool.discard(stays)
        pool.join()
    finally:
        hooks.remove(listener)
        stays.kill()
    assert listener.seen == [("opened", pool), ("grouped", pool, stays), ("ungrouped", pool, stays)]


def test_group_instrument_that_fails_is_removed_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Listener):
        def grouped(self, *_: Any) -> None:
            raise BrokenError("hook")

        group_opened = ungrouped = grouped

    broken = Broken()
    stays = spawn(sleep, 60)
    hooks.add(broken)
    try:
        group = Group()
        group.add(stays)
        assert stays in group
        group.discard(stays)
        assert group.join() is True
        assert not hooks.grouped
        assert not hooks.ungrouped
    finally:
        hooks.remove(broken)
        stays.kill()
    assert capsys.readouterr().err.count("was removed") == 3
