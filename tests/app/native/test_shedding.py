"""The native probe under load: what cannot be told is counted, and what is known stays right."""

import time
import weakref
from functools import partial
from math import inf
from time import monotonic

import pytest

from greenscope.app.backends import native_intake
from greenscope.app.backends.native import NativeProbe
from greenscope.app.backends.native_intake import HELD_BACK
from greenscope.app.backends.short_lives import CROWD, CROWD_SHARE, SHORT_BURST, SHORT_RATE
from greenscope.app.feed import Feed, FeedLimits
from greenscope.app.model import Drained
from greenscope.runtime import Greenlet, joinall, sleep, spawn
from greenscope.runtime.event import Event as Flag
from greenscope.runtime.pool import Group, Pool
from greenscope.runtime.thread import RuntimeThread


def test_full_buffer_drops_and_counts_and_the_registry_stays_right(thread: RuntimeThread) -> None:
    probe = NativeProbe(buffer_limit=10)
    probe.attach()
    probe.drain()  # what other tests have left alive
    try:

        def burst() -> list[Greenlet]:
            return [spawn(sleep, 60) for _ in range(50)]

        greenlets = thread.call(burst)
        drained = probe.drain()
        assert len(born_in(drained)) <= 20
        assert drained.dropped["spawned"] >= 40
        assert {g._greenscope_id for g in greenlets} <= set(probe.live_ids())
        missed = [g._greenscope_id for g in greenlets]
        assert {record.id for record in probe.records(missed)} == set(missed)
    finally:
        probe.close()


def test_short_lives_that_nobody_could_follow_are_counted_and_failures_told(
    thread: RuntimeThread, probe: NativeProbe
) -> None:
    feed = Feed(probe)
    feed.tick()
    spawned, ended = feed.population.spawned, dict(feed.population.ended)

    def fail() -> None:
        raise LookupError

    def live_and_end() -> Pool:
        pool = Pool(100)
        for number in range(3000):
            pool.spawn(fail if number % 1000 == 999 else int)._report_error = lambda *_: None
        pool.join()
        return pool

    pool = thread.call(live_and_end)
    feed.tick()
    population = feed.population
    mains = sum(life.record.function == "<main>" for life in population.finished)  # of other tests' threads, that end
    assert population.spawned - spawned in (3000, 3001)  # and the one that called, if it has ended
    assert population.ended["succeeded"] - ended["succeeded"] - mains in (2997, 2998)
    assert (population.ended["failed"] - ended["failed"], population.ended["killed"]) == (3, ended["killed"])
    told = [life for life in population.finished if life.record.function == "int"]
    assert SHORT_BURST // 2 <= len(told) <= SHORT_BURST + SHORT_RATE
    failed = [life for life in population.finished if life.state == "failed"]
    assert len(failed) == 3
    band = next(band for band in population.bands.values() if band.name == pool.name)
    assert (band.spawned, band.counts["succeeded"], band.counts["failed"]) == (3000, 2997, 3)


