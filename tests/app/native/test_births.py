"""The birth of a greenlet stays with it until it is told: told right, in order, and let go of."""

import gc
import signal
import sys
import weakref
from time import monotonic
from typing import Any

import pytest

from greenscope.app.backends import native_intake
from greenscope.app.backends.native import NativeProbe
from greenscope.app.backends.native_intake import MISSED, TAKEN
from greenscope.app.backends.short_lives import CROWD
from greenscope.app.feed import Feed
from greenscope.runtime import Greenlet, joinall, killall, sleep, spawn, spawn_later
from greenscope.runtime.event import Event as Flag
from greenscope.runtime.exceptions import GreenletExit
from greenscope.runtime.instruments import hooks
from greenscope.runtime.pool import Group, Pool
from greenscope.runtime.thread import RuntimeThread
from tests.app.native.probing import kinds_of


def band_of(feed: Feed, group: Group) -> Any:
    return next(band for band in feed.population.bands.values() if band.name == group.name)


@pytest.mark.parametrize("backlog", [0, TAKEN])
def test_member_of_a_group_that_opened_after_its_birth_is_counted(
    thread: RuntimeThread, probe: NativeProbe, backlog: int
) -> None:
    feed = Feed(probe)
    feed.tick()
    probe.buffer += [("kill_requested", 0.0, 10**9, None, None)] * backlog  # told before it

    def open_one() -> Group:
        return Group([spawn(sleep, 60)])

    group = thread.call(open_one)
    feed.tick()
    feed.tick()
    assert band_of(feed, group).spawned == 1
    assert list(band_of(feed, group).members) == [one._greenscope_id for one in group]
    thread.call(group.kill)


def test_member_that_leaves_before_it_is_told_has_been_one(thread: RuntimeThread, probe: NativeProbe) -> None:
    pool = Pool(3)

    def join_and_leave() -> Greenlet:
        greenlet: Greenlet = pool.spawn(sleep, 60)
        sleep(0)
        pool.discard(greenlet)
        return greenlet

    greenlet = thread.call(join_and_leave)
    kinds = kinds_of(list(probe.drain().events), greenlet._greenscope_id)
    assert [kind for kind in kinds if kind != "started"] == ["spawned", "grouped", "ungrouped"]
    thread.call(greenlet.kill)


def test_kills_are_told_one_by_one_though_nobody_has_heard_of_the_greenlet(
    thread: RuntimeThread, probe: NativeProbe
) -> None:
    def survive() -> None:
        while not flag.is_set():
            try:
                flag.wait()
            except GreenletExit:
                pass

    def kill_twice() -> Greenlet:
        greenlet = spawn(survive)
        for _ in range(2):
            sleep(0)
            greenlet.kill(block=False)
        return greenlet

    flag = Flag()
    greenlet = thread.call(kill_twice)
    told = [event for event in probe.drain().events if event.greenlet == greenlet._greenscope_id]
    asked = [event.t for event in told if event.kind == "kill_requested"]
    assert len(asked) == 2
    assert asked[0] < asked[1]
    assert told[0].kind == "spawned"
    thread.call(flag.set)


