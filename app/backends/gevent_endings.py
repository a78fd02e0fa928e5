"""Ends that no switch tells of, and groups whose members change unseen; looked for now and then when draining.

A Greenlet that is killed before it began ends without ever running. A hub is destroyed, a thread ends, the tracer was
not in its place for a while. A greenlet that runs already is put into a Group, or taken out. None of these has a
hook that would not change the program, so they are found by comparing, about once a second.
"""

from collections.abc import Callable
from time import monotonic

from greenscope.app.backends import gevent_discovery as discovery
from greenscope.app.backends import gevent_tracing as tracing
from greenscope.app.backends.gevent_lane import Lane
from greenscope.app.backends.gevent_notes import Membership
from greenscope.app.backends.gevent_registry import ENDED, Entry, GroupEntry, Registry
from greenscope.app.backends.gevent_untraced import Untraced
from greenscope.app.backends.gevent_view import GeventView, members_of

#: seconds between two searches
SWEEP_EVERY = 1.0
#: a hub that is gone may be followed by another in the same thread for so long (seconds)
HUB_GRACE = 2.0


class Endings:
    """Searches a registry for what has changed unseen. Used from the dashboard's thread, but for `sweep`."""

    def __init__(
        self, registry: Registry, view: GeventView, untraced: Untraced | None, keep: Callable[[Lane], None]
    ) -> None:
        self._registry = registry
        self._view = view
        self._untraced = untraced
        self._keep = keep
        self._swept = 0.0

    def look(self, now: float) -> None:
        """Do all searches, if the last ones are long enough ago."""
        if self._untraced is not None:
            self._untraced.look()
        if now - self._swept < SWEEP_EVERY:
            return
        self._swept = now
        for lane in self._registry.shown_lanes():
            self._close(lane, now)
            self._keep(lane)
            if self._untraced is not None and not lane.traced:
                self._untraced.keep(lane)
        self.sweep(everything=False)
        for entry in list(self._registry.groups.values()):
            if entry() is None:
                self._close_group(entry, now)
            else:
                self._compare(entry, now)

    def sweep(self, everything: bool) -> None:
        """Find what ended without a switch: among those that have not begun, or among all."""
        for lane in self._registry.shown_lanes():
            blind = self._untraced is not None and self._untraced.is_blind(lane)
            if lane.pending > 0 or everything or blind or lane.rested:
                rested, pending = lane.rested, 0
                for entry in lane.living():
                    if not entry.started or everything or blind:
                        self._settle(lane, entry)
                        pending += not entry.started and not entry.ended and entry.kind == "greenlet"
                lane.pending_seen = pending
                if blind:
                    lane.swept = rested
        for entry in self._registry.indexed():
            if entry.ended:
                if entry.skipped >> ENDED:  # dropped or shed
                    self._registry.forget(entry)
            elif entry() is None:
                self._settle(entry.lane, entry)

    def _settle(self, lane: Lane, entry: Entry) -> None:
        one = entry()
        if self._untraced is not None and lane.has_missed(entry):
            self._untraced.settle(lane, entry, one)
        elif one is None:
            self._end_unseen(entry)
        elif discovery.is_greenlet(one):
            if tracing.has_ended(one):
                tracing.finish(self._registry, lane, one, monotonic())
        elif discovery.is_dead(one):
            tracing.finish(self._registry, lane, one, monotonic())

    def _close(self, lane: Lane, now: float) -> None:
        """Give up a lane whose hub is gone; what lived there is told as killed."""
        hub = lane.hub()
        if hub is not None and hub.loop is not None and not discovery.is_dead(hub):
            return
        if now - max(lane.last, lane.since) < HUB_GRACE:
            return
        for entry in lane.living():
            self._end_unseen(entry)
        lane.gone = True

    def _end_unseen(self, entry: Entry) -> None:
        """Tell the end of a greenlet that is gone without a trace: it was killed, and its memory is free."""
        if entry.ended:
            return
        lane = entry.lane
        for key, other in list(lane.entries.items()):
            if other is entry:
                lane.entries.pop(key, None)
                if not entry.started and entry.kind == "greenlet":
                    lane.pending -= 1
                break
        entry.outcome = "killed"
        entry.ended = monotonic()
        if entry.known:
            self._registry.note(entry, ENDED)

    def _close_group(self, entry: GroupEntry, now: float) -> None:
        registry = self._registry
        registry.groups.pop(entry.id, None)
        for lane in registry.shown_lanes():
            lane.forget_group(entry.id)
        for key, other in list(registry.groups_by_key.items()):
            if other is entry:
                registry.groups_by_key.pop(key, None)
        entry.closed = True
        entry.opened = now
        registry.note_other(entry, "group_closed")

    def _compare(self, group: GroupEntry, now: float) -> None:
        """Tell who was put into a group, or taken out, while it ran."""
        found = group()
        if found is None or len(found.greenlets) == len(group.members) == 0:
            return
        entries = group.lane.entries
        members: dict[int, Entry] = {}
        for member in members_of(found):
            entry = entries.get(id(member))
            if entry is not None and entry() is member and entry.known and entry.step > 0:
                members[entry.id] = entry
        for number, entry in members.items():
            if number not in group.members and group.id not in entry.groups:
                entry.groups = (*entry.groups, group.id)
                self._registry.note_other(Membership(entry, group, now, True), "grouped")
        for number in list(group.members):
            left = self._registry.find(number) if number not in members else None
            if left is not None:
                left.groups = tuple(other for other in left.groups if other != group.id)
                self._registry.note_other(Membership(left, group, now, False), "ungrouped")
