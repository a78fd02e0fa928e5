"""How greenlets, hubs and groups come into the registry: by gevent's spawn callback, by a switch, or by a search.

gevent calls `on_spawn` with each Greenlet that is started, in the hub's thread and before its first switch. What
must be kept is taken then, since gevent lets go of a greenlet's function when it ends; it is kept as code objects
and numbers, never as the program's own objects. Names and places are made of it when it is told.

`spawn_raw`, the main greenlet and whatever else switches are first seen by the tracer. A plain raw greenlet is not
told of before it parks: gevent makes one for each `link` callback, and they would drown the rest.
"""

import weakref
from collections.abc import Callable
from time import monotonic
from types import FunctionType
from typing import Any

import gevent
import greenlet
from gevent import Greenlet
from gevent.hub import Hub

from greenscope.app.backends import gevent_discovery as discovery
from greenscope.app.backends import gevent_tracing as tracing
from greenscope.app.backends.gevent_arrivals import Arrival
from greenscope.app.backends.gevent_lane import Lane, snapshot
from greenscope.app.backends.gevent_registry import Entry, GroupEntry, Registry, hub_entry
from greenscope.app.backends.gevent_view import members_of


class Births:
    """Registers what comes to be; `on_lane` is told of each thread that turns out to have a hub, in that thread."""

    def __init__(self, registry: Registry, on_lane: Callable[[Lane], None]) -> None:
        self._registry = registry
        self._on_lane = on_lane
        #: the native thread of the dashboard, whose hub is hidden
        self.dashboard: int | None = None
        self.on_spawn = self._make_spawn_callback()

    # -- what exists at attach

    def find_all(self) -> None:
        """Register all hubs, groups and greenlets that exist. Holds the GIL for two passes over the heap."""
        found = discovery.find_greenlets()
        for hub in found:
            if issubclass(type(hub), Hub) and hub.loop is not None and not discovery.is_dead(hub):
                self.open_lane(hub)
        memberships: dict[int, tuple[int, ...]] = {}
        for group in discovery.find_groups() if self._registry.lanes else ():
            number = self.adopt_group(group).id
            for member in members_of(group):
                memberships[id(member)] = (*memberships.get(id(member), ()), number)
        for one in found:
            self._adopt_found(one, memberships)
        for one in found:
            if discovery.is_greenlet(one):
                self._find_parent(one)

    def open_lane(self, hub: Any) -> Lane:
        """Make a lane for a hub and its main greenlet."""
        now = monotonic()
        ident = hub.thread_ident
        lane = self._registry.lanes.get(ident)
        if lane is not None and not lane.gone:
            return lane
        of_hub = hub_entry(hub, now)
        lane = Lane(ident, discovery.thread_name(ident, hub), hub, of_hub, now)
        of_hub.lane = lane
        lane.hidden = ident == self.dashboard
        self._registry.lanes[ident] = lane
        if hub.parent is not None:
            self._adopt_main(lane, hub.parent, now)
        return lane

    def _adopt_main(self, lane: Lane, main: Any, now: float) -> Entry:
        entry = self._registry.new_entry(main, lane, now, "main")
        entry.started = now
        self._registry.enter(entry, main)
        return entry

    def _adopt_found(self, one: Any, memberships: dict[int, tuple[int, ...]]) -> None:
        hub = discovery.hub_of(one)
        if hub is None or hub is one or discovery.is_dead(one):
            return
        lane = self._registry.lanes.get(hub.thread_ident)
        if lane is None or id(one) in lane.entries:
            return
        begun = discovery.is_begun(one)
        if begun or (discovery.is_greenlet(one) and Greenlet.__bool__(one)):
            self._adopt_older(lane, one, begun, memberships.get(id(one), ()))

    def _adopt_older(self, lane: Lane, one: Any, begun: bool, groups: tuple[int, ...] = ()) -> Entry:
        """Register a greenlet that is older than the watching."""
        now = monotonic()
        is_greenlet = discovery.is_greenlet(one)
        entry = self._registry.new_entry(one, lane, now, "greenlet" if is_greenlet else "raw")
        if is_greenlet:
            run = getattr(one, "_run", None)
            entry.function = None if run is None else discovery.what_runs(run)
            entry.origin = getattr(one, "spawning_stack", None)
            if not begun:
                lane.pending += 1
        entry.groups = groups
        if begun:
            entry.started = now
        self._registry.enter(entry, one)
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

    # -- what begins later, in the hub's thread

    def _make_spawn_callback(self) -> Callable[[Any], None]:
        """Return what gevent calls with each Greenlet that is started."""
        registry = self._registry
        lanes, ids = registry.lanes, registry.ids
        get_ident, what_runs, caller_outside = discovery.thread_ident, discovery.what_runs, discovery.caller_outside
        clock, identity, next_id = monotonic, id, ids.__next__
        has_links, alive = Greenlet.has_links, Greenlet.__bool__
        on_freed, most_arrivals = registry.on_freed, registry.log_limit

        def on_spawn(new: Any) -> None:
            try:
                lane = lanes.get(get_ident())
                if lane is None or lane.gone:
                    lane = self.open_lane(gevent.get_hub())
                    self._on_lane(lane)
                if lane.hidden:
                    return
                traced = lane.traced
                key = identity(new)
                if not traced and lane.hub() is not new.parent:
                    self._follow(lane, new.parent)
                if traced:
                    parent = lane.current.id
                elif lane.left <= 0 and not has_links(new) and len(lane.arrivals) < most_arrivals:
                    arrival = Arrival(new)
                    arrival.t = clock()
                    lane.arrivals.append(arrival)
                    if key in lane.entries:
                        registry.clear(lane, key, arrival.t)
                    return
                else:
                    lane.left -= 1
                    parent = _id_of_current(lane)
                entry = Entry(new, on_freed)
                entry.address = key
                entry.id = next_id()
                entry.lane = lane
                entry.born = entry.since = clock()
                entry.rested = lane.rested if traced else lane.rest_until(entry.born)
                entry.started = entry.ended = entry.run = entry.ready = entry.longest = entry.killed_at = 0.0
                entry.switches = entry.step = entry.skipped = 0
                entry.outcome = entry.exception = None
                entry.kind = "greenlet"
                entry.known = True
                entry.groups = ()
                entry.plain = type(new) is Greenlet or type(new).__bool__ is alive
                run = new._run
                if type(run) is FunctionType and run.__closure__ is None:
                    entry.function = run.__code__
                else:
                    entry.function = what_runs(run)
                entry.parent = parent
                entry.origin = new.spawning_stack or caller_outside(2)
                lane.pending += 1
                entries = lane.entries
                if key in entries:
                    registry.clear(lane, key, entry.born)
                if has_links(new):
                    entry.groups = self._groups_of(new)
                    entry.born = clock()
                entries[key] = entry
            except Exception as error:
                if not tracing.is_ours(error):
                    raise
                registry.fault("spawn callback", error)
                Greenlet.remove_spawn_callback(on_spawn)

        return on_spawn

    def register(self, lane: Lane, one: Any, born: float) -> Entry:
        """Return the entry of a Greenlet that was started unseen, made unless another thread was faster."""
        entry = self._registry.new_entry(one, lane, born, "greenlet")
        run = getattr(one, "_run", None)
        entry.function = None if run is None else discovery.what_runs(run)
        entry.origin = getattr(one, "spawning_stack", None)
        entry.groups = self._groups_of(one) if not discovery.is_begun(one) else ()
        if discovery.is_begun(one) or (tracing.has_ended(one) and not tracing.is_stillborn(one)):
            entry.started = born
        key = id(one)
        other = lane.entries.setdefault(key, entry)
        if other is not entry:
            if other() is one:
                return other
            self._registry.enter(entry, one)  # the address of one that vanished unseen
        self._find_parent(one)
        return entry

    def adopt(self, lane: Lane, target: Any, now: float) -> Entry:
        """Register a greenlet that is switched to and that nobody has told of: a raw one, or a new hub."""
        if issubclass(type(target), Hub):
            return self._adopt_hub(lane, target, now)
        if discovery.is_greenlet(target):
            return self._adopt_older(lane, target, begun=True)
        if target.parent is None:
            return self._adopt_main(lane, target, now)
        entry = self._registry.new_entry(target, lane, now, "raw")
        current = lane.current
        entry.parent = current.id if current.known else 0
        if not discovery.is_spawned_raw(target):
            entry.known = False
            lane.raws.append(entry)
        self._registry.enter(entry, target)
        return entry

    def _follow(self, lane: Lane, hub: Any) -> None:
        """Take over a hub that has followed another one while nothing was traced; in its thread."""
        if issubclass(type(hub), Hub):
            now = monotonic()
            self._adopt_hub(lane, hub, now)
            lane.current, lane.last = lane.hub_entry, now
            self._on_lane(lane)

    def _adopt_hub(self, lane: Lane, hub: Any, now: float) -> Entry:
        """Take over a hub that has followed another one in its thread."""
        entry = hub_entry(hub, now)
        entry.lane = lane
        lane.hub = weakref.ref(hub)
        lane.hub_entry = entry
        lane.entries[id(hub)] = entry
        return entry

    # -- groups

    def _groups_of(self, new: Any) -> tuple[int, ...]:
        groups = discovery.groups_linked_to(discovery.links_before_start(new))
        return tuple(self.adopt_group(group).id for group in groups)

    def adopt_group(self, group: Any) -> GroupEntry:
        """Return the entry of a Group or Pool, made when it is seen for the first time."""
        registry = self._registry
        entry = registry.groups_by_key.get(id(group))
        if entry is not None and entry() is group:
            return entry
        lane = registry.lanes.get(discovery.thread_ident())
        for member in members_of(group)[:1]:
            hub = discovery.hub_of(member)
            lane = registry.lanes.get(hub.thread_ident, lane) if hub is not None else lane
        entry = GroupEntry(group)
        entry.id = next(registry.group_ids)
        entry.name = f"{type(group).__name__}-{entry.id}"
        entry.opened = monotonic()
        entry.closed = False
        entry.members = {}
        entry.lane = lane or next(iter(snapshot(registry.lanes)))
        other = registry.groups_by_key.setdefault(id(group), entry)
        if other is not entry:
            if other() is group:  # another thread was faster
                return other
            registry.groups_by_key[id(group)] = entry
        registry.groups[entry.id] = entry
        registry.note_other(entry, "group_opened")
        return entry


def _id_of_current(lane: Lane) -> int:
    current = greenlet.getcurrent()
    entry = lane.entries.get(id(current))
    return 0 if entry is None or entry() is not current else entry.id
