"""One watched process as a page over several knows it: what it has told over the wire, kept until it is asked for.

    live    it tells
    gone    its socket is closed or gone; what it told stays for a while, marked
            ... and is forgotten when it has not come back

A process that comes back with the same epoch goes on where it was: what was born or has ended meanwhile is found by
comparing. One with another epoch counts its ids from 1 again, so that all that is known of the old one is dropped.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

from greenscope.app.formatting import safe_text, split_ident
from greenscope.app.model import (
    ENDED_STATES,
    Event,
    GreenletRecord,
    GreenletSample,
    GroupSample,
    HubSample,
    Stack,
    WaitRecord,
)
from greenscope.app.wire import VERSION, Decoder, WireError

#: greatest pid there is (Linux, 64 bits), and greenlets with a stack that are remembered
MOST_PID: Final = 1 << 22
MOST_STACKS: Final = 20_000
#: seconds for which a stack that was asked for is good
STACK_AGE: Final = 3.0


class Worker:
    """What one process has told. `emit` takes its events; used from the page's loop only."""

    def __init__(self, pid: int, path: Path, emit: Callable[[Event], None]) -> None:
        self.pid = pid
        self.path = path
        self.status: Literal["live", "gone"] = "live"
        #: since when it is so (monotonic), and why
        self.since = time.monotonic()
        self.reason = ""
        self.epoch = ""
        self.name = ""
        self.version = ""
        self.backend = ""
        self.capabilities: frozenset[str] = frozenset()
        self.missing: dict[str, str] = {}
        self.control = False
        self.spawnables: list[dict[str, Any]] = []
        self.records: dict[int, GreenletRecord] = {}
        self.samples: dict[int, tuple[GreenletSample, float]] = {}
        self.counts: dict[str, int] = {}
        self.groups: dict[int, GroupSample] = {}
        self.members: dict[int, dict[int, None]] = {}
        #: the same the other way round; a group may be closed since
        self._groups_of: dict[int, list[int]] = {}
        self.hubs: list[HubSample] = []
        self.findings: list[dict[str, Any]] = []
        self.cost: dict[str, float] = {}
        #: what it has dropped in all: as taken last, and as told last
        self.dropped: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        #: own ids that somebody looks at on the page
        self.wanted: dict[int, None] = {}
        #: whether who lives has to be compared
        self.differs = False
        self._stacks: dict[int, tuple[float, Stack | None, tuple[int, ...]]] = {}
        self._emit = emit
        self._decode = Decoder(pid)
        self._arrived: set[int] | None = None

    # -- what is told

    @property
    def whole(self) -> bool:
        """Whether it has told all of its state."""
        return self._arrived is None

    def hear(self, message: dict[str, Any]) -> None:
        """Take in one message. Raises WireError, or what a record of another shape leads to."""
        kind = message["m"]
        if kind == "hello":
            self._hello(message)
        elif kind == "born":
            self._born(message)
        elif kind == "whole":
            self._whole()
        elif kind == "tick":
            self._tick(message)

    def _hello(self, message: dict[str, Any]) -> None:
        self.epoch = str(message["epoch"])
        self.name = safe_text(message["name"])
        self.version = safe_text(message["version"])
        self.backend = safe_text(message["backend"])
        self.capabilities = frozenset(map(str, message["capabilities"]))
        self.missing = {str(name): safe_text(reason) for name, reason in message["missing"].items()}
        self.control = bool(message["control"])
        self.spawnables = [row for row in message["spawnables"] if isinstance(row, dict)]
        # what was dropped before we came is no loss of ours
        self.dropped = self.lost = _counts(message["dropped"])
        self.status, self.reason, self.since = "live", "", time.monotonic()
        self._arrived = set()
        self.members, self._groups_of = {}, {}

    def _born(self, message: dict[str, Any]) -> None:
        decode, now = self._decode, time.monotonic()
        for fields in message.get("groups", ()):
            group = decode.group(fields)
            self.members[group.id] = {}
            if group.id not in self.groups:
                self.groups[group.id] = group
                self._emit(Event("group_opened", now, group=group.id, group_record=group))
        for fields, begun, started, groups, killed, look in message["rows"]:
            record = decode.record(fields)
            id = record.id
            if self._arrived is not None:
                self._arrived.add(id)
            known = id in self.records
            self.records[id] = record
            if look is not None:
                self.samples[id] = (decode.sample(look), now)
            if not known:
                self._emit(Event("spawned", record.created, greenlet=id, record=record))
                if begun:
                    self._emit(Event("started", record.created if started is None else float(started), greenlet=id))
                if killed is not None:
                    self._emit(Event("kill_requested", float(killed), greenlet=id))
            for own in groups:
                group_id = decode.id(own)
                self._join(id, group_id)
                if not known:
                    self._emit(Event("grouped", record.created, greenlet=id, group=group_id))

    def _whole(self) -> None:
        arrived, self._arrived = self._arrived, None
        for id in self.records.keys() - (arrived or set()):
            self._end(id)
            self.differs = True
        for id in self.groups.keys() - self.members.keys():
            del self.groups[id]
            self.differs = True

    def _join(self, id: int, group: int) -> None:
        members = self.members.setdefault(group, {})
        if id not in members:
            members[id] = None
            self._groups_of.setdefault(id, []).append(group)

    def _end(self, id: int) -> None:
        for group in self._groups_of.pop(id, ()):
            self.members.get(group, {}).pop(id, None)
        self.records.pop(id, None)
        self.samples.pop(id, None)
        self._stacks.pop(id, None)
        self.wanted.pop(id, None)

    def _tick(self, message: dict[str, Any]) -> None:
        decode, now = self._decode, time.monotonic()
        for fields in message["events"]:
            event = decode.event(fields)
            self._note(event)
            self._emit(event)
        if "counts" not in message:
            return
        self.counts = _counts(message["counts"])
        for fields in message["groups"]:
            group = decode.group(fields)
            if group.id in self.groups:
                self.groups[group.id] = group
        self.hubs = [decode.hub(fields) for fields in message["hubs"]]
        self.see(message["samples"], now)
        if "cost" in message:
            self.cost = {str(name): float(value) for name, value in message["cost"].items()}
        if "findings" in message:
            self.findings = [decode.facts(row) for row in message["findings"] if isinstance(row, dict)]
        self.lost = _counts(message["dropped"])

    def _note(self, event: Event) -> None:
        id, group = event.greenlet, event.group
        if event.kind == "spawned" and event.record is not None and id is not None:
            self.records[id] = event.record
        elif event.kind in ENDED_STATES and id is not None:
            self._end(id)
        elif event.kind == "group_opened" and event.group_record is not None and group is not None:
            self.groups[group] = event.group_record
            self.members.setdefault(group, {})
        elif event.kind == "group_closed" and group is not None:
            self.groups.pop(group, None)
            self.members.pop(group, None)
        elif event.kind == "grouped" and id is not None and group is not None:
            self._join(id, group)
        elif event.kind == "ungrouped" and id is not None and group is not None:
            self.members.get(group, {}).pop(id, None)
            if group in self._groups_of.get(id, ()):
                self._groups_of[id].remove(group)

    def see(self, rows: Iterable[Sequence[Any]], now: float) -> None:
        """Take in looks."""
        for fields in rows:
            sample = self._decode.sample(fields)
            if sample.id in self.records:
                self.samples[sample.id] = (sample, now)

    def see_stacks(self, rows: Iterable[Any], now: float) -> None:
        """Take in stacks and who waits."""
        if len(self._stacks) > MOST_STACKS:
            self._stacks.clear()
        for own, stack, waiters in rows:
            id = self._decode.id(own)
            if id in self.records:
                waiting = tuple(self._decode.id(waiter) for waiter in waiters)
                self._stacks[id] = (now, self._decode.stack(stack), waiting)

    def take_lost(self) -> dict[str, int]:
        """Return what it had to drop since the last call."""
        news = {kind: count - self.dropped.get(kind, 0) for kind, count in self.lost.items()}
        self.dropped = self.lost
        return {kind: count for kind, count in news.items() if count > 0}

    def leave(self, reason: str) -> None:
        """Mark it: it does not tell any more."""
        if self.status == "live":
            self.status, self.since = "gone", time.monotonic()
        self.reason = reason

    # -- what is asked

    def sample(self, id: int) -> GreenletSample | None:
        """Return the latest look at one; of a process that is gone, where it stood, and that it ended."""
        found = self.samples.get(id)
        if found is None or self.status == "live":
            return None if found is None else found[0]
        end = WaitRecord("process", "has ended", since=self.since)
        return replace(found[0], state="waiting", waiting_on=end)

    def want(self, id: int, newer: float) -> None:
        """Ask for a look at one unless the latest is newer than a monotonic second."""
        found = self.samples.get(id)
        if id in self.records and (found is None or found[1] < newer):
            self.wanted[split_ident(id)[1]] = None

    def stack(self, id: int) -> tuple[Stack | None, tuple[int, ...]]:
        """Return the frames that were asked for a moment ago, and who waits for it."""
        found = self._stacks.get(id)
        if found is None or time.monotonic() - found[0] > STACK_AGE:
            return None, ()
        return found[1], found[2]

    def group_samples(self) -> list[GroupSample]:
        """Return its groups with their members."""
        return [replace(group, members=tuple(self.members.get(id, ()))) for id, group in self.groups.items()]

    def hub_samples(self) -> list[HubSample]:
        """Return its event loops; of a process that is gone one that says so."""
        if self.status == "live":
            return self.hubs
        return [HubSample(f"{self.pid} has ended", 0, 0.0, 0, None, self.since)]

    def state_counts(self) -> dict[str, int]:
        """Count its living by state."""
        return self.counts if self.status == "live" else {"waiting": len(self.records)}

    def row(self, now: float) -> dict[str, Any]:
        """Describe it for the health endpoint."""
        return {
            "pid": self.pid,
            "name": self.name,
            "state": self.status,
            "reason": self.reason,
            "since": round(now - self.since, 3),
            "epoch": self.epoch,
            "backend": self.backend,
            "version": self.version,
            "control": self.control,
            "socket": self.path.name,
            "live": len(self.records),
            "hub_lag": max((hub.lag for hub in self.hubs), default=None) if self.status == "live" else None,
            "cost": self.cost,
        }


def greet(message: Any) -> tuple[int, str]:
    """Return pid and epoch of a `hello`. Raises WireError when it is none that is understood here."""
    if not isinstance(message, dict) or message.get("m") != "hello":
        raise WireError("it does not begin with a hello")
    if message.get("v") != VERSION:
        raise WireError(f"it speaks version {message.get('v')!r:.20} of the wire, this is {VERSION}: use one version")
    pid = message.get("pid")
    if type(pid) is not int or not 0 < pid <= MOST_PID:
        raise WireError(f"{pid!r:.20} is no pid")
    return pid, str(message["epoch"])


def _counts(value: Any) -> dict[str, int]:
    return {str(name): int(count) for name, count in value.items()}
