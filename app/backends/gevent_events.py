"""The log made into events: names, places and records, in the dashboard's thread, once per tick.

What was born is found at the end of each lane's entries; the log holds what has ended, and what has begun later. Of
either all is told that is so and has not been told; how far that is stands in the entry. Steps that did not fit into
the log were counted then and are passed over here.

What takes the GIL here is taken from the program. So the lives that the hooks have shed, those that began and succeeded
between two drains and were too many, are counted as dropped, by kind and by group. Where nothing is traced, no hook
knows of an end, and they are shed here. Failures, kills and whatever is still alive are always told.
"""

from collections import deque
from itertools import islice
from math import inf
from operator import attrgetter
from time import monotonic
from types import CodeType
from typing import Any

from greenscope.app.backends import fast_records as make
from greenscope.app.backends.frames import safe_text
from greenscope.app.backends.gevent_accounts import account
from greenscope.app.backends.gevent_discovery import is_greenlet, outermost_code, site_of_origin, told
from greenscope.app.backends.gevent_lane import Lane
from greenscope.app.backends.gevent_notes import Block, KillNote, Membership
from greenscope.app.backends.gevent_registry import (
    BORN,
    ENDED,
    SHED,
    STARTED,
    Entry,
    GroupEntry,
    Registry,
)
from greenscope.app.backends.gevent_view import GeventView
from greenscope.app.backends.short_lives import SHORT_BURST, SHORT_RATE
from greenscope.app.backends.whose import program_site
from greenscope.app.breath import breathe
from greenscope.app.model import Drained, Event, GreenletRecord, GreenletSample, Site

#: log items taken by one drain; the rest waits for the next
MOST_PER_DRAIN = 20_000
#: a raw greenlet in its first run is told of when it has run so long (seconds)
RAW_AFTER = 0.05
_CACHED = 10_000
#: entries that are looked through at first for new ones
_FIRST_LOOK = 500
_time_of = attrgetter("t")


