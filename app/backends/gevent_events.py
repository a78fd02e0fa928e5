"""The log made into events: names, places and records, in the dashboard's thread, once per tick.

A life is in the log up to three times; which step each time means is in the entry. Steps that did not fit into the
log were counted then and are passed over here.
"""

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
from greenscope.app.model import Drained, Event, GreenletRecord, GreenletSample

#: log items taken by one drain; the rest waits for the next
MOST_PER_DRAIN = 20_000
#: a raw greenlet in its first run is told of when it has run so long (seconds)
RAW_AFTER = 0.05


class EventMaker:
    """Drains the log of a registry."""

    def __init__(self, registry: Registry, view: GeventView) -> None:
        self._registry = registry
        self._view = view

    def drain(self, now: float) -> Drained:
        """Return what happened since the last call, in order, and what was dropped."""
        registry = self._registry
        self._tell_raws(now)
        log = registry.log
        events: list[Event] = []
        for _ in range(min(len(log), MOST_PER_DRAIN)):
            item = log.popleft()
            try:
                if type(item) is Entry:
                    self._step(item, events)
                else:
                    self._other(item, events)
            except Exception as error:
                registry.fault("events", error)
        dropped, registry.dropped = registry.dropped, {}
        return Drained(tuple(events), dropped)

    def _step(self, entry: Entry, events: list[Event]) -> None:
        if entry.lane.hidden:
            return
        step = entry.step
        while step < ENDED and (entry.skipped >> step & 1 or (step == STARTED and not entry.started)):
            step += 1
        entry.step = step + 1
        if step == BORN:
            self._registry.learn(entry)
            record = self.record(entry)
            events.append(Event("spawned", entry.born, greenlet=entry.id, record=record))
            for group in entry.groups:
                self._join(group, entry, events)
        elif step == STARTED:
            events.append(Event("started", entry.started, greenlet=entry.id))
        elif step == ENDED and entry.ended:
            self._end(entry, events)

    def _end(self, entry: Entry, events: list[Event]) -> None:
        registry = self._registry
        registry.forget(entry)
        for group in entry.groups:
            found = registry.groups.get(group)
            if found is not None and found.members.pop(entry.id, entry) is None:
                events.append(Event("ungrouped", entry.ended, greenlet=entry.id, group=group))
        outcome = entry.outcome or "succeeded"
        sample = self._life(entry)
        events.append(Event(outcome, entry.ended, greenlet=entry.id, exception=entry.exception, sample=sample))

    def _life(self, entry: Entry) -> GreenletSample | None:
        """Return the account of a whole life (None: nothing was accounted)."""
        state = entry.outcome or "succeeded"
        if not self._view.accounting:
            return GreenletSample(entry.id, state)
        ready = wait = None
        if entry.started:
            idle = max(0.0, entry.ended - entry.started - entry.run)
            ready = min(entry.ready, idle) if self._view.full else None
            wait = idle - (ready or 0.0)
        return GreenletSample(
            entry.id,
            state,
            run_time=entry.run,
            ready_time=ready,
            wait_time=wait,
            switches=entry.switches,
            longest_run=entry.longest,
            kill_requested=entry.killed_at or None,
        )

    def _join(self, group: int, entry: Entry, events: list[Event]) -> None:
        found = self._registry.groups.get(group)
        if found is not None and entry.id not in found.members:
            found.members[entry.id] = None
            events.append(Event("grouped", entry.born, greenlet=entry.id, group=group))

    def _other(self, item: Block | KillNote | GroupEntry | Membership, events: list[Event]) -> None:
        if isinstance(item, Block):
            entry = item.entry
            known = entry is not None and entry.known and entry.kind != "hub"
            if entry is not None and entry.lane.hidden:
                return
            events.append(
                Event(
                    "blocked",
                    item.t,
                    greenlet=entry.id if known and entry is not None else None,
                    detail={"duration": item.lasted, "stack": item.stack},
                )
            )
        elif isinstance(item, KillNote):
            events.append(Event("kill_requested", item.t, greenlet=item.entry.id))
        elif isinstance(item, Membership):
            self._change_members(item, events)
        elif item.lane.hidden:
            return
        elif item.closed:
            events.append(Event("group_closed", item.opened, group=item.id))
        else:
            events.append(Event("group_opened", item.opened, group=item.id, group_record=self._view.group(item)))

    @staticmethod
    def _change_members(item: Membership, events: list[Event]) -> None:
        members, number = item.group.members, item.entry.id
        if item.joined and number not in members:
            members[number] = None
            events.append(Event("grouped", item.t, greenlet=number, group=item.group.id))
        elif not item.joined and number in members:
            del members[number]
            events.append(Event("ungrouped", item.t, greenlet=number, group=item.group.id))

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
        greenlet = entry()
        name: str | None = None
        if greenlet is not None:
            if is_greenlet(greenlet):
                own = greenlet.__dict__.get("name")
                name = None if own is None else safe_text(own) if type(own) is str else type(own).__name__
            elif entry.kind == "raw" and entry.function is None:
                entry.function = outermost_code(greenlet.gr_frame)
            if entry.kind == "raw" and entry.function is None and entry.lane.current is entry:
                entry.function = outermost_code(self._view.running_frame(entry))
        function, file, line = ("<main>", "", 0) if entry.kind == "main" else told(entry.function)
        if name is None:
            name = "main" if entry.kind == "main" else f"{function.rpartition('.')[2].strip('<>')}-{entry.id}"
        return GreenletRecord(
            id=entry.id,
            name=name,
            function=function,
            file=file,
            line=line,
            created=entry.born,
            parent=entry.parent or None,
            spawn_site=site_of_origin(entry.origin),
            thread=entry.lane.name,
            kind="greenlet" if entry.kind == "greenlet" else "raw",
        )