def test_lives_that_are_told_since_they_last_leave_the_less_room_for_short_ones(
    thread: RuntimeThread, probe: NativeProbe
) -> None:
    probe.allowance.left = float(SHORT_BURST)
    lasting = {one._greenscope_id for one in thread.call(lambda: [spawn(sleep, 60) for _ in range(SHORT_BURST - 50)])}
    assert lasting <= born_in(probe.drain(prompt=True))
    thread.call(crowd, SHORT_BURST)
    assert len(born_in(probe.drain())) <= 50 + SHORT_RATE


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time at which notes are taken."""
    now = [monotonic()]
    monkeypatch.setattr(native_intake, "monotonic", lambda: now[0])
    return now


def crowd(births: int) -> None:
    for _ in range(births // 50):
        joinall([spawn(int) for _ in range(50)])


def born_in(drained: Drained) -> set[int | None]:
    return {event.greenlet for event in drained.events if event.kind == "spawned"}


def spawn_lasting() -> tuple[set[int | None], float]:
    """Return the ids of some that last, and when the first was born."""
    some = [spawn(sleep, 60) for _ in range(5)]
    assert some[0]._greenscope_born is not None
    return {one._greenscope_id for one in some}, some[0]._greenscope_born


@pytest.mark.parametrize(("births", "awaited", "held"), [(1000, False, True), (200, False, False), (1000, True, False)])
def test_after_a_crowd_those_just_born_are_left_for_the_next_time(
    thread: RuntimeThread, probe: NativeProbe, now: list[float], births: int, awaited: bool, held: bool
) -> None:
    now[0] = monotonic()
    probe.drain()
    thread.call(crowd, births)
    now[0] = monotonic()
    probe.drain()
    lasting, born = thread.call(spawn_lasting)
    now[0] = born + HELD_BACK / 2
    if awaited:
        probe.spawn(int, {}, None, None, 5.0)
    told = born_in(probe.drain())
    assert lasting.isdisjoint(told) if held else lasting <= told
    thread.call(sleep, 0)  # they have begun
    now[0] = monotonic() + HELD_BACK
    assert lasting <= told | born_in(probe.drain()), "whoever lives is told, a little later"


def test_whoever_is_held_back_while_the_living_are_compared_is_told_before_anything_is_put_right(
    thread: RuntimeThread, probe: NativeProbe, now: list[float]
) -> None:
    feed = Feed(probe)
    flag = Flag()

    def fail() -> None:
        flag.wait()
        raise LookupError

    def end_and_spawn() -> Greenlet:
        flag.set()
        doomed.join()
        return spawn(sleep, 60)

    doomed = thread.call(spawn, fail)
    doomed._report_error = lambda *_: None
    feed.tick()
    thread.call(crowd, 1000)
    now[0] = monotonic()
    feed.tick()
    born = thread.call(end_and_spawn)
    assert born._greenscope_born is not None
    now[0] = born._greenscope_born + HELD_BACK / 2
    feed._checked = float("-inf")
    feed.tick()
    assert feed.population.find(born._greenscope_id) is None, "held back, and compared with the living"
    probe.told.intake._births = 2.0 * CROWD  # it goes on
    thread.call(sleep, 0)  # it has begun
    now[0] = monotonic() + HELD_BACK
    feed.tick()
    failed, lasting = (feed.population.find(one._greenscope_id) for one in (doomed, born))
    assert failed is not None
    assert (failed.state, failed.record.function) == ("failed", fail.__qualname__)
    assert lasting is not None
    assert lasting.record.function == "sleep"
    births = [event.get("greenlet") for event in feed.recent_events({"spawned"}, 10_000)]
    assert births.count(str(born._greenscope_id)) == 1


def test_births_that_were_dropped_do_not_end_the_holding_back(thread: RuntimeThread, now: list[float]) -> None:
    probe = NativeProbe(buffer_limit=100)
    probe.attach()
    try:
        probe.drain()
        thread.call(lambda: [spawn(sleep, 60) for _ in range(300)])
        assert probe.drain().dropped["spawned"] > 100
        while probe.told._ends_lost or probe.told._ended:  # until it is known whose end was dropped beside them
            probe.drain()
        probe.told.intake._births = 2.0 * CROWD
        lasting, born = thread.call(spawn_lasting)
        now[0] = born + HELD_BACK / 2
        assert lasting.isdisjoint(born_in(probe.drain()))
    finally:
        probe.close()


def test_of_a_crowd_few_are_told(thread: RuntimeThread, probe: NativeProbe, now: list[float]) -> None:
    told = []
    probe.drain()  # what other tests have left alive
    for births in (CROWD - 50, CROWD + 50):
        probe.allowance.left = 0.0
        for _ in range(2):  # the second counts: it knows how many the first has found
            thread.call(crowd, births)
            now[0] += 1.0
            found = len(born_in(probe.drain()))
        told.append(found)
    assert told[0] == pytest.approx(SHORT_RATE, abs=3)
    assert told[1] == pytest.approx(SHORT_RATE * CROWD_SHARE, abs=3)


def test_what_is_too_much_for_one_drain_is_told_in_order_by_the_next(
    monkeypatch: pytest.MonkeyPatch, thread: RuntimeThread, probe: NativeProbe
) -> None:
    probe.drain()
    monkeypatch.setattr(native_intake, "TAKEN", 200)

    def fail() -> None:
        raise LookupError

    def live() -> set[int | None]:
        short = [spawn(int) for _ in range(1000)]
        lasting = [spawn(sleep, 60) for _ in range(500)]
        failing = spawn(fail)
        failing._report_error = lambda *_: None  # type: ignore[method-assign]
        joinall([*short, failing])
        return {one._greenscope_id for one in lasting}

    probe.allowance.left = 0.0
    lasting = thread.call(live)
    parts = []
    while not parts or parts[-1].until < inf:
        parts.append(probe.drain(prompt=True))
        assert len(parts) < 10
    assert len(probe.buffer) == 0
    dropped = [{kind: part.dropped.get(kind, 0) for kind in ("spawned", "succeeded")} for part in parts]
    assert dropped[0]["spawned"] == sum(part["spawned"] for part in dropped) >= 1000
    assert sum(part["succeeded"] for part in dropped) == dropped[0]["spawned"]
    events = [event for part in parts for event in part.events]
    born = [event.greenlet for event in events if event.kind == "spawned"]
    lived = [id for id in born if id in lasting]
    assert lived == sorted(lasting, key=lambda id: id or 0), "in order"
    assert len(born) == len(set(born)) < 600
    assert [event.kind for event in events].count("failed") == 1
    assert max(len(lasting & born_in(part)) for part in parts) <= 200


def test_of_a_crowd_those_who_have_not_begun_wait_longer(
    thread: RuntimeThread, probe: NativeProbe, now: list[float]
) -> None:
    def spawn_crowd() -> set[int | None]:
        probe.allowance.left = 0.0
        lasting, _ = spawn_lasting()
        sleep(0)
        born.update(one._greenscope_id for one in [spawn(int) for _ in range(CROWD)])
        now[0] = monotonic() + 2 * HELD_BACK
        found.append(born_in(probe.drain()))  # before any of the crowd has begun
        return lasting

    born: set[int | None] = set()
    found: list[set[int | None]] = []
    probe.drain()
    lasting = thread.call(spawn_crowd)
    assert lasting <= found[0]
    assert born.isdisjoint(found[0])
    assert probe.allowance.shed >= 0
    thread.call(sleep, 0)
    assert born.isdisjoint(born_in(probe.drain())), "they have ended, unseen"


def test_what_was_lost_is_put_right_however_much_there_is_to_tell(
    monkeypatch: pytest.MonkeyPatch, thread: RuntimeThread
) -> None:
    """Whatever is noted later: those that are suspected have had their chance when what was noted before is told."""
    monkeypatch.setattr(native_intake, "TAKEN", 50)
    probe = NativeProbe(buffer_limit=100)
    probe.attach()
    try:
        feed = Feed(probe, limits=FeedLimits(reconcile=0.0, check=0.0))

        def spawn_some() -> list[Greenlet]:
            return [spawn(sleep, 60) for _ in range(150)]

        def kill_one_by_one(some: list[Greenlet]) -> None:
            for one in some:
                one.kill(block=False)  # each that is known makes a note
            joinall(some)

        for _ in range(40):
            some = thread.call(spawn_some)
            feed.tick()
            thread.call(kill_one_by_one, some)
            feed.tick()
        assert feed.dropped["killed"] > 100
        assert len(feed.population.lives) < 600
        assert len(probe.told.known) < 600
        assert any(event["kind"] == "gap" for event in feed.recent_events(limit=10_000))
    finally:
        probe.close()


def test_nothing_of_the_shed_is_kept(thread: RuntimeThread, probe: NativeProbe) -> None:
    probe.drain()
    functions: list[weakref.ref[partial[int]]] = []

    def live_and_end() -> None:
        for _ in range(40):
            wave = [partial(int) for _ in range(50)]
            functions.extend(map(weakref.ref, wave))
            joinall([spawn(function) for function in wave])

    thread.call(live_and_end)
    assert sum(function() is not None for function in functions) <= SHORT_BURST + SHORT_RATE
    assert sum(1 for _ in probe.told.intake.take()) >= SHORT_BURST


def test_those_whose_end_was_dropped_are_forgotten(thread: RuntimeThread) -> None:
    probe = NativeProbe(buffer_limit=40)
    probe.attach()
    try:
        probe.drain()
        flag = Flag()
        greenlets = thread.call(lambda: [spawn(flag.wait) for _ in range(30)])
        probe.drain()
        known = set(probe.told.known)
        assert {greenlet._greenscope_id for greenlet in greenlets} <= known  # type: ignore[attr-defined]

        def end_in_a_crowd() -> None:
            groups = [Group(greenlets[:1]) for _ in range(50)]  # each of them is a note
            assert len(groups) == 50
            crowd = [spawn(flag.wait) for _ in range(40)]
            flag.set()
            joinall([*greenlets, *crowd])

        thread.call(end_in_a_crowd)
        drained = probe.drain()
        assert drained.dropped["succeeded"] > 0
        thread.call(sleep, 0)
        for _ in range(50):  # the one that called may have ended meanwhile, and its end been dropped
            probe.drain()
            if probe.told.known.keys() <= set(probe.live_ids()):
                break
            time.sleep(0.002)
        assert probe.told.known.keys() <= set(probe.live_ids())
        assert probe.told._unbegun.keys() <= probe.told.known.keys()
    finally:
        probe.close()