class EventMaker:
    """Drains the log of a registry."""

    def __init__(self, registry: Registry, view: GeventView) -> None:
        self._registry = registry
        self._view = view
        #: short lives that may be told, per lane: a second, and at once
        self._short_rate, self._short_burst = SHORT_RATE, SHORT_BURST
        self._allowed_at = monotonic()
        self._untraced = registry.on_freed is not None
        #: noticed, and not told yet
        self._newborn: deque[Entry] = deque()
        #: what was left at some moment, of both queues, and what of it is left still
        self._left: tuple[float, int, int] | None = None
        #: what had happened until then has been told
        self._until = monotonic()
        self._functions: dict[Any, tuple[str, str, int, str]] = {}
        self._sites: dict[tuple[CodeType, int], Site | None] = {}

    def drain(self, now: float) -> Drained:
        """Return what happened since the last call, in order, and what was dropped."""
        registry = self._registry
        for lane in registry.shown_lanes():
            raws = len(lane.raws)  # what stands before these is found now
            self._newborn.extend(self._notice(lane))
            self._tell_raws(lane, raws, now)
        events: list[Event] = []
        left = MOST_PER_DRAIN
        queues: tuple[deque[Any], ...] = (registry.log, self._newborn)
        taken = [0, 0]
        for number, queue in enumerate(queues):
            for _ in range(min(len(queue), left)):
                left -= 1
                taken[number] += 1
                try:
                    item = queue.popleft()
                except IndexError:
                    break  # another thread has closed the probe, which clears the log
                try:
                    if type(item) is Entry:
                        self._catch_up(item, events)
                    else:
                        self._other(item, events)
                except Exception as error:
                    registry.fault("events", error)
                breathe()
        events.sort(key=_time_of)
        dropped, registry.dropped = registry.dropped, {}
        unseen: dict[int, dict[str, int]] = {}
        self._count_shed(now, dropped, unseen)
        return Drained(tuple(events), dropped, unseen, self._told_until(now, *taken))

    def _told_until(self, now: float, of_log: int, of_newborn: int) -> float:
        """Return until when everything has been told, so many having been taken from each queue since the last call."""
        log, newborn = self._registry.log, self._newborn
        if not log and not newborn:
            self._left = None
            return inf
        if self._left is not None:
            since, *left = self._left
            self._left = since, left[0] - of_log, left[1] - of_newborn
            if max(self._left[1:]) <= 0:
                self._until, self._left = since, None
        if self._left is None:
            self._left = now, len(log), len(newborn)
        return self._until

    @staticmethod
    def _notice(lane: Lane) -> list[Entry]:
        """Return what was born in a lane since the last look, oldest first: the newest stand at the end."""
        many = _FIRST_LOOK
        while True:
            try:
                found = list(islice(reversed(lane.entries.values()), many))
            except RuntimeError:
                continue  # it changed while it was copied
            if len(found) < many or found[-1].step:
                break
            many *= 4
        new: list[Entry] = []
        for entry in found:
            if entry.step:
                break
            if entry.known and entry.kind != "hub":
                entry.step = BORN
                new.append(entry)
        new.reverse()
        return new

    def _count_shed(self, now: float, dropped: dict[str, int], unseen: dict[int, dict[str, int]]) -> None:
        """Count what the hooks have shed since the last call, and let them tell more."""
        short = 0
        passed, self._allowed_at = now - self._allowed_at, now
        for lane in self._registry.shown_lanes():
            before = short
            for shed in (lane.shed, lane.shed_untraced):
                count, of = shed.news()
                short += count
                for group, lives in of.items():
                    found = unseen.setdefault(group, {"spawned": 0, "succeeded": 0})
                    found["spawned"] += lives
                    found["succeeded"] += lives
            lane.allow(short - before, passed, self._short_rate, self._short_burst)
        if short:
            for kind in ("spawned", "started", "succeeded"):
                dropped[kind] = dropped.get(kind, 0) + short

    def _catch_up(self, entry: Entry, events: list[Event]) -> None:
        """Tell of a life what is so and was not told."""
        if entry.lane.hidden or entry.skipped == SHED:
            return
        if self._untraced and not entry.step and entry.outcome == "succeeded" and self._shed(entry):
            return
        step = entry.step or BORN
        if step == BORN:
            step = STARTED
            if not entry.skipped >> BORN & 1:
                self._registry.learn(entry)
                events.append(make.event("spawned", entry.born, entry.id, None, self.record(entry)))
                for group in entry.groups:
                    self._join(group, entry, events)
        if step == STARTED and (entry.started or entry.ended):
            step = ENDED
            if entry.started and not entry.skipped >> STARTED & 1:
                events.append(make.event("started", entry.started, entry.id))
        if step == ENDED and entry.ended:
            step = ENDED + 1
            if not entry.skipped >> ENDED & 1:
                self._end(entry, events)
        entry.step = step

    def _shed(self, entry: Entry) -> bool:
        """Count a short life whose end no hook has seen; False if it is to be told all the same."""
        lane = entry.lane
        if entry.killed_at:
            return False
        if lane.left_untraced > 0:
            lane.left_untraced -= 1
            return False
        entry.skipped = SHED
        lane.shed_untraced.add(entry.groups)
        return True

    def _end(self, entry: Entry, events: list[Event]) -> None:
        registry = self._registry
        registry.forget(entry)
        for group in entry.groups:
            found = registry.groups.get(group)
            if found is not None and found.members.pop(entry.id, entry) is None:
                events.append(make.event("ungrouped", entry.ended, entry.id, group))
        life = self._life(entry)
        kind = entry.outcome or "succeeded"
        events.append(make.event(kind, entry.ended, entry.id, None, None, entry.exception, life))

    def _life(self, entry: Entry) -> GreenletSample:
        """Return the account of a whole life."""
        state = entry.outcome or "succeeded"
        if not self._view.accounting:
            return make.sample(entry.id, state)
        times = account(entry, entry.ended, self._view.full)
        return make.sample(entry.id, state, None, None, *times, entry.killed_at or None)

    def _join(self, group: int, entry: Entry, events: list[Event]) -> None:
        found = self._registry.groups.get(group)
        if found is not None and entry.id not in found.members:
            found.members[entry.id] = None
            events.append(make.event("grouped", entry.born, entry.id, group))

    def _other(self, item: Block | KillNote | GroupEntry | Membership, events: list[Event]) -> None:
        if isinstance(item, Block):
            entry = item.entry
            if entry is not None and entry.lane.hidden:
                return
            id = entry.id if entry is not None and entry.known else None
            detail: dict[str, object] = {"duration": item.lasted, "stack": item.stack}
            events.append(Event("blocked", item.t, greenlet=id, detail=detail))
        elif isinstance(item, KillNote):
            events.append(make.event("kill_requested", item.t, item.entry.id))
        elif isinstance(item, Membership):
            self._change_members(item, events)
        elif item.lane.hidden:
            return
        elif item.closed:
            events.append(make.event("group_closed", item.opened, None, item.id))
        else:
            events.append(Event("group_opened", item.opened, group=item.id, group_record=self._view.group(item)))

    @staticmethod
    def _change_members(item: Membership, events: list[Event]) -> None:
        members, number = item.group.members, item.entry.id
        if item.joined and number not in members:
            members[number] = None
            events.append(make.event("grouped", item.t, number, item.group.id))
        elif not item.joined and number in members:
            del members[number]
            events.append(make.event("ungrouped", item.t, number, item.group.id))

    def _tell_raws(self, lane: Lane, many: int, now: float) -> None:
        """Tell of raw greenlets that have parked, or run long, in their first run; forget those that ended in it."""
        raws = lane.raws
        for _ in range(many):
            entry = raws.popleft()
            if entry.ended or entry() is None:
                continue
            if lane.current is entry and now - entry.started < RAW_AFTER:
                raws.append(entry)
                continue
            entry.known = True
            entry.step = BORN
            self._newborn.append(entry)

    def record(self, entry: Entry) -> GreenletRecord:
        """Return the birth record of an entry."""
        name: str | None = None
        if not entry.outcome or entry.kind != "greenlet":
            name = self._look(entry)
        elif (greenlet := entry()) is not None:
            name = _own_name(greenlet)
        known = self._functions.get(entry.function)
        if known is None:
            known = self._describe(entry)
        function, file, line, short = known
        site, from_dashboard = program_site(self._site(entry.origin))
        return make.record(
            entry.id,
            f"{short}-{entry.id}" if name is None else name,
            function,
            file,
            line,
            entry.born,
            entry.parent or None,
            site,
            entry.lane.name,
            "greenlet" if entry.kind == "greenlet" else "raw",
            from_dashboard,
        )

    def _look(self, entry: Entry) -> str | None:
        """Return the name that a greenlet was given; find out what a raw one runs."""
        greenlet = entry()
        if entry.kind == "main":
            return "main"
        if greenlet is None:
            return None
        if is_greenlet(greenlet):
            return _own_name(greenlet)
        if entry.function is None:
            entry.function = outermost_code(self._view.frame(greenlet, entry))
        return None

    def _describe(self, entry: Entry) -> tuple[str, str, int, str]:
        """Return (function, file, line, short name), remembered per function."""
        if entry.kind == "main":
            return "<main>", "", 0, "main"
        function, file, line = told(entry.function)
        if len(self._functions) > _CACHED:
            self._functions.clear()
        known = (function, file, line, function.rpartition(".")[2].strip("<>"))
        self._functions[entry.function] = known
        return known

    def _site(self, origin: Any) -> Site | None:
        """Return the place of a spawn, remembered per line."""
        if origin is None:
            return None
        if type(origin) is tuple:
            key = origin
        else:
            key = (origin.f_code, origin.f_lineno)
            if origin.f_back is not None and origin.f_code.co_name in ("spawn", "start", "add", "spawn_later"):
                return site_of_origin(origin)  # perhaps gevent's own line, the same for many callers
        if key in self._sites:
            return self._sites[key]
        if len(self._sites) > _CACHED:
            self._sites.clear()
        site = self._sites[key] = site_of_origin(origin)
        return site


def _own_name(greenlet: Any) -> str | None:
    """Return the name that the program has given to a Greenlet (None: none)."""
    own = greenlet.__dict__.get("name")
    if own is None:
        return None
    return safe_text(own) if type(own) is str else f"<{type(own).__name__}>"
