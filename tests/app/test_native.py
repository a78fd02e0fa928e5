"""The native probe: what happened is told in order, what is so is seen, what is asked is answered by what was seen."""

import linecache
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from greenscope.app.backends import native_hooks
from greenscope.app.backends.native import NativeProbe
from greenscope.app.backends.native_sift import SHORT_BURST, SHORT_RATE
from greenscope.app.feed import Feed
from greenscope.app.model import ControlResult, Event
from greenscope.runtime import (
    Greenlet,
    GreenletExit,
    getcurrent,
    joinall,
    killall,
    sleep,
    spawn,
    spawn_later,
    spawn_raw,
)
from greenscope.runtime.event import Event as Flag
from greenscope.runtime.instruments import hooks
from greenscope.runtime.lock import RLock
from greenscope.runtime.pool import Group, Pool
from greenscope.runtime.socket import socketpair
from greenscope.runtime.subprocess import PIPE, Popen
from greenscope.runtime.thread import RuntimeThread
from tests.patience import wait_for


@pytest.fixture
def thread() -> Iterator[RuntimeThread]:
    with RuntimeThread("watched") as thread:
        yield thread


@pytest.fixture
def probe(thread: RuntimeThread) -> Iterator[NativeProbe]:
    probe = NativeProbe()
    probe.attach()
    yield probe
    probe.close()


def drain_until(probe: NativeProbe, enough: Callable[[list[Event]], bool]) -> list[Event]:
    """Drain until `enough(events)`; fails after 5 s."""
    events: list[Event] = []
    deadline = time.monotonic() + 5
    while True:
        events += probe.drain().events
        if enough(events):
            return events
        assert time.monotonic() < deadline, [(e.kind, e.greenlet) for e in events]
        time.sleep(0.002)


def kinds_of(events: list[Event], id: int | None) -> list[str]:
    return [event.kind for event in events if event.greenlet == id]


def answer(probe: NativeProbe, future: "Future[ControlResult]") -> ControlResult:
    deadline = time.monotonic() + 5
    while not future.done():
        probe.drain()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return future.result()


def id_of(probe: NativeProbe, greenlet: object) -> int:
    id = probe.id_of(greenlet)
    assert id is not None
    return id


def test_life_of_a_greenlet_is_told_in_order(thread: RuntimeThread, probe: NativeProbe) -> None:
    def work() -> int:
        sleep(0.001)
        return 5

    greenlet = thread.call(spawn, work)
    id = greenlet.watch_id
    events = drain_until(probe, lambda seen: "succeeded" in kinds_of(seen, id))
    assert kinds_of(events, id) == ["spawned", "started", "succeeded"]
    spawned = next(e for e in events if e.greenlet == id)
    assert spawned.record is not None
    assert spawned.record.function.endswith("work")
    assert spawned.record.file == __file__
    assert spawned.record.thread == "watched"
    times = [e.t for e in events if e.greenlet == id]
    assert times == sorted(times)
    ended = [e for e in events if e.greenlet == id][-1]
    assert ended.sample is not None
    assert ended.sample.switches == 2
    assert ended.sample.run_time is not None
    assert 0 < ended.sample.run_time < 1
    assert ended.sample.wait_time is not None
    assert ended.sample.wait_time > 0


def test_spawn_site_is_the_programs_own_line(thread: RuntimeThread, probe: NativeProbe) -> None:
    pool = Pool(3)

    def through_a_pool() -> Greenlet:
        return pool.spawn(sleep, 0)

    def directly() -> Greenlet:
        return spawn(sleep, 0)

    greenlets = [thread.call(through_a_pool), thread.call(directly)]
    events = drain_until(probe, lambda seen: {g.watch_id for g in greenlets} <= {e.greenlet for e in seen})
    sites = {e.greenlet: e.record.spawn_site for e in events if e.record is not None}
    for greenlet, function in zip(greenlets, ("through_a_pool", "directly"), strict=True):
        site = sites[greenlet.watch_id]
        assert site is not None
        assert (site.file, site.function.rpartition(".")[2]) == (__file__, function)


def test_spawn_site_is_not_in_the_library_that_the_program_called(thread: RuntimeThread, probe: NativeProbe) -> None:
    def communicate() -> None:
        Popen(["true"], stdout=PIPE, stderr=PIPE).communicate()

    thread.call(communicate)
    reads = [
        event.record.spawn_site
        for event in drain_until(probe, lambda seen: sum(e.kind == "succeeded" for e in seen) >= 2)
        if event.record is not None and event.record.function == "Talk._read"
    ]
    assert [site and (site.file, site.function.rpartition(".")[2]) for site in reads] == [(__file__, "communicate")] * 2


