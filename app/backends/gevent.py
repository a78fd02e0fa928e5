"""The probe of gevent programs: one tracer per hub, one spawn callback, one native watchdog thread.

    attach()                                     once, in whatever thread
      |- find what exists: greenlets, hubs, Groups and Pools           gevent_discovery
      |- Greenlet.add_spawn_callback(on_spawn)                         births, in the hub
      |- greenlet.settrace, in each hub's thread                       switches, ends: gevent_tracing
      '- a watchdog thread                                             lag, blocks: gevent_watchdog
    drain(), sample() ...                        in the dashboard's thread: gevent_events, gevent_view, gevent_waits
    kill(), spawn() ...                          posted to the hub: gevent_control

The program is not changed: no class is patched, no link added (but with accounting off, where nothing else tells of
an end), no attribute set, no greenlet kept alive, no lock taken that it could hold. What breaks in the observer
removes the hook and is told in `faults`.

Threads: each thread with a hub is a lane. The thread that drains is the dashboard's: its hub, which gevent's
selector makes in a patched program, is hidden, and not traced.

In a forked child the probe is closed: whoever watches there makes a new one.
"""

import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from time import monotonic, perf_counter_ns
from typing import Any

import gevent
import greenlet
from gevent import Greenlet
from gevent._hub_local import get_hub_if_exists
from gevent.hub import MAIN_THREAD_IDENT, Hub

from greenscope.app.backends import gevent_discovery as discovery
from greenscope.app.backends import gevent_tracing as tracing
from greenscope.app.backends.gevent_control import GeventControl
from greenscope.app.backends.gevent_events import EventMaker
from greenscope.app.backends.gevent_registry import (
    BORN,
    ENDED,
    LOG_LIMIT,
    STARTED,
    Entry,
    GroupEntry,
    Lane,
    Registry,
    hub_entry,
    snapshot,
)
from greenscope.app.backends.gevent_view import GeventView, members_of
from greenscope.app.backends.gevent_watchdog import Watchdog
from greenscope.app.model import (
    ControlResult,
    Drained,
    GreenletRecord,
    GreenletSample,
    GroupSample,
    HubSample,
    Stack,
)
from greenscope.app.probe import Capability

CAPABILITIES: frozenset[Capability] = frozenset(
    {"events", "groups", "stacks", "waiting_on", "accounting", "spawn_site", "kill", "resize", "spawn"}
)
ACCOUNTING = ("off", "light", "full")
#: seconds between two searches for greenlets that ended without a switch
SWEEP_EVERY = 1.0
#: seconds between two full comparisons of the groups' members
REGROUP_EVERY = 1.0


