"""The log made into events: names, places and records, in the dashboard's thread, once per tick.

A life is in the log up to three times; which step each time means is in the entry. Steps that did not fit into the
log were counted then and are passed over here.

What takes the GIL here is taken from the program. So of the lives that began and succeeded between two drains, which
nobody could have looked at, only so many are told one by one; the others are counted as dropped, by kind. Failures,
kills, members of groups and whatever is still alive are always told.
"""

from types import CodeType
from typing import Any

from greenscope.app.backends import gevent_records as make
from greenscope.app.backends.frames import safe_text
from greenscope.app.backends.gevent_discovery import is_greenlet, outermost_code, site_of_origin, told
from greenscope.app.backends.gevent_registry import (
    BORN,
    ENDED,
    STARTED,
    Block,
    Entry,
    GroupEntry,
    KillNote,
    Membership,
    Registry,
)
from greenscope.app.backends.gevent_view import GeventView
from greenscope.app.backends.whose import program_site
from greenscope.app.model import Drained, Event, GreenletRecord, GreenletSample, Site

#: log items taken by one drain; the rest waits for the next
MOST_PER_DRAIN = 20_000
#: lives from birth to success within one drain that are told one by one
SHORT_LIVES = 1_000
#: a raw greenlet in its first run is told of when it has run so long (seconds)
RAW_AFTER = 0.05
_CACHED = 10_000


class EventMaker:
    """Drains the log of a registry."""

    def __init__(self, registry: Registry, view: GeventView, short_lives: int = SHORT_LIVES) -> None:
        self._registry = registry
        self._view = view
        self._short_lives = short_lives
        self._left = short_lives
        self._functions: dict[Any, tuple[str, str, int, str]] = {}
        self._sites: dict[tuple[CodeType, int], Site | None] = {}

    def drain(self, now: float) -> Drained:
        """Return what happened since the last call, in order, and what was dropped."""
        registry = self._registry
        self._tell_raws(now)
        log = registry.log
        events: list[Event] = []
        self._left = self._short_lives
        short = 0
        for _ in range(min(len(log), MOST_PER_DRAIN)):
            item = log.popleft()
            try:
                if type(item) is not Entry:
                    self._other(item, events)
                elif item.step > ENDED:
                    continue  # told already, or not at all
                elif item.outcome == "succeeded" and not item.step and not item.groups and not self._left:
                    item.step = ENDED + 1
                    registry.highest = max(registry.highest, item.id)
                    short += 1
                else:
                    self._step(item, events)
            except Exception as error:
                registry.fault("events", error)
        dropped, registry.dropped = registry.dropped, {}
        if short:
            for kind in ("spawned", "started", "succeeded"):
                dropped[kind] = dropped.get(kind, 0) + short
        return Drained(tuple(events), dropped)

    def _step(self, entry: Entry, events: list[Event]) -> None:
        if entry.lane.hidden:
            return
        step = entry.step
        while step < ENDED and (entry.skipped >> step & 1 or (step == STARTED and not entry.started)):
            step += 1
        entry.step = step + 1
        if step == BORN:
            if entry.outcome == "succeeded":
                self._left -= 1
            self._registry.learn(entry)
            events.append(make.event("spawned", entry.born, entry.id, None, self.record(entry)))
            for group in entry.groups:
                self._join(group, entry, events)
        elif step == STARTED:
            events.append(make.event("started", entry.started, entry.id))
        elif step == ENDED and entry.ended:
            self._end(entry, events)

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
        ready = wait = None
        if entry.started:
            idle = max(0.0, entry.ended - entry.started - entry.run)
            ready = min(entry.ready, idle) if self._view.full else None
            wait = idle - (ready or 0.0)
        killed = entry.killed_at or None
        return make.sample(entry.id, state, None, None, entry.run, ready, wait, entry.switches, entry.longest, killed)

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

    def _tell_raws(self, now: float) -> None:
        """Tell of raw greenlets that have parked, or run long, in their first run; forget those that ended in it."""
        registry = self._registry
        for lane in registry.shown_lanes():
            raws = lane.raws
            for _ in range(len(raws)):
                entry = raws.popleft()
                if entry.ended or entry() is None:
                    continue
                if lane.current is entry and now - entry.started < RAW_AFTER:
                    raws.append(entry)
                    continue
                entry.known = True
                registry.note(entry, BORN)
                registry.note(entry, STARTED)
                if entry.ended:  # it ended while we were about it
                    registry.note(entry, ENDED)

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
