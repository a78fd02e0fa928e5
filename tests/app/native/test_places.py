"""The native probe: a greenlet's spawn site and its place are lines of the program's own."""

import linecache
import time
from typing import Any

import pytest

from greenscope.app.backends.native import NativeProbe
from greenscope.app.model import Event
from greenscope.runtime import Greenlet, killall, sleep, spawn
from greenscope.runtime.pool import Group, Pool
from greenscope.runtime.socket import socketpair
from greenscope.runtime.subprocess import PIPE, Popen
from greenscope.runtime.thread import RuntimeThread
from tests.app.native.probing import answer, drain_until, id_of


def test_spawn_site_is_the_programs_own_line(thread: RuntimeThread, probe: NativeProbe) -> None:
    pool = Pool(3)

    def through_a_pool() -> Greenlet:
        return pool.spawn(sleep, 0)

    def directly() -> Greenlet:
        return spawn(sleep, 0)

    greenlets = [thread.call(through_a_pool), thread.call(directly)]
    events = drain_until(probe, lambda seen: {g._greenscope_id for g in greenlets} <= {e.greenlet for e in seen})
    sites = {e.greenlet: e.record.spawn_site for e in events if e.record is not None}
    for greenlet, function in zip(greenlets, ("through_a_pool", "directly"), strict=True):
        site = sites[greenlet._greenscope_id]
        assert site is not None
        assert (site.file, site.function.rpartition(".")[2]) == (__file__, function)


@pytest.mark.parametrize("mapping", ["map", "imap", "imap_unordered", "map_async"])
def test_spawn_site_of_a_mapped_item_is_the_line_that_maps(
    thread: RuntimeThread, probe: NativeProbe, mapping: str
) -> None:
    pool = Pool(3)

    def handle(item: int) -> None:
        sleep(0)

    def map_items() -> None:
        mapped = getattr(pool, mapping)(handle, range(5))
        list(mapped.get() if mapping == "map_async" else mapped or ())

    thread.call(map_items)
    sites = [
        event.record.spawn_site
        for event in drain_until(probe, lambda seen: sum(_handles(e) for e in seen) == 5)
        if _handles(event) and event.record is not None
    ]
    assert [site and (site.file, site.function.rpartition(".")[2]) for site in sites] == [(__file__, "map_items")] * 5


def _handles(event: Event) -> bool:
    return event.record is not None and event.record.function.endswith("handle")


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
    drain_until(probe, lambda seen: {bare._greenscope_id, inside._greenscope_id} <= {e.greenlet for e in seen})
    deadline = time.monotonic() + 10
    while len(places := [s.place for s in probe.sample([bare._greenscope_id, inside._greenscope_id]) if s.place]) < 2:
        assert time.monotonic() < deadline
    assert [place.file for place in places] == [__file__, __file__]
    assert [place.function.rpartition(".")[2] for place in places] == ["sleep", "wait_in_library"]
    assert "spawn(sleep, 60)" in linecache.getline(__file__, places[0].line)
    thread.call(killall, [bare, inside])


def test_greenlet_spawned_from_the_dashboard_says_so(thread: RuntimeThread, probe: NativeProbe) -> None:
    group = thread.call(Group)
    probe.drain()
    number = next(sample.id for sample in probe.groups() if sample.id == group._greenscope_id)
    asked = [probe.spawn(sleep, {"seconds": 60}, into, None, 5) for into in (None, number)]
    ids = [answer(probe, future).ids[0] for future in asked]
    probe.drain()
    for record in probe.records(ids):
        assert (record.spawn_site, record.from_dashboard) == (None, True)
    assert not any("greenscope" in sample.place.file for sample in probe.sample(ids) if sample.place)


def test_greenlet_that_the_program_starts_itself_was_spawned_at_that_line(
    thread: RuntimeThread, probe: NativeProbe
) -> None:
    def start() -> Greenlet:
        greenlet = Greenlet(sleep, 60)
        greenlet.start()
        return greenlet

    def outer() -> Greenlet:
        return start()

    greenlet = thread.call(outer)
    events = drain_until(probe, lambda seen: any(e.greenlet == id_of(probe, greenlet) for e in seen))
    (record,) = [e.record for e in events if e.record is not None and e.greenlet == id_of(probe, greenlet)]
    assert record.spawn_site is not None
    assert record.spawn_site.function.endswith("start")
    thread.call(greenlet.kill)


def test_greenlet_that_is_started_with_no_caller_keeps_the_hook(thread: RuntimeThread, probe: NativeProbe) -> None:
    parked = Greenlet(sleep, 60)
    thread.call(spawn, parked.start).join()  # a job whose own frame is the runtime's
    later = thread.call(spawn, sleep, 60)
    assert id_of(probe, later) in probe.live_ids()
    assert probe.faults == []
    thread.call(parked.kill)
    thread.call(later.kill)


def test_bound_method_that_is_linked_makes_no_member(thread: RuntimeThread, probe: NativeProbe) -> None:
    class Lazy:
        @property
        def __class__(self) -> Any:
            raise RuntimeError("a proxy outside of its context")

        @__class__.setter
        def __class__(self, cls: Any) -> None: ...

        def done(self, greenlet: Any) -> None: ...

    def start() -> Greenlet:
        pool = Pool(3)
        greenlet = Greenlet(sleep, 60)
        greenlet.rawlink(pool.discard)
        greenlet.rawlink(Lazy().done)
        pool.add(greenlet)
        greenlet.start()
        return greenlet

    greenlet = thread.call(start)
    events = drain_until(probe, lambda seen: any(e.greenlet == id_of(probe, greenlet) for e in seen))
    assert [e.kind for e in events if e.greenlet == id_of(probe, greenlet)].count("grouped") == 1
    assert probe.faults == []
    thread.call(greenlet.kill)
