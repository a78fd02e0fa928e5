"""apply and map in all their forms: order, errors, limits, and readers that give up."""

from collections.abc import Iterator
from typing import Any

import pytest

from greenscope.runtime import Greenlet, GreenletExit, Timeout, joinall, sleep, spawn
from greenscope.runtime.event import AsyncResult, Event
from greenscope.runtime.hub import get_hub
from greenscope.runtime.pool import Group, Pool
from greenscope.runtime.waiting import interrupt


class BrokenError(Exception):
    pass


def square(number: int) -> int:
    sleep(0)
    return number * number


def slow_for_small(number: int) -> int:
    for _ in range(5 - number):
        sleep(0)
    return number


def inverse(number: int) -> float:
    return 1 / number


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(get_hub()), "print_exception", lambda *args: None)


@pytest.fixture(params=[1, 2, 10, None], ids=lambda size: f"Pool({size})")
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    made = Pool(request.param)
    yield made
    assert made.join(timeout=1) is True
    assert made.size is None or made._semaphore.counter == made.size


def test_apply_returns_the_value_or_raises_the_error(pool: Pool, quiet: None) -> None:
    assert pool.apply(square, (3,)) == 9
    assert pool.apply(int, ("11",), {"base": 2}) == 3
    assert pool.apply(dict) == {}
    with pytest.raises(ZeroDivisionError):
        pool.apply(inverse, (0,))


def test_apply_in_a_member_makes_the_call_itself() -> None:
    pool = Pool(1)
    assert pool.apply(pool.apply, (square, (3,))) == 9


def test_apply_cb_hands_the_result_on(pool: Pool) -> None:
    result = AsyncResult()
    assert pool.apply_cb(square, (4,), callback=result.set) == 16
    assert result.get() == 16
    assert pool.apply_cb(square, (2,)) == 4


def test_apply_async_never_blocks_and_calls_back_on_success(pool: Pool, quiet: None) -> None:
    blocker = Event()
    while not pool.full() and len(pool) < 12:
        pool.spawn(blocker.wait)
    results = [AsyncResult() for _ in range(3)]
    greenlets = [pool.apply_async(square, (n,), callback=result.set) for n, result in enumerate(results)]
    failing = pool.apply_async(inverse, (0,), callback=results[0].set)
    blocker.set()
    assert [result.get() for result in results] == [0, 1, 4]
    assert [greenlet.get() for greenlet in greenlets] == [0, 1, 4]
    failing.join()
    assert isinstance(failing.exception, ZeroDivisionError)
    assert results[0].get() == 0
    assert pool.apply_async(dict, None, {"a": 1}).get() == {"a": 1}


def test_map_returns_the_results_in_order(pool: Pool) -> None:
    assert pool.map(slow_for_small, range(5)) == [0, 1, 2, 3, 4]
    assert pool.map(square, []) == []


def test_map_raises_the_first_error_in_order(pool: Pool, quiet: None) -> None:
    with pytest.raises(ZeroDivisionError):
        pool.map(inverse, [1, 0, 2])


def test_map_takes_a_stop_from_spawn_for_an_error(pool: Pool) -> None:
    mapping = spawn(lambda: pool.map(lambda _: sleep(60), range(100)))
    sleep(0)
    mapping.kill(StopIteration)
    assert isinstance(mapping.exception, StopIteration | RuntimeError)
    pool.kill()


def test_map_async_returns_a_greenlet_that_calls_back(pool: Pool) -> None:
    result = AsyncResult()
    mapping = pool.map_async(square, [1, 2, 3], callback=result.set)
    assert isinstance(mapping, Greenlet)
    assert mapping.get() == result.get() == [1, 4, 9]
    assert pool.map_async(square, [5]).get() == [25]


def test_imap_yields_in_order(pool: Pool) -> None:
    assert list(pool.imap(slow_for_small, range(5))) == [0, 1, 2, 3, 4]
    assert list(pool.imap(square, [])) == []
    assert list(pool.imap(pow, [2, 3, 4], [5, 6])) == [32, 729]