def test_place_is_the_programs_line_or_where_it_was_spawned(thread: RuntimeThread, probe: NativeProbe) -> None:
    def wait_in_library() -> None:
        ours, theirs = socketpair()
        with ours, theirs, ours.makefile() as lines:
            lines.readline()

    def spawn_both() -> list[Greenlet]:
        return [spawn(sleep, 60), spawn(wait_in_library)]

    bare, inside = thread.call(spawn_both)
    drain_until(probe, lambda seen: {bare.watch_id, inside.watch_id} <= {e.greenlet for e in seen})
    deadline = time.monotonic() + 10
    while len(places := [s.place for s in probe.sample([bare.watch_id, inside.watch_id]) if s.place]) < 2:
        assert time.monotonic() < deadline
    assert [place.file for place in places] == [__file__, __file__]
    assert [place.function.rpartition(".")[2] for place in places] == ["sleep", "wait_in_library"]
    assert "spawn(sleep, 60)" in linecache.getline(__file__, places[0].line)
    thread.call(killall, [bare, inside])


def test_greenlet_spawned_from_the_dashboard_says_so(thread: RuntimeThread, probe: NativeProbe) -> None:
    group = thread.call(Group)
    probe.drain()
    number = next(sample.id for sample in probe.groups() if sample.id == group.watch_id)
    asked = [probe.spawn(sleep, {"seconds": 60}, into, None, 5) for into in (None, number)]
    ids = [answer(probe, future).ids[0] for future in asked]
    probe.drain()
    for record in probe.records(ids):
        assert (record.spawn_site, record.from_dashboard) == (None, True)
    assert not any("greenscope" in sample.place.file for sample in probe.sample(ids) if sample.place)