def test_whoever_spawned_what_is_told_is_told_before_it(thread: RuntimeThread, probe: NativeProbe) -> None:
    def fail() -> None:
        raise LookupError

    def work() -> None:
        children.append(spawn(fail))
        children[0]._report_error = lambda *_: None  # type: ignore[method-assign]
        sleep(60)

    def crowd() -> Greenlet:
        for _ in range(CROWD // 50 * 2):
            joinall([spawn(int) for _ in range(50)])
        parent = spawn(work)
        sleep(0)
        joinall(children)
        return parent

    children: list[Greenlet] = []
    parent = thread.call(crowd)
    born = [event.greenlet for event in probe.drain().events if event.kind == "spawned"]
    ids = [parent._greenscope_id, children[0]._greenscope_id]
    assert [id for id in born if id in ids] == ids
    thread.call(parent.kill)


def test_spawn_from_a_finaliser_does_not_mix_up_the_lines(thread: RuntimeThread, probe: NativeProbe) -> None:
    class Work:
        def __call__(self) -> None:
            sleep(60)

        def __del__(self) -> None:
            found.append(spawn(sleep, 60))

    def spawn_all() -> list[Greenlet]:
        last = spawn(Work())
        probe.drain(prompt=True)
        last.kill(block=False)
        for _ in range(2):
            found.append(spawn(sleep, 60))
        return found

    found: list[Greenlet] = []
    here = spawn_all.__code__.co_firstlineno
    greenlets = thread.call(spawn_all)
    events = [*probe.drain(prompt=True).events, *probe.drain(prompt=True).events]
    records = {event.greenlet: event.record for event in events if event.record}
    lines = []
    for greenlet in greenlets:
        record = records[greenlet._greenscope_id]
        assert record.spawn_site is not None
        lines.append(record.spawn_site.line - here)
    assert sorted(lines) == [-2, 5, 5]
    thread.call(killall, greenlets)


def test_end_that_is_noted_late_is_told_with_its_birth(
    monkeypatch: pytest.MonkeyPatch, thread: RuntimeThread, probe: NativeProbe
) -> None:
    """The hub stands between taking it out of the registry and the note, for longer than a tick."""
    greenlet = thread.call(spawn, sleep, 60)
    now = [native_intake.monotonic()]
    monkeypatch.setattr(native_intake, "monotonic", lambda: now[0])
    id = greenlet._greenscope_id
    assert id is not None
    found = [(id, greenlet)]
    del probe.alive[id]
    monkeypatch.setattr(probe.told.intake.newborn, "look", lambda *_: found)
    probe.drain()
    found = []
    probe.buffer.append(("failed", now[0], id, None, None, None))
    now[0] += 2 * MISSED
    told = [event for event in probe.drain().events if event.greenlet == id]
    assert kinds_of(told, id) == ["spawned", "failed"]
    assert told[0].record is not None
    assert told[0].record.function == "sleep"
    for _ in range(2):
        now[0] += 2 * MISSED
        probe.drain()
    assert not probe.told.intake._missed


def test_births_that_are_given_up_while_they_end_are_counted_once(
    monkeypatch: pytest.MonkeyPatch, thread: RuntimeThread
) -> None:
    probe = NativeProbe(buffer_limit=10)
    probe.attach()
    try:
        feed = Feed(probe)
        feed.tick()

        def living() -> int:
            return feed.population.spawned - sum(feed.population.ended.values())

        unknown = len(probe.alive) - living()
        spawned = feed.population.spawned
        flag = Flag()
        greenlets = thread.call(lambda: [spawn(flag.wait) for _ in range(50)])
        real = probe.told.intake._drop_births

        def drop(*given: Any) -> list[int]:
            thread.call(lambda: [flag.set(), joinall(greenlets), sleep(0)])
            return real(*given)

        monkeypatch.setattr(probe.told.intake, "_drop_births", drop)
        feed.tick()
        monkeypatch.undo()
        for _ in range(50):  # until those that called have been told
            feed.tick()
            if len(probe.alive) - living() == unknown:
                break
            thread.call(sleep, 0)
        assert len(probe.alive) - living() == unknown
        assert feed.population.spawned - spawned >= 50
    finally:
        probe.close()


def test_nothing_is_told_to_be_complete_while_a_note_tells_of_something_older(
    monkeypatch: pytest.MonkeyPatch, thread: RuntimeThread, probe: NativeProbe
) -> None:
    monkeypatch.setattr(native_intake, "TAKEN", 2)
    probe.drain()
    flag = Flag()

    def fail() -> None:
        flag.wait()
        raise LookupError

    late = thread.call(spawn, fail)
    late._report_error = lambda *_: None
    thread.call(flag.set)
    thread.call(sleep, 0)
    assert late._greenscope_born is not None
    probe.buffer[:0] = [("kill_requested", monotonic(), 10**9, None, None)] * 5
    assert probe.drain().until <= late._greenscope_born


def test_who_is_to_begin_later_is_told_at_once_though_there_is_a_crowd(
    thread: RuntimeThread, probe: NativeProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe.drain()
    later = thread.call(spawn_later, 60, int)
    probe.told.intake._births = 2.0 * CROWD
    born = later._greenscope_born
    assert born is not None
    monkeypatch.setattr(native_intake, "monotonic", lambda: born + 0.05)
    assert later._greenscope_id in {event.greenlet for event in probe.drain().events}
    thread.call(later.kill)


def test_kill_of_one_that_was_only_counted_says_that_it_is_gone(thread: RuntimeThread, probe: NativeProbe) -> None:
    probe.drain()
    probe.allowance.left = 0.0
    short = thread.call(spawn, int)
    thread.call(short.join)
    assert short._greenscope_id is not None
    assert probe.kill(short._greenscope_id, 1.0).result(1).outcome == "gone"


def test_closed_probe_holds_on_to_nothing_that_was_to_run(thread: RuntimeThread) -> None:
    class Work:
        def __call__(self) -> None: ...

    probe = NativeProbe()
    probe.attach()
    works = [Work()]
    kept = weakref.ref(works[0])

    def spawn_and_close() -> Greenlet:
        greenlet = spawn(works.pop())
        probe.close()
        return greenlet

    greenlet = thread.call(spawn_and_close)
    thread.call(greenlet.join)
    del greenlet
    gc.collect()
    assert kept() is None


def test_what_was_counted_before_a_probe_was_closed_is_not_told_by_the_next_watching(thread: RuntimeThread) -> None:
    probe = NativeProbe()
    probe.attach()
    pool = Pool(10)
    probe.allowance.left = 0.0
    thread.call(lambda: pool.map(abs, range(100)))
    probe.close()
    probe.attach()
    drained = probe.drain()
    assert drained.dropped == {}
    assert drained.unseen == {}
    probe.close()


def test_who_is_cut_short_at_its_birth_is_known_to_live() -> None:
    probe = NativeProbe()
    probe.attach()

    class Interrupted(Greenlet):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "_greenscope_born":
                signal.raise_signal(signal.SIGINT)

    try:
        interrupted = hooks.interrupted
        with pytest.raises(KeyboardInterrupt):
            Interrupted.spawn(sleep, 60)
        assert hooks.interrupted == interrupted + 1
        greenlet = next(one for one in probe.alive.values() if isinstance(one, Interrupted))
        assert greenlet._greenscope_id in probe.live_ids()
        greenlet.kill()
    finally:
        probe.close()


@pytest.mark.parametrize("step", ["write", "untold"])
@pytest.mark.parametrize("fails", [False, True])
def test_who_ends_while_its_birth_is_taken_is_told_or_counted_as_a_whole(
    monkeypatch: pytest.MonkeyPatch, thread: RuntimeThread, probe: NativeProbe, step: str, fails: bool
) -> None:
    """The hub ends it just before the birth is taken off, or just after it."""
    flag, ended = Flag(), []

    def live() -> None:
        flag.wait()
        if fails:
            raise LookupError

    def end_first(greenlet: Greenlet, *others: Any) -> Any:
        if greenlet in greenlets and not ended:
            ended.append(greenlet)
            thread.call(lambda: [flag.set(), joinall(greenlets), sleep(0)])
        return real(greenlet, *others)

    real = getattr(native_intake, step)
    probe.drain()
    probe.allowance.left = 0.0
    greenlets = thread.call(lambda: [spawn(live) for _ in range(2)])
    for greenlet in greenlets:
        greenlet._report_error = lambda *_: None
    monkeypatch.setattr(native_intake, step, end_first)
    events = [*probe.drain().events, *probe.drain().events]
    assert ended, "in the midst of it"
    for greenlet in greenlets:
        told = [event for event in events if event.greenlet == greenlet._greenscope_id]
        kinds = [event.kind for event in told if event.kind != "started"]
        assert kinds == ["spawned", "failed"] if fails else kinds in ([], ["spawned", "succeeded"])
        assert all(event.record.function.endswith("live") for event in told if event.record)
    assert probe.told.known.keys() <= probe.alive.keys()


def test_lives_are_told_or_counted_once_each_while_both_threads_are_at_them(thread: RuntimeThread) -> None:
    probe = NativeProbe()
    probe.attach()
    told: dict[str, int] = {"spawned": 0, "succeeded": 0, "failed": 0}
    first = {event.greenlet for event in probe.drain().events if event.kind == "spawned"}
    interval = sys.getswitchinterval()

    def take() -> bool:
        drained = probe.drain()
        for kind, count in drained.dropped.items():
            told[kind] += count
        for event in drained.events:
            if event.kind in told and event.greenlet not in first:
                told[event.kind] += 1
        return bool(drained.events or drained.dropped)

    def fail() -> None:
        raise LookupError

    def live() -> int:
        for number in range(300):
            some = [spawn(*((sleep, 0.0) if at % 3 else (int,))) for at in range(20)]
            some.append(spawn(fail))
            some[-1]._report_error = lambda *_: None  # type: ignore[method-assign]
            joinall(some)
            if number % 50 == 0:
                sleep(0.001)
        return 300 * 21

    try:
        sys.setswitchinterval(1e-6)
        running = thread.submit(live)
        while not running.done():
            take()
        thread.call(sleep, 0)
        while take():
            pass
        living = len(probe.told.known.keys() - first)
        assert probe.told.known.keys() <= probe.alive.keys()
    finally:
        sys.setswitchinterval(interval)
        probe.close()
    lived = running.result()
    assert told["failed"] == 300
    assert told["spawned"] == told["succeeded"] + told["failed"] + living
    assert lived <= told["spawned"] <= lived + 2, "and those that called"