def test_imap_unordered_yields_in_order_of_ending(pool: Pool) -> None:
    found = list(pool.imap_unordered(slow_for_small, range(5)))
    assert sorted(found) == [0, 1, 2, 3, 4]
    if pool.size == 1:
        assert found == [0, 1, 2, 3, 4]
    if pool.size in (10, None):
        assert found == [4, 3, 2, 1, 0]
    assert sorted(pool.imap_unordered(pow, [2, 3, 4], [5, 6])) == [32, 729]


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_imap_that_is_exhausted_stops_again_and_again(method: str) -> None:
    iterator = getattr(Group(), method)(square, [2])
    assert iter(iterator) is iterator
    assert list(iterator) == [4]
    assert list(iterator) == []
    assert not iterator.queue
    assert not iterator._readers


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_imap_raises_the_error_of_an_item_and_goes_on(method: str, quiet: None) -> None:
    iterator = getattr(Pool(1), method)(inverse, [1, 0, 2])
    assert next(iterator) == 1.0
    with pytest.raises(ZeroDivisionError):
        next(iterator)
    assert iterator.next() == 0.5
    with pytest.raises(StopIteration):
        next(iterator)


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_imap_raises_the_error_of_the_iterable(method: str, quiet: None) -> None:
    read = Event()

    def items() -> Iterator[int]:
        yield 1
        read.wait()
        raise BrokenError("iterable")

    pool = Pool(3)
    iterator = getattr(pool, method)(square, items())
    assert next(iterator) == 1
    read.set()
    with pytest.raises(BrokenError):
        next(iterator)
    assert list(iterator) == []
    pool.join()


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_imap_makes_no_more_than_maxsize_results_before_they_are_read(method: str) -> None:
    started: list[int] = []

    def start(number: int) -> int:
        started.append(number)
        return number

    pool = Pool(5)
    iterator = getattr(pool, method)(start, range(20), maxsize=2)
    for count in range(20):
        sleep(0)
        sleep(0)
        assert len(started) <= count + 2
        assert next(iterator) == count
        assert len(iterator.queue) <= 3
    assert list(iterator) == []


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_imap_iterates_over_what_blocks(method: str) -> None:
    event = Event()

    def items() -> Iterator[int]:
        yield 1
        event.wait()
        yield 2

    iterator = getattr(Pool(2), method)(square, items())
    assert next(iterator) == 1
    spawn(event.set)
    assert list(iterator) == [4]


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_imap_result_is_not_lost_when_a_reader_gives_up(method: str) -> None:
    event = Event()

    def late(number: int) -> int:
        event.wait()
        return number

    pool = Pool(3)
    iterator = getattr(pool, method)(late, range(3))
    with pytest.raises(Timeout), Timeout(0.001):
        next(iterator)
    reader = spawn(next, iterator)
    sleep(0)
    event.set()
    sleep(0)
    interrupt(reader._carrier, GreenletExit)  # called already, not run yet
    reader.join()
    assert isinstance(reader.value, GreenletExit)
    assert sorted(iterator) == [0, 1, 2]
    assert not iterator._readers


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
@pytest.mark.parametrize("maxsize", [None, 1, 3])
def test_imap_result_is_read_when_its_greenlet_has_left_the_pool(method: str, maxsize: int | None) -> None:
    pool = Pool(3)
    iterator = getattr(pool, method)(abs, range(5), maxsize=maxsize)
    sleep(0)
    members = [(next(iterator), len(pool))[1] for _ in range(5)]
    assert members[-1] == 0
    assert pool.free_count() == 3


def test_imap_unordered_serves_several_readers() -> None:
    iterator = Pool(3).imap_unordered(square, range(20))
    found: list[int] = []

    def read() -> None:
        for value in iterator:
            found.append(value)
            sleep(0)

    readers = [spawn(read) for _ in range(4)]
    joinall(readers, timeout=1)
    assert all(reader.successful() for reader in readers)
    assert sorted(found) == [n * n for n in range(20)]


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_imap_that_is_killed_ends_its_readers(method: str, begun: bool) -> None:
    pool = Pool(2)
    iterator: Any = getattr(pool, method)(sleep, [10] * 5)
    reader = spawn(list, iterator)
    if begun:
        sleep(0)
        sleep(0)
    iterator.kill()
    pool.kill()
    reader.join(1)
    assert reader.dead
    assert pool._semaphore.counter == 2
    assert pool.waiting_count() == 0


class CountsSpawns(Pool):
    spawned = 0

    def spawn(self, *args: Any, **kwargs: Any) -> Any:
        self.spawned += 1
        return super().spawn(*args, **kwargs)


class CountsStarts(Pool):
    spawned = 0

    def start(self, greenlet: Any, blocking: bool = True, timeout: float | None = None) -> None:
        self.spawned += 1
        super().start(greenlet, blocking, timeout)


class CountsAdds(Pool):
    spawned = 0

    def add(self, greenlet: Any, blocking: bool = True, timeout: float | None = None) -> None:
        self.spawned += 1
        super().add(greenlet, blocking, timeout)


@pytest.mark.parametrize("pool_class", [CountsSpawns, CountsStarts, CountsAdds])
@pytest.mark.parametrize("mapping", ["map", "imap", "imap_unordered"])
def test_mapping_methods_go_by_what_the_program_has_overridden(pool_class: Any, mapping: str) -> None:
    pool = pool_class(2)
    assert sorted(getattr(pool, mapping)(abs, [-1, -2, -3])) == [1, 2, 3]
    assert pool.spawned == 3


@pytest.mark.parametrize("name", ["spawn", "start"])
def test_mapping_methods_go_by_what_was_replaced_at_the_pool_itself(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pool = Pool(2)
    original = getattr(pool, name)
    calls = []
    monkeypatch.setattr(pool, name, lambda *args: calls.append(args) or original(*args))
    assert pool.map(abs, [-1, -2]) == [1, 2]
    assert len(calls) == 2


def test_mapping_methods_go_by_a_spawn_that_was_replaced_for_all_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = Group.spawn

    def spawn_and_count(self: Group, *args: Any) -> Any:
        calls.append(args)
        return original(self, *args)

    monkeypatch.setattr(Group, "spawn", spawn_and_count)
    assert Pool(2).map(abs, [-1]) == [1]
    assert list(Group().imap(abs, [-2])) == [2]
    assert calls == [(abs, -1), (abs, -2)]


@pytest.mark.parametrize("name", ["spawn", "start"])
def test_mapping_methods_go_by_another_pools_method(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    ours, theirs = Pool(2), Pool(2)
    monkeypatch.setattr(ours, name, getattr(theirs, name))
    assert ours.map(lambda _: (len(ours), len(theirs)), [1]) == [(0, 1)]