def test_failure_is_told_with_its_exception_and_traceback(
    thread: RuntimeThread, probe: NativeProbe, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ValueError("told")

    greenlet = thread.call(spawn, fail)
    events = drain_until(probe, lambda seen: any(e.kind == "failed" for e in seen))
    failed = next(e for e in events if e.kind == "failed")
    assert failed.greenlet == greenlet.watch_id
    assert failed.exception is not None
    assert (failed.exception.type, failed.exception.message) == ("ValueError", "told")
    assert failed.exception.traceback[-1].function.endswith("fail")


def test_exception_whose_str_raises_becomes_a_placeholder(
    thread: RuntimeThread, probe: NativeProbe, capfd: pytest.CaptureFixture[str]
) -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise SystemExit(3)

    def fail() -> None:
        raise Hostile

    thread.call(spawn, fail)
    events = drain_until(probe, lambda seen: any(e.kind == "failed" for e in seen))
    failed = next(e for e in events if e.kind == "failed")
    assert failed.exception is not None
    assert failed.exception.message == "<unprintable Hostile>"


def test_killed_greenlet_is_told_as_killed_and_a_link_value_sees_it(thread: RuntimeThread, probe: NativeProbe) -> None:
    seen: list[object] = []

    def start() -> Greenlet:
        greenlet = spawn(sleep, 60)
        greenlet.link_value(lambda ended: seen.append(ended.value))
        sleep(0)
        return greenlet

    greenlet = thread.call(start)
    thread.call(greenlet.kill)
    events = drain_until(probe, lambda seen: any(e.kind == "killed" for e in seen))
    assert [k for k in kinds_of(events, greenlet.watch_id) if k != "started"] == ["spawned", "kill_requested", "killed"]
    thread.call(sleep, 0)
    assert isinstance(seen[0], GreenletExit)


def test_what_lived_before_attach_is_found(thread: RuntimeThread) -> None:
    flag = Flag()
    parked = thread.call(spawn, flag.wait)
    later = thread.call(spawn_later, 60, sleep)
    thread.call(sleep, 0)
    probe = NativeProbe()
    probe.attach()
    try:
        ids = {id_of(probe, parked), id_of(probe, later)}
        assert ids <= set(probe.live_ids())
        states = {sample.id: sample.state for sample in probe.sample(ids)}
        assert states == {id_of(probe, parked): "waiting", id_of(probe, later): "pending"}
    finally:
        probe.close()
        thread.call(later.kill)


def test_sample_tells_what_a_greenlet_waits_for(thread: RuntimeThread, probe: NativeProbe) -> None:
    lock = RLock()

    def hold() -> None:
        with lock:
            sleep(60)

    def start() -> list[Greenlet]:
        holder = spawn(hold)
        sleep(0)
        blocked = spawn(lock.acquire)
        joiner = spawn(holder.join)
        sleep(0)
        sleep(0)
        return [holder, blocked, joiner]

    holder, blocked, joiner = thread.call(start)
    samples = {s.id: s for s in probe.sample([id_of(probe, g) for g in (holder, blocked, joiner)])}
    waits = [samples[id_of(probe, g)].waiting_on for g in (holder, blocked, joiner)]
    assert [wait.kind for wait in waits if wait] == ["sleep", "lock", "join"]
    assert waits[1] is not None
    assert waits[1].owner == id_of(probe, holder)
    assert waits[2] is not None
    assert waits[2].target == id_of(probe, holder)
    place = samples[id_of(probe, holder)].place
    assert place is not None
    assert place.function.endswith("hold")
    assert set(probe.waiters_of(id_of(probe, holder))) == {id_of(probe, blocked), id_of(probe, joiner)}
    stack = probe.stack(id_of(probe, holder))
    assert stack is not None
    assert any(frame.function.endswith("hold") for frame in stack.frames)


def test_groups_are_seen_with_slots_and_waiters(thread: RuntimeThread, probe: NativeProbe) -> None:
    def start() -> Pool:
        pool = Pool(2)
        pool.name = "fetchers"
        for _ in range(2):
            pool.spawn(sleep, 60)
        spawn(pool.spawn, sleep, 60)
        sleep(0)
        sleep(0)
        return pool

    pool = thread.call(start)
    group = next(g for g in probe.groups() if g.name == "fetchers")
    assert (group.kind, group.size, group.active, group.free, group.waiters) == ("pool", 2, 2, 0, 1)
    events = drain_until(probe, lambda seen: sum(e.kind == "grouped" for e in seen) >= 2)
    assert {e.group for e in events if e.kind == "grouped"} == {group.id}
    assert answer(probe, probe.resize(group.id, 3, 1.0)).outcome == "done"
    assert pool.size == 3
    assert answer(probe, probe.kill_group(group.id, 1.0)).outcome == "done"


def test_group_that_is_gone_is_told_as_closed(thread: RuntimeThread, probe: NativeProbe) -> None:
    group = Group()
    drain_until(probe, lambda seen: any(e.kind == "group_opened" for e in seen))
    del group
    assert drain_until(probe, lambda seen: any(e.kind == "group_closed" for e in seen))


def test_kill_answers_what_was_seen(thread: RuntimeThread, probe: NativeProbe) -> None:
    def stubborn() -> None:
        while True:
            try:
                sleep(60)
            except GreenletExit:
                pass

    mortal, immortal = thread.call(spawn, sleep, 60), thread.call(spawn, stubborn)
    thread.call(sleep, 0)
    first = answer(probe, probe.kill(id_of(probe, mortal), 1.0))
    assert (first.outcome, first.state) == ("done", "killed")
    second = answer(probe, probe.kill(id_of(probe, immortal), 0.05))
    assert second.outcome == "alive"
    assert second.place is not None
    assert second.place.function.endswith("stubborn")
    assert answer(probe, probe.kill(10**9, 1.0)).outcome == "unknown"
    thread.call(immortal.kill, ValueError)


def test_kill_of_the_main_greenlet_is_refused(thread: RuntimeThread, probe: NativeProbe) -> None:
    main = next(id for id in probe.live_ids() if probe.alive[id].parent is None)
    assert answer(probe, probe.kill(main, 1.0)).outcome == "refused"


def test_control_of_a_busy_hub_is_queued_and_then_carried_out(thread: RuntimeThread, probe: NativeProbe) -> None:
    victim = thread.call(spawn, sleep, 60)
    thread.call(sleep, 0)
    busy = [True]

    def block() -> None:
        while busy[0]:
            time.sleep(0.001)

    thread.submit(block)
    time.sleep(0.02)
    assert answer(probe, probe.kill(id_of(probe, victim), 0.05)).outcome == "queued"
    hub = next(h for h in probe.hubs() if h.thread == "watched")
    assert hub.lag > 0.02
    busy[0] = False
    drain_until(probe, lambda seen: any(e.kind == "killed" and e.greenlet == victim.watch_id for e in seen))


def test_hub_that_is_seen_inside_a_hook_of_ours_shows_who_called_it(thread: RuntimeThread, probe: NativeProbe) -> None:
    busy = [True]
    space: dict[str, Any] = {"busy": busy}
    exec(compile("def on_spawned():\n    while busy[0]: pass", native_hooks.__file__, "exec"), space)

    def hog() -> None:
        space["on_spawned"]()

    hogging = thread.submit(hog)
    hub = wait_for(lambda: next((h for h in probe.hubs() if h.thread == "watched" and h.blocked_in), None))
    busy[0] = False
    hogging.result()
    assert hub.blocked_in[-1].function.endswith("hog")


def test_hub_that_blocks_shows_its_stack(thread: RuntimeThread, probe: NativeProbe) -> None:
    busy = [True]

    def hog() -> None:
        while busy[0]:
            time.sleep(0.001)

    hogging = thread.submit(hog)
    time.sleep(0.12)
    hub = next(h for h in probe.hubs() if h.thread == "watched")
    busy[0] = False
    hogging.result()
    assert any(site.function.endswith("hog") for site in hub.blocked_in)


def test_spawn_runs_a_function_in_the_hub(thread: RuntimeThread, probe: NativeProbe) -> None:
    got: list[object] = []

    def work(number: int) -> None:
        got.append((number, getcurrent()))

    result = answer(probe, probe.spawn(work, {"number": 3}, None, None, 1.0))
    assert result.outcome == "done"
    drain_until(probe, lambda seen: any(e.kind == "succeeded" and e.greenlet == result.ids[0] for e in seen))
    assert got[0][0] == 3  # type: ignore[index]


def test_raw_greenlet_is_seen_and_its_end_told(thread: RuntimeThread, probe: NativeProbe) -> None:
    raw = thread.call(spawn_raw, sleep, 0)
    events = drain_until(probe, lambda seen: "succeeded" in kinds_of(seen, raw.watch_id))  # type: ignore[attr-defined]
    record = next(e.record for e in events if e.greenlet == raw.watch_id)  # type: ignore[attr-defined]
    assert record is not None
    assert record.kind == "raw"


def test_full_buffer_drops_and_counts_and_the_registry_stays_right(thread: RuntimeThread) -> None:
    probe = NativeProbe(buffer_limit=10)
    probe.attach()
    probe.drain()  # what other tests have left alive
    try:

        def burst() -> list[Greenlet]:
            return [spawn(sleep, 60) for _ in range(50)]

        greenlets = thread.call(burst)
        drained = probe.drain()
        assert len(drained.events) <= 20
        assert drained.dropped["spawned"] >= 40
        assert {g.watch_id for g in greenlets} <= set(probe.live_ids())
        missed = [g.watch_id for g in greenlets]
        assert {record.id for record in probe.records(missed)} == set(missed)
    finally:
        probe.close()


def test_close_leaves_no_hook_behind(thread: RuntimeThread) -> None:
    before = hooks.spawned, hooks.grouped
    probe = NativeProbe()
    probe.attach()
    assert hooks.spawned != before[0]
    probe.close()
    assert (hooks.spawned, hooks.grouped) == before
    assert not thread.hub.accounted
    thread.call(sleep, 0)
    assert not probe.drain().events


def test_accounting_adds_up_to_the_age(thread: RuntimeThread, probe: NativeProbe) -> None:
    def work() -> None:
        deadline = time.monotonic() + 0.02
        while time.monotonic() < deadline:
            pass
        sleep(0.03)

    greenlet = thread.call(spawn, work)
    events = drain_until(probe, lambda seen: "succeeded" in kinds_of(seen, greenlet.watch_id))
    sample = [e for e in events if e.greenlet == greenlet.watch_id][-1].sample
    assert sample is not None
    assert sample.run_time is not None
    assert sample.longest_run is not None
    assert 0.02 <= sample.longest_run <= sample.run_time < 0.03 + 0.5


def test_member_of_a_pool_is_told_to_join_after_its_birth(thread: RuntimeThread, probe: NativeProbe) -> None:
    pool = Pool(1)
    member = thread.call(pool.spawn, sleep, 0)
    events = drain_until(probe, lambda seen: {"succeeded", "ungrouped"} <= set(kinds_of(seen, member.watch_id)))
    told = kinds_of(events, member.watch_id)
    assert told.index("spawned") < told.index("grouped") < told.index("ungrouped")


def test_notes_hold_on_to_no_greenlet(thread: RuntimeThread, probe: NativeProbe) -> None:
    def live_and_end() -> "list[weakref.ref[Greenlet]]":
        greenlets = [spawn(int) for _ in range(3)]
        joinall(greenlets)
        return [weakref.ref(greenlet) for greenlet in greenlets]

    refs = thread.call(live_and_end)
    thread.call(sleep, 0)
    assert [ref() for ref in refs] == [None] * 3
    assert sum(event.kind == "succeeded" for event in probe.drain().events) >= 3


def test_name_given_after_the_spawn_is_told_of_one_that_has_ended(thread: RuntimeThread, probe: NativeProbe) -> None:
    def start(name: str, function: Callable[[], object]) -> Greenlet:
        greenlet = spawn(function)
        greenlet.name = name
        greenlet._report_error = lambda *_: None  # type: ignore[method-assign]
        return greenlet

    def live_and_end() -> None:
        joinall([start("good", int), start("bad", lambda: 1 / 0)])

    thread.call(live_and_end)
    names = [event.record.name for event in probe.drain().events if event.record is not None]
    assert {"good", "bad"} <= set(names)
    assert not probe.named


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
    assert population.spawned - spawned == 3001  # and the one that called
    assert population.ended["succeeded"] - ended["succeeded"] in (2997, 2998)
    assert (population.ended["failed"] - ended["failed"], population.ended["killed"]) == (3, ended["killed"])
    told = [life for life in population.finished if life.record.function == "int"]
    assert SHORT_BURST // 2 <= len(told) <= SHORT_BURST + SHORT_RATE
    failed = [life for life in population.finished if life.state == "failed"]
    assert len(failed) == 3
    band = next(band for band in population.bands.values() if band.name == pool.name)
    assert (band.spawned, band.counts["succeeded"], band.counts["failed"]) == (3000, 2997, 3)


def test_those_whose_end_was_dropped_are_forgotten(thread: RuntimeThread) -> None:
    probe = NativeProbe(buffer_limit=40)
    probe.attach()
    try:
        probe.drain()
        flag = Flag()
        greenlets = thread.call(lambda: [spawn(flag.wait) for _ in range(30)])
        probe.drain()
        known = set(probe.told.known)
        assert {greenlet.watch_id for greenlet in greenlets} <= known  # type: ignore[attr-defined]

        def end_in_a_crowd() -> None:
            crowd = [spawn(flag.wait) for _ in range(40)]
            flag.set()
            joinall([*greenlets, *crowd])

        thread.call(end_in_a_crowd)
        drained = probe.drain()
        assert drained.dropped["succeeded"] > 0
        probe.drain()
        assert probe.told.known.keys() <= set(probe.live_ids())
        assert probe.told._unbegun.keys() <= probe.told.known.keys()
    finally:
        probe.close()


def test_time_of_the_living_is_run_ready_or_waiting(thread: RuntimeThread, probe: NativeProbe) -> None:
    flag = Flag()
    waiting = thread.call(spawn, flag.wait)
    thread.call(sleep, 0)
    first = probe.sample([id_of(probe, waiting)])[0]
    time.sleep(0.02)
    second = probe.sample([id_of(probe, waiting)])[0]
    for sample in (first, second):
        assert sample.state == "waiting"
        assert None not in (sample.run_time, sample.ready_time, sample.wait_time)
    assert second.wait_time - first.wait_time >= 0.02  # type: ignore[operator]
    assert second.ready_time == pytest.approx(first.ready_time, abs=0.005)
    ((*known, run, ready, wait, switches, longest),) = probe.figures([id_of(probe, waiting), 0])
    assert (known, switches, longest) == ([second.id, "waiting"], second.switches, second.longest_run)
    assert wait >= second.wait_time  # type: ignore[operator]
    assert (run, ready) == pytest.approx((second.run_time, second.ready_time), abs=0.005)
    main = next(id for id in probe.live_ids() if probe.alive[id] is thread.hub.parent)
    sample = probe.sample([main])[0]
    assert sample.wait_time is not None
    flag.set()


def test_comparison_of_greenlets_is_the_programs_code_and_never_runs(thread: RuntimeThread, probe: NativeProbe) -> None:
    class Odd(Greenlet):
        def __eq__(self, other: object) -> bool:
            raise LookupError("this greenlet cannot be compared")

        __hash__ = Greenlet.__hash__

    flag = Flag()
    odd = thread.call(Odd.spawn, flag.wait)
    del probe.alive[odd.watch_id]  # as if another observer had numbered it anew
    thread.call(lambda: (flag.set(), joinall([odd])))
    probe.drain()
    assert odd.successful()
    assert probe.faults == []
