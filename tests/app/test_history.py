"""Everything that is kept is bounded, and failures outlive successes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from greenscope.app.history import Entry, EventRing, Retention
from greenscope.app.lives import Life
from greenscope.app.model import Event, ExceptionRecord, GreenletRecord, State


def _entry(seq: int, message: str = "") -> Entry:
    return Entry(seq, "failed", 0.0, Event("failed", 0.0, greenlet=seq, exception=ExceptionRecord("E", message)))


def _ended(id: int, state: State, t: float = 0.0) -> Life:
    life = Life(GreenletRecord(id, f"g{id}", "f", "a.py", 1, 0.0))
    life.final, life.ended = state, t
    return life


@given(st.lists(st.integers(0, 3000), max_size=200), st.integers(1, 20), st.integers(500, 20_000))
def test_ring_keeps_the_newest_within_both_bounds(sizes: list[int], limit: int, limit_bytes: int) -> None:
    ring = EventRing(limit, limit_bytes)
    for seq, size in enumerate(sizes, 1):
        ring.append(_entry(seq, "x" * size))
    kept = ring.after(0)
    assert len(kept) == len(ring) <= limit
    assert ring.bytes == sum(entry.weight for entry in kept)
    assert ring.bytes <= limit_bytes or len(ring) == 1
    assert [entry.seq for entry in kept] == list(range(ring.first_seq, ring.last_seq + 1))
    assert all(later.seq == earlier.seq + 1 for earlier, later in pairwise(kept))


def test_ring_gives_what_is_after_a_number() -> None:
    ring = EventRing(5, 1_000_000)
    for seq in range(1, 9):
        ring.append(_entry(seq))
    assert [entry.seq for entry in ring.after(6)] == [7, 8]
    assert ring.after(8) == ring.after(99) == []
    assert [entry.seq for entry in ring.newest_first()] == [8, 7, 6, 5, 4]
    assert ring.first_seq == 4


def test_ring_weighs_the_json_that_it_keeps() -> None:
    ring = EventRing(100, 10_000)
    for seq in range(1, 6):
        ring.append(_entry(seq))
    before = ring.bytes
    ring.weigh(ring.after(4)[0], "x" * 3000)
    assert ring.bytes == before + 3000
    for seq in range(6, 40):
        ring.append(_entry(seq))
        ring.weigh(ring.after(seq - 1)[0], "x" * 3000)
    assert ring.bytes <= 10_000 + 3000
    assert ring.bytes == sum(entry.weight for entry in ring.after(0))


def test_retention_keeps_failures_longer_by_count() -> None:
    kept = Retention(10, 100.0, 1000.0)
    for id in range(1, 6):
        kept.add(_ended(id, "failed"))
    gone = [life.record.id for id in range(6, 40) for life in kept.add(_ended(id, "succeeded"))]
    assert len(kept) == 10
    assert {life.record.id for life in kept.of_states(frozenset({"failed"}))} == {1, 2, 3, 4, 5}
    assert gone == list(range(6, 35))


def test_retention_leaves_room_for_successes_in_a_wave_of_failures() -> None:
    kept = Retention(10, 100.0, 1000.0)
    for id in range(1, 6):
        kept.add(_ended(id, "succeeded"))
    for id in range(6, 60):
        kept.add(_ended(id, "failed"))
    assert len(kept) == 10
    assert len(kept.of_states(frozenset({"succeeded"}))) == 2
    assert kept.get(59) is not None
    assert kept.get(6) is None


def test_retention_keeps_failures_longer_by_age() -> None:
    kept = Retention(100, 100.0, 1000.0)
    kept.add(_ended(1, "failed", 0.0))
    kept.add(_ended(2, "succeeded", 0.0))
    kept.add(_ended(3, "killed", 50.0))
    assert [life.record.id for life in kept.expire(120.0)] == [2]
    assert [life.record.id for life in kept.expire(200.0)] == [3]
    assert [life.record.id for life in kept.expire(999.0)] == []
    assert [life.record.id for life in kept.expire(1001.0)] == [1]
    assert list(kept) == []


def test_retention_tells_states_apart() -> None:
    kept = Retention(100, 100.0, 1000.0)
    kept.add(_ended(1, "failed"))
    kept.add(_ended(2, "succeeded"))
    kept.add(_ended(3, "killed"))
    assert [life.record.id for life in kept.of_states(frozenset({"killed"}))] == [3]
    assert {life.record.id for life in kept.of_states(frozenset({"succeeded", "killed"}))} == {2, 3}
    assert kept.of_states(frozenset({"waiting"})) == []