class GeventProbe:
    """Watch all hubs of this process that are gevent's.

    `accounting` is off (no tracer: no times, ends through links), light (run and wait time, switches, longest run)
    or full (ready time, too). `log_limit` bounds what is kept between two drains. Raises ValueError for another
    accounting.
    """

    backend = "gevent"

    def __init__(self, *, accounting: str = "light", log_limit: int = LOG_LIMIT) -> None:
        if accounting not in ACCOUNTING:
            raise ValueError(f"accounting: {accounting!r} is none of {', '.join(ACCOUNTING)}")
        self.accounting = accounting
        self._traces = accounting != "off"
        self.capabilities = CAPABILITIES if self._traces else CAPABILITIES - {"accounting"}
        self._registry = Registry(log_limit)
        self._view = GeventView(self._registry, self._traces, accounting == "full")
        self._events = EventMaker(self._registry, self._view)
        self._control = GeventControl(self._registry, self._view)
        self._watchdog = Watchdog(self._registry, self._ask_for_tracer, self._control.expire)
        self._on_spawn = self._make_spawn_callback()
        self._dashboard: int | None = None
        self._attached = False
        self._attached_at = monotonic()
        self._swept = self._regrouped = 0.0
        _probes.add(self)

    @property
    def faults(self) -> list[str]:
        """What broke in the observer itself, for the health page; the hook concerned was removed."""
        return list(self._registry.faults)

    def missing(self, capability: Capability) -> str:
        """Tell in one sentence why a capability is absent ("" when it is there)."""
        if capability in self.capabilities:
            return ""
        if capability == "accounting":
            return "Accounting is off (accounting='off'): run and wait times need the switch tracer."
        if capability == "owners":
            return "gevent's locks and pools do not know who holds them; only an RLock does, and is shown with it."
        return "gevent does not offer this."

    # -- attaching

    def attach(self) -> None:
        """Begin to watch, and find what is already alive. Idempotent; holds the GIL for a pass over the heap."""
        if self._attached:
            return
        self._attached = True
        self._attached_at = monotonic()
        ident = discovery.thread_ident()
        if ident == MAIN_THREAD_IDENT:
            gevent.get_hub()  # the program's hub, before any thread of ours can need one
        here = get_hub_if_exists()
        if here is not None:
            self._view.waits.links.calibrate()
        Greenlet.add_spawn_callback(self._on_spawn)
        found = discovery.find_greenlets()
        for hub in found:
            if issubclass(type(hub), Hub) and hub.loop is not None and not discovery.is_dead(hub):
                self._open_lane(hub)
        memberships: dict[int, tuple[int, ...]] = {}
        for group in discovery.find_groups() if self._registry.lanes else ():
            number = self._adopt_group(group).id
            for member in members_of(group):
                memberships[id(member)] = (*memberships.get(id(member), ()), number)
        self._adopt_all(found, memberships)
        del found
        for lane in snapshot(self._registry.lanes):
            self._install(lane, ident)
        self._watchdog.start()

    def close(self) -> None:
        """Remove every hook. Idempotent; a hub that is busy lets go of its tracer when it turns."""
        if not self._attached:
            return
        self._attached = False
        self._control.closed = True
        Greenlet.remove_spawn_callback(self._on_spawn)
        self._watchdog.stop()
        ident = discovery.thread_ident()
        for lane in snapshot(self._registry.lanes):
            if not self._traces:
                self._unlink_all(lane, ident)
            elif lane.ident == ident:
                tracing.uninstall(lane)
            else:
                lane.traced = False  # from now on a mere passage
                self._control.post(lane, _Uninstall(lane))
        self._registry.log.clear()

    def _unlink_all(self, lane: Lane, ident: int) -> None:
        def unlink() -> None:
            for entry in lane.living():
                found = entry()
                if found is not None and entry.kind == "greenlet":
                    Greenlet.unlink(found, self._on_end)

        if lane.ident == ident:
            unlink()
        else:
            self._control.post(lane, unlink)

    def _open_lane(self, hub: Any) -> Lane:
        """Make a lane for a hub and its main greenlet."""
        now = monotonic()
        ident = hub.thread_ident
        lane = self._registry.lanes.get(ident)
        if lane is not None and not lane.gone:
            return lane
        of_hub = hub_entry(hub, now)
        lane = Lane(ident, discovery.thread_name(ident, hub), hub, of_hub, now)
        of_hub.lane = lane
        lane.hidden = ident == self._dashboard
        self._registry.lanes[ident] = lane
        if hub.parent is not None:
            main = self._registry.new_entry(hub.parent, lane, now, "main")
            main.started = now
            self._registry.note(main, BORN)
            self._registry.note(main, STARTED)
            if self._traces:
                lane.current = main
        return lane

    def _adopt_all(self, found: list[Any], memberships: dict[int, tuple[int, ...]]) -> None:
        """Register all greenlets that live and have a lane."""
        for one in found:
            hub = discovery.hub_of(one)
            if hub is None or hub is one or discovery.is_dead(one):
                continue
            lane = self._registry.lanes.get(hub.thread_ident)
            if lane is None or id(one) in lane.entries:
                continue
            begun = discovery.is_begun(one)
            if begun or (discovery.is_greenlet(one) and Greenlet.__bool__(one)):
                self._adopt_older(lane, one, begun, memberships.get(id(one), ()))
        for one in found:
            if discovery.is_greenlet(one):
                self._find_parent(one)

    def _adopt_older(self, lane: Lane, one: Any, begun: bool, groups: tuple[int, ...] = ()) -> Entry:
        """Register a greenlet that is older than the watching."""
        now = monotonic()
        is_greenlet = discovery.is_greenlet(one)
        entry = self._registry.new_entry(one, lane, now, "greenlet" if is_greenlet else "raw")
        if is_greenlet:
            run = getattr(one, "_run", None)
            entry.function = None if run is None else discovery.what_runs(run)
            entry.origin = getattr(one, "spawning_stack", None)
            if not self._traces:
                Greenlet.rawlink(one, self._on_end)
            if not begun:
                lane.pending += 1
        entry.groups = groups
        self._registry.note(entry, BORN)
        if begun:
            entry.started = now
            self._registry.note(entry, STARTED)
        return entry

    def _find_parent(self, one: Any) -> None:
        """Fill in who spawned a greenlet that is older than the watching."""
        ref = getattr(one, "spawning_greenlet", None)
        spawner = ref() if type(ref) is weakref.ref else None
        if spawner is None:
            return
        for lane in self._registry.shown_lanes():
            entry, parent = lane.entries.get(id(one)), lane.entries.get(id(spawner))
            if entry is not None and parent is not None and not entry.parent:
                entry.parent = parent.id

    # -- the tracer's place

    def _install(self, lane: Lane, ident: int) -> None:
        if not self._traces or lane.hidden:
            return
        if lane.ident == ident:
            self._install_here(lane)
        else:
            self._control.post(lane, lambda: self._install_here(lane))

    def _install_here(self, lane: Lane) -> None:
        """Begin to trace the thread that runs this."""
        if not self._attached or lane.hidden or lane.traced:
            return
        now = monotonic()
        current = greenlet.getcurrent()
        lane.current = lane.entries.get(id(current)) or self._adopt(lane, current, now)
        lane.last = now
        trace = tracing.make_tracer(self._registry, lane, self._adopt, self.accounting == "full")
        tracing.install(lane, trace)

    def _ask_for_tracer(self, lane: Lane) -> None:
        """Look in the hub whether the tracer is still called, and put it back if not."""

        def look() -> None:
            trace = lane.trace
            if not self._attached or not lane.traced or trace is None or greenlet.gettrace() is trace:
                return
            before = lane.last, lane.current.switches
            greenlet.greenlet(_nothing).switch()
            if (lane.last, lane.current.switches) != before:
                return  # somebody chains to us
            lane.current = lane.entries.get(id(greenlet.getcurrent()), lane.hub_entry)
            lane.last = monotonic()
            tracing.install(lane, trace)
            self._sweep(everything=True)

        self._control.post(lane, look)

    # -- hooks: in the hub's thread

    def _make_spawn_callback(self) -> Callable[[Any], None]:
        """Return what gevent calls with each Greenlet that is started."""
        registry = self._registry
        lanes, ids = registry.lanes, registry.ids
        log, limit = registry.log, registry.log_limit
        get_ident, what_runs = discovery.thread_ident, discovery.what_runs
        has_links = Greenlet.has_links
        traces = self._traces

        def on_spawn(new: Any) -> None:
            try:
                lane = lanes.get(get_ident())
                if lane is None or lane.gone:
                    lane = self._open_lane(gevent.get_hub())
                    self._install_here(lane) if traces else None
                if lane.hidden:
                    return
                entry = Entry(new)
                entry.id = next(ids)
                entry.lane = lane
                entry.born = entry.since = monotonic()
                entry.started = entry.ended = entry.run = entry.ready = entry.longest = entry.killed_at = 0.0
                entry.switches = entry.step = entry.skipped = 0
                entry.outcome = entry.exception = None
                entry.kind = "greenlet"
                entry.known = True
                entry.groups = ()
                entry.function = what_runs(new._run)
                entry.parent = lane.current.id if traces else self._parent_of(lane)
                entry.origin = new.spawning_stack or discovery.caller_outside(2)
                lane.entries[id(new)] = entry
                lane.pending += 1
                if has_links(new):
                    entry.groups = self._groups_of(new)
                if not traces:
                    Greenlet.rawlink(new, self._on_end)
                if len(log) < limit:
                    log.append(entry)
                else:
                    registry.note(entry, BORN)
            except Exception as error:
                if not tracing._is_ours(error):
                    raise
                registry.fault("spawn callback", error)
                Greenlet.remove_spawn_callback(on_spawn)

        return on_spawn

    def _parent_of(self, lane: Lane) -> int:
        entry = lane.entries.get(id(greenlet.getcurrent()))
        return 0 if entry is None else entry.id

    def _groups_of(self, new: Any) -> tuple[int, ...]:
        groups = discovery.groups_linked_to(discovery.links_before_start(new))
        return tuple(self._adopt_group(group).id for group in groups)

    def _on_end(self, ended: Any) -> None:
        """Be told by a link of an end, where nothing is traced."""
        lane = self._registry.lanes.get(discovery.thread_ident())
        if lane is not None:
            entry = lane.entries.get(id(ended))
            if entry is not None and not entry.started and not tracing.is_stillborn(ended):
                entry.started = entry.born  # nobody has seen when
                self._registry.note(entry, STARTED)
            tracing.finish(self._registry, lane, ended, monotonic())

    def _adopt(self, lane: Lane, target: Any, now: float) -> Entry:
        """Register a greenlet that is switched to and that nobody has told of: a raw one, or a new hub."""
        if issubclass(type(target), Hub):
            return self._adopt_hub(lane, target, now)
        if discovery.is_greenlet(target):
            return self._adopt_older(lane, target, begun=True)
        if target.parent is None:
            entry = self._registry.new_entry(target, lane, now, "main")
            self._registry.note(entry, BORN)
            return entry
        entry = self._registry.new_entry(target, lane, now, "raw")
        current = lane.current
        entry.parent = current.id if current.known else 0
        if discovery.is_spawned_raw(target):
            self._registry.note(entry, BORN)
        else:
            entry.known = False
            lane.raws.append(entry)
        return entry

    def _adopt_hub(self, lane: Lane, hub: Any, now: float) -> Entry:
        """Take over a hub that has followed another one in its thread."""
        entry = hub_entry(hub, now)
        entry.lane = lane
        lane.hub = weakref.ref(hub)
        lane.hub_entry = entry
        lane.entries[id(hub)] = entry
        return entry

    def _adopt_group(self, group: Any) -> GroupEntry:
        """Return the entry of a Group or Pool, made when it is seen for the first time."""
        registry = self._registry
        entry = registry.groups_by_key.get(id(group))
        if entry is not None and entry() is group:
            return entry
        entry = GroupEntry(group)
        entry.id = next(registry.group_ids)
        entry.name = f"{type(group).__name__}-{entry.id}"
        entry.opened = monotonic()
        entry.closed = False
        entry.members = {}
        lane = registry.lanes.get(discovery.thread_ident())
        for member in members_of(group)[:1]:
            hub = discovery.hub_of(member)
            lane = registry.lanes.get(hub.thread_ident, lane) if hub is not None else lane
        entry.lane = lane or next(iter(snapshot(registry.lanes)))
        registry.groups_by_key[id(group)] = entry
        registry.groups[entry.id] = entry
        registry.note_other(entry, "group_opened")
        return entry

    # -- what happened

    def drain(self) -> Drained:
        """Take what happened since the last call. Call from the dashboard's thread: its hub is hidden from then on."""
        now = monotonic()
        self._hide_own_thread()
        self._control.expire()
        if now - self._swept > SWEEP_EVERY:
            self._swept = now
            self._close_lanes()
            self._sweep(everything=False)
            self._reap_groups(now)
        return self._events.drain(now)

    def _hide_own_thread(self) -> None:
        ident = discovery.thread_ident()
        if ident == self._dashboard or ident == MAIN_THREAD_IDENT:
            return
        self._dashboard = ident
        lane = self._registry.lanes.get(ident)
        if lane is not None:
            lane.hidden = True
            tracing.uninstall(lane)

    def _close_lanes(self) -> None:
        """Give up lanes whose hub is gone; what lived there is told as killed."""
        for lane in self._registry.shown_lanes():
            hub = lane.hub()
            if hub is not None and hub.loop is not None and not discovery.is_dead(hub):
                continue
            if any(other is not None and other.loop is not None for other in (lane.hub(),)):
                continue
            if lane.traced and monotonic() - lane.last < 2 * SWEEP_EVERY:
                continue  # another hub may follow in the same thread
            for entry in lane.living():
                self._end_unseen(entry)
            lane.gone = True

    def _sweep(self, everything: bool) -> None:
        """Find what ended without a switch: killed before it began, or while the tracer was not in its place."""
        for lane in self._registry.shown_lanes():
            if lane.pending <= 0 and not everything and self._traces:
                continue
            for entry in lane.living():
                if entry.started and not everything and self._traces:
                    continue
                one = entry()
                if one is None:
                    self._end_unseen(entry)
                elif discovery.is_greenlet(one):
                    if Greenlet.successful(one) or tracing._exception_of(one) is not None:
                        tracing.finish(self._registry, lane, one, monotonic())
                elif discovery.is_dead(one):
                    tracing.finish(self._registry, lane, one, monotonic())
        for entry in self._registry.indexed():
            if entry() is None and not entry.ended:
                self._end_unseen(entry)

    def _end_unseen(self, entry: Entry) -> None:
        """Tell the end of a greenlet that is gone without a trace: it was killed, and its memory is free."""
        if entry.ended:
            return
        lane = entry.lane
        for key, other in list(lane.entries.items()):
            if other is entry:
                del lane.entries[key]
                if not entry.started and entry.kind == "greenlet":
                    lane.pending -= 1
                break
        entry.outcome = "killed"
        entry.ended = monotonic()
        if entry.known:
            self._registry.note(entry, ENDED)

    def _reap_groups(self, now: float) -> None:
        registry = self._registry
        for key, entry in list(registry.groups_by_key.items()):
            if entry() is None:
                registry.groups_by_key.pop(key, None)
                registry.groups.pop(entry.id, None)
                entry.closed = True
                entry.opened = now
                registry.note_other(entry, "group_closed")

    # -- what is so now

    def live_ids(self) -> Sequence[int]:
        """Return the ids of all that live, oldest first."""
        ids = [entry.id for entry in self._registry.living()]
        ids.sort()
        return ids

    def records(self, ids: Iterable[int]) -> list[GreenletRecord]:
        """Return what never changes about these, for whoever missed their `spawned`."""
        found = []
        for id in ids:
            entry = self._registry.find(id)
            if entry is not None:
                found.append(self._events.record(entry))
        return found

    def sample(self, ids: Iterable[int]) -> list[GreenletSample]:
        """Look at these greenlets now."""
        return self._view.sample(ids)

    def count_states(self) -> dict[str, int]:
        """Count what lives by state."""
        return self._view.count_states()

    def groups(self) -> list[GroupSample]:
        """Look at all living Groups and Pools now."""
        entries = [entry for entry in snapshot(self._registry.groups) if not entry.lane.hidden]
        return [sample for entry in entries if (sample := self._view.group(entry)) is not None]

    def hubs(self) -> list[HubSample]:
        """Look at every hub of the program now."""
        return [self._watchdog.sample(lane) for lane in self._registry.shown_lanes() if lane.hub() is not None]

    def stack(self, id: int) -> Stack | None:
        """Return the frames of a live greenlet as they are now."""
        return self._view.stack(id)

    def waiters_of(self, id: int) -> Sequence[int]:
        """Return the ids of the greenlets that join this one or wait for an RLock of it."""
        entry = self._registry.find(id)
        one = None if entry is None else entry()
        return [] if entry is None or one is None else self._view.waits.waiters_of(entry, one)

    # -- what is asked

    def kill(self, id: int, timeout: float) -> "Future[ControlResult]":
        """Post a kill to the greenlet's hub."""
        return self._control.kill(id, timeout)

    def kill_group(self, id: int, timeout: float) -> "Future[ControlResult]":
        """Post a kill of all members of a Group or Pool."""
        return self._control.kill_group(id, timeout)

    def resize(self, id: int, size: int, timeout: float) -> "Future[ControlResult]":
        """Post a new size to a Pool."""
        return self._control.resize(id, size, timeout)

    def spawn(
        self,
        function: Callable[..., Any],
        arguments: dict[str, Any],
        group: int | None,
        delay: float | None,
        timeout: float,
    ) -> "Future[ControlResult]":
        """Post a spawn to the group's hub, or to the main one."""
        return self._control.spawn(function, arguments, group, delay, timeout)

    def cost(self) -> dict[str, float]:
        """Return what watching costs: `hook_ns` per switch as measured on this machine, `share` of the time since."""
        switches = sum(2 * lane.hub_entry.switches for lane in self._registry.shown_lanes() if lane.traced)
        hook_ns = self._hook_ns() if self._traces else 0.0
        elapsed = max(1e-9, monotonic() - self._attached_at)
        return {"hook_ns": hook_ns, "share": min(1.0, hook_ns * 1e-9 * switches / elapsed)}

    def _hook_ns(self) -> float:
        """Measure the tracer once, on a lane of its own that nothing else sees."""
        if not _measured:
            registry = Registry()
            lane = _paper_lane()
            trace = tracing.make_tracer(registry, lane, self._adopt, self.accounting == "full")
            args = (greenlet.getcurrent(), greenlet.getcurrent())
            rounds = 2000
            for _ in range(rounds):
                trace("switch", args)
            begin = perf_counter_ns()
            for _ in range(rounds):
                trace("switch", args)
            _measured.append((perf_counter_ns() - begin) / rounds)
        return _measured[0]

    def _forget_parent(self) -> None:
        """Let go of everything in a forked child, where no thread of ours lives and nobody reads."""
        if not self._attached:
            return
        self._attached = False
        Greenlet.remove_spawn_callback(self._on_spawn)
        ident = discovery.thread_ident()
        for lane in snapshot(self._registry.lanes):
            if lane.ident == ident:
                tracing.uninstall(lane)
            lane.traced = False
        self._registry.log.clear()


class _Uninstall:
    """Takes a tracer out in its own thread."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    def __call__(self) -> None:
        tracing.uninstall(self._lane)


def _paper_lane() -> Lane:
    """Return a lane of the calling greenlet that belongs to no registry."""
    now = monotonic()
    current = greenlet.getcurrent()
    entry = hub_entry(current, now)
    lane = Lane(0, "", current, entry, now)
    entry.lane = lane
    lane.traced = True
    return lane


def _nothing() -> None:
    """Be switched to, to see whether the tracer is called."""


_measured: list[float] = []
_probes: "weakref.WeakSet[GeventProbe]" = weakref.WeakSet()


def _after_fork() -> None:
    for probe in list(_probes):
        try:
            probe._forget_parent()
        except Exception as error:
            probe._registry.fault("fork", error)


os.register_at_fork(after_in_child=_after_fork)

__all__ = ["GeventProbe"]
