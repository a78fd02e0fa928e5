"""The native probe: what happens is told in order, and nothing of it is held on to."""

import time
import weakref
from collections.abc import Callable

import pytest

from greenscope.app.backends.native import NativeProbe
from greenscope.runtime import Greenlet, GreenletExit, joinall, sleep, spawn, spawn_raw
from greenscope.runtime.event import Event as Flag
from greenscope.runtime.instruments import hooks
from greenscope.runtime.pool import Group, Pool
from greenscope.runtime.thread import RuntimeThread
from tests.app.native.probing import drain_until, kinds_of


def test_life_of_a_greenlet_is_told_in_order(thread: RuntimeThread, probe: NativeProbe) -> None:
    def work() -> int:
        sleep(0.001)
        return 5

    greenlet = thread.call(spawn, work)
    id = greenlet._greenscope_id
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


def test_failure_is_told_with_its_exception_and_traceback(
    thread: RuntimeThread, probe: NativeProbe, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ValueError("told")

    greenlet = thread.call(spawn, fail)
    events = drain_until(probe, lambda seen: any(e.kind == "failed" for e in seen))
    failed = next(e for e in events if e.kind == "failed")
    assert failed.greenlet == greenlet._greenscope_id
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
    assert [k for k in kinds_of(events, greenlet._greenscope_id) if k != "started"] == [
        "spawned",
        "kill_requested",
        "killed",
    ]
    thread.call(sleep, 0)
    assert isinstance(seen[0], GreenletExit)


def test_group_that_is_gone_is_told_as_closed(thread: RuntimeThread, probe: NativeProbe) -> None:
    group = Group()
    drain_until(probe, lambda seen: any(e.kind == "group_opened" for e in seen))
    del group
    assert drain_until(probe, lambda seen: any(e.kind == "group_closed" for e in seen))


def test_raw_greenlet_is_seen_and_its_end_told(thread: RuntimeThread, probe: NativeProbe) -> None:
    raw = thread.call(spawn_raw, sleep, 0)
    events = drain_until(probe, lambda seen: "succeeded" in kinds_of(seen, raw._greenscope_id))  # type: ignore[attr-defined]
    record = next(e.record for e in events if e.greenlet == raw._greenscope_id)  # type: ignore[attr-defined]
    assert record is not None
    assert record.kind == "raw"


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
    events = drain_until(probe, lambda seen: "succeeded" in kinds_of(seen, greenlet._greenscope_id))
    sample = [e for e in events if e.greenlet == greenlet._greenscope_id][-1].sample
    assert sample is not None
    assert sample.run_time is not None
    assert sample.longest_run is not None
    assert 0.02 <= sample.longest_run <= sample.run_time < 0.03 + 0.5


def test_member_of_a_pool_is_told_to_join_after_its_birth(thread: RuntimeThread, probe: NativeProbe) -> None:
    pool = Pool(1)
    member = thread.call(pool.spawn, sleep, 0)
    events = drain_until(probe, lambda seen: {"succeeded", "ungrouped"} <= set(kinds_of(seen, member._greenscope_id)))
    told = kinds_of(events, member._greenscope_id)
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


def test_comparison_of_greenlets_is_the_programs_code_and_never_runs(thread: RuntimeThread, probe: NativeProbe) -> None:
    class Odd(Greenlet):
        def __eq__(self, other: object) -> bool:
            raise LookupError("this greenlet cannot be compared")

        __hash__ = Greenlet.__hash__

    flag = Flag()
    odd = thread.call(Odd.spawn, flag.wait)
    del probe.alive[odd._greenscope_id]  # as if another observer had numbered it anew
    thread.call(lambda: (flag.set(), joinall([odd])))
    probe.drain()
    assert odd.successful()
    assert probe.faults == []


def test_member_that_left_before_its_start_is_told_in_no_group(thread: RuntimeThread, probe: NativeProbe) -> None:
    first, second = Group(), Pool(2)

    def start() -> Greenlet:
        greenlet = Greenlet(sleep, 60)
        for group in (first, second):
            group.add(greenlet)
        first.discard(greenlet)
        greenlet.start()
        return greenlet

    greenlet = thread.call(start)
    told = drain_until(probe, lambda seen: any(e.kind == "grouped" for e in seen))
    assert [e.group for e in told if e.kind == "grouped"] == [second._greenscope_id]
    thread.call(greenlet.kill)


def test_member_that_was_added_before_we_watched_is_told_in_its_groups(thread: RuntimeThread) -> None:
    first, second, greenlet = Group(), Pool(2), Greenlet(sleep, 60)
    for group in (first, second):
        thread.call(group.add, greenlet)
    for _ in range(2):  # another probe has other numbers
        probe = NativeProbe()
        probe.attach()
        assert greenlet._greenscope_groups is not None
        assert set(greenlet._greenscope_groups) == {first._greenscope_id, second._greenscope_id}
        probe.close()
    probe = NativeProbe()
    probe.attach()
    try:
        thread.call(greenlet.start)
        told = drain_until(probe, lambda seen: sum(e.kind == "grouped" for e in seen) == 2)
        groups = {e.group_record.id: e.group_record.name for e in told if e.group_record is not None}
        assert sorted(groups[e.group or 0] for e in told if e.kind == "grouped") == sorted([first.name, second.name])
    finally:
        thread.call(greenlet.kill)
        probe.close()


def test_group_is_told_by_a_probe_that_is_attached_again(thread: RuntimeThread) -> None:
    pool, probe, other = Pool(1), NativeProbe(), NativeProbe()
    probe.attach()
    probe.close()
    other.attach()
    probe.attach()
    other.close()  # it leaves alone what is another's by now
    try:
        thread.call(lambda: pool.spawn(sleep, 0).join())
        told = drain_until(probe, lambda seen: any(e.kind == "ungrouped" for e in seen))
        assert [e.group for e in told if e.kind == "grouped"] == [pool._greenscope_id]
    finally:
        probe.close()


def test_closed_probe_holds_on_to_nothing(thread: RuntimeThread) -> None:
    probe = NativeProbe()
    probe.attach()
    named = [thread.call(spawn, sleep, 60) for _ in range(3)]
    for greenlet in named:
        greenlet.name = "worker"
    probe.drain()
    untold = thread.call(spawn, sleep, 60)
    probe.close()
    assert not any([probe.killing, probe.alive, probe.raws, probe.told.known, probe.buffer])
    assert untold._greenscope_origin is None, "it would hold on to what it runs"
    thread.call(untold.kill)
    for greenlet in named:
        thread.call(greenlet.kill)
