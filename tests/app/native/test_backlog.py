"""The native probe meets very many at once who live: it looks at some in each tick, and misses nobody."""

import gc
from time import monotonic

import pytest
from greenlet import greenlet

from greenscope.app.backends import native_intake, native_newborn
from greenscope.app.backends.native import NativeProbe
from greenscope.app.backends.native_intake import HELD_BACK, HELD_UNBEGUN
from greenscope.app.backends.short_lives import CROWD
from greenscope.app.model import Drained
from greenscope.runtime import Greenlet, joinall, killall, sleep, spawn, spawn_raw
from greenscope.runtime.thread import RuntimeThread


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time at which births are looked at; few are looked at a time."""
    now = [monotonic()]
    monkeypatch.setattr(native_intake, "monotonic", lambda: now[0])
    monkeypatch.setattr(native_newborn, "LOOKED_AT", 10)
    monkeypatch.setattr(native_newborn, "OLD_IN_A_ROW", 5)
    monkeypatch.setattr(native_intake, "TAKEN", 50)
    monkeypatch.setattr(native_intake, "HELD_MOST", 20)
    return now


def born_in(drained: Drained) -> list[int]:
    """Return the ids of those who were born, but for the thread's own calls."""
    return [
        event.greenlet
        for event in drained.events
        if event.greenlet is not None and event.record is not None and event.record.function == "sleep"
    ]


def spawn_parked(count: int) -> list[Greenlet]:
    greenlets = [spawn(sleep, 60) for _ in range(count)]
    sleep(0)
    return greenlets


def ids_of(greenlets: list[Greenlet]) -> list[int]:
    return [one._greenscope_id for one in greenlets if one._greenscope_id is not None]


def test_all_that_live_are_told_in_order_some_in_each_tick(
    thread: RuntimeThread, probe: NativeProbe, now: list[float]
) -> None:
    probe.drain()
    parked = thread.call(spawn_parked, 205)
    told: list[int] = []
    for _ in range(8):
        drained = probe.drain()
        assert len(born_in(drained)) <= 50
        told += born_in(drained)
        assert len(told) == 205 or drained.until <= (parked[len(told)]._greenscope_born or 0.0)
    assert told == ids_of(parked)
    more = thread.call(spawn_parked, 3)
    assert born_in(probe.drain()) == ids_of(more)
    thread.call(killall, parked + more)


def test_of_a_crowd_that_has_not_begun_only_the_first_are_looked_at(
    thread: RuntimeThread, probe: NativeProbe, now: list[float]
) -> None:
    def crowd() -> None:
        for _ in range(CROWD // 50):
            joinall([spawn(int) for _ in range(50)])

    def spawn_unbegun() -> list[Greenlet]:
        unbegun = [spawn(sleep, 60) for _ in range(100)]
        now[0] = monotonic() + 2 * HELD_BACK
        found.append(probe.drain())
        found.append(probe.drain())
        looked_at.append(len(probe.told.intake.newborn.held))
        return unbegun

    found: list[Drained] = []
    looked_at: list[int] = []
    probe.drain()
    thread.call(crowd)
    probe.allowance.left = 0.0
    thread.call(sleep, 0)
    unbegun = thread.call(spawn_unbegun)
    assert looked_at == [20]
    assert (born_in(found[0]), born_in(found[1])) == ([], [])
    assert found[1].until <= (unbegun[0]._greenscope_born or 0.0)
    thread.call(sleep, 0)
    now[0] += HELD_UNBEGUN
    told = [id for _ in range(4) for id in born_in(probe.drain())]
    assert told == ids_of(unbegun)
    thread.call(killall, unbegun)


def test_births_beyond_the_buffers_limit_are_given_up_and_counted(
    monkeypatch: pytest.MonkeyPatch, thread: RuntimeThread, now: list[float]
) -> None:
    probe = NativeProbe(buffer_limit=100)
    probe.attach()
    probe.drain()
    parked = thread.call(spawn_parked, 300)
    told, dropped = [], 0
    for _ in range(6):
        drained = probe.drain()
        told += born_in(drained)
        dropped += drained.dropped.get("spawned", 0)
    assert dropped in (200, 201), "the call that has spawned them may still have lived"
    assert told == ids_of(parked[200:])
    thread.call(killall, parked)
    probe.close()


def test_of_a_crowd_that_has_ended_nobody_is_told_before_its_end_is_noted(
    thread: RuntimeThread, probe: NativeProbe, now: list[float]
) -> None:
    """A batch's ends are noted when it is over; a look in the midst of it would make two events of each."""

    def crowd() -> None:
        for _ in range(CROWD // 50):
            joinall([spawn(int) for _ in range(50)])
        for _ in range(10):
            spawn(int)
        spawn(look)
        sleep(0)

    def look() -> None:
        now[0] = monotonic() + 2 * HELD_BACK
        found.append(probe.drain())

    found: list[Drained] = []
    probe.drain()
    probe.allowance.left = 0.0
    before = probe.allowance.shed
    thread.call(crowd)
    thread.call(sleep, 0)
    assert [event for event in found[0].events if event.record is not None and event.record.function == "int"] == []
    assert probe.allowance.shed - before >= CROWD + 10


def test_raw_greenlet_of_a_crowd_may_have_a_state_of_its_own(
    thread: RuntimeThread, probe: NativeProbe, now: list[float]
) -> None:
    def crowd() -> tuple[list[Greenlet], greenlet]:
        for _ in range(CROWD // 50):
            joinall([spawn(int) for _ in range(50)])
        raw = spawn_raw(sleep, 60)
        raw._state = "idle"
        parked = spawn_parked(30)
        return parked, raw

    probe.drain()
    probe.allowance.left = 0.0
    parked, raw = thread.call(crowd)
    now[0] = monotonic() + 2 * HELD_BACK
    told = [event.greenlet for _ in range(4) for event in probe.drain().events if event.kind == "spawned"]
    assert set(told) >= {*ids_of(parked), raw._greenscope_id}
    thread.call(killall, [*parked, raw])


def test_births_that_are_taken_are_one_more_object_each_for_the_collector(
    thread: RuntimeThread, probe: NativeProbe
) -> None:
    probe.drain()
    parked = thread.call(spawn_parked, 5_000)
    gc.collect()
    gc.disable()
    try:
        before = gc.get_count()[0]
        taken = probe.told.intake.take(prompt=True)
        made = gc.get_count()[0] - before
    finally:
        gc.enable()
    assert len(taken) >= 5_000
    assert made < 1.1 * len(taken)
    thread.call(killall, parked)
