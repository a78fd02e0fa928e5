"""The native probe: what is so is seen, of greenlets, groups and hubs."""

import time
from typing import Any

import pytest

from greenscope.app.backends import native_hooks
from greenscope.app.backends.native import NativeProbe
from greenscope.runtime import Greenlet, sleep, spawn, spawn_later
from greenscope.runtime.event import Event as Flag
from greenscope.runtime.lock import RLock
from greenscope.runtime.pool import Pool
from greenscope.runtime.thread import RuntimeThread
from tests.app.native.probing import answer, drain_until, id_of
from tests.patience import wait_for


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
