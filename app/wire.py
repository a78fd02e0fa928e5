"""The wire: how a watched process tells a page over several processes what it sees.

One JSON value per line over the process' own Unix socket, `GET /wire`:

    hello   who this is: pid, epoch, backend, what it can do
    born    the living with their latest looks, in parts; groups
    whole   the state is complete; from here on
    tick    events in order, looks that changed, counts, groups, hubs, findings

A record is a list of its fields in the order of `model`, since there are many of them; ids are the process' own. The
reader puts the pid before them. Seconds are monotonic and mean the same in all processes of one machine.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from greenscope.app.formatting import join_ident, safe_value
from greenscope.app.model import (
    EVENT_KINDS,
    STATES,
    Event,
    ExceptionRecord,
    GreenletRecord,
    GreenletSample,
    GroupSample,
    HubSample,
    Site,
    Stack,
    ThreadPoolSample,
    WaitRecord,
)

#: what both ends must agree on
VERSION = 2

Fields = list[Any]


class WireError(ValueError):
    """What came over the wire is not what was agreed on."""


# -- out: in the watched process


def site_out(site: Site | None) -> Fields | None:
    """Return a place as fields."""
    return None if site is None else [site.file, site.line, site.function]


def record_out(record: GreenletRecord) -> Fields:
    """Return a birth record as fields."""
    return [
        record.id,
        record.name,
        record.function,
        record.file,
        record.line,
        record.created,
        record.parent,
        site_out(record.spawn_site),
        record.thread,
        record.kind,
        record.from_dashboard,
    ]


def sample_out(sample: GreenletSample) -> Fields:
    """Return a look as fields."""
    wait = sample.waiting_on
    return [
        sample.id,
        sample.state,
        site_out(sample.place),
        None if wait is None else [wait.kind, wait.name, wait.since, wait.owner, wait.target],
        sample.run_time,
        sample.ready_time,
        sample.wait_time,
        sample.switches,
        sample.longest_run,
        sample.kill_requested,
    ]


def group_out(group: GroupSample) -> Fields:
    """Return a group as fields; its members are told by events."""
    return [group.id, group.name, group.kind, group.active, group.size, group.free, group.waiters]


def hub_out(hub: HubSample) -> Fields:
    """Return an event loop as fields."""
    pool = hub.threadpool
    return [
        hub.thread,
        hub.thread_ident,
        hub.lag,
        hub.turns,
        hub.switches,
        hub.sampled,
        hub.running,
        hub.timers,
        [site_out(site) for site in hub.blocked_in],
        None if pool is None else [pool.size, pool.most, pool.busy, pool.queued],
        hub.resolver,
        hub.lookups,
    ]


def exception_out(error: ExceptionRecord) -> Fields:
    """Return how a greenlet failed as fields."""
    return [error.type, error.message, [site_out(site) for site in error.traceback]]


def event_out(event: Event) -> dict[str, Any]:
    """Return an event; what it does not have is left out."""
    fields: dict[str, Any] = {"k": event.kind, "t": event.t}
    if event.greenlet is not None:
        fields["g"] = event.greenlet
    if event.group is not None:
        fields["p"] = event.group
    if event.record is not None:
        fields["r"] = record_out(event.record)
    if event.exception is not None:
        fields["x"] = exception_out(event.exception)
    if event.sample is not None:
        fields["s"] = sample_out(event.sample)
    if event.group_record is not None:
        fields["q"] = group_out(event.group_record)
    if event.detail:
        fields["d"] = safe_value(event.detail)
    return fields


def stack_out(stack: Stack | None) -> Fields | None:
    """Return frames as fields."""
    return None if stack is None else [[site_out(site) for site in stack.frames], list(stack.source)]


# -- in: on the page over several processes


class Decoder:
    """Makes records of one process' fields, with its pid in every id. Raises WireError for what fits no record."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def id(self, own: Any) -> int:
        """Return the id under which the page knows a process' own one."""
        if type(own) is not int or own <= 0:
            raise WireError(f"{own!r:.40} is no id")
        return join_ident(self.pid, own)

    def maybe(self, own: Any) -> int | None:
        """Return an id that may be absent."""
        return None if own is None else self.id(own)

    @staticmethod
    def site(fields: Any) -> Site | None:
        """Return a place."""
        if fields is None:
            return None
        file, line, function = fields
        return Site(str(file), int(line), str(function))

    def sites(self, rows: Iterable[Any]) -> tuple[Site, ...]:
        """Return places; those that are none are left out."""
        return tuple(site for site in map(self.site, rows) if site is not None)

    def record(self, fields: Sequence[Any]) -> GreenletRecord:
        """Return a birth record."""
        id, name, function, file, line, created, parent, site, thread, kind, from_dashboard = fields
        return GreenletRecord(
            id=self.id(id),
            name=str(name),
            function=str(function),
            file=str(file),
            line=int(line),
            created=float(created),
            parent=self.maybe(parent),
            spawn_site=self.site(site),
            thread=str(thread),
            kind="raw" if kind == "raw" else "greenlet",
            from_dashboard=bool(from_dashboard),
        )

    def wait(self, fields: Any) -> WaitRecord | None:
        """Return what a greenlet waits for."""
        if fields is None:
            return None
        kind, name, since, owner, target = fields
        return WaitRecord(str(kind), str(name), _seconds(since), self.maybe(owner), self.maybe(target))

    def sample(self, fields: Sequence[Any]) -> GreenletSample:
        """Return a look."""
        id, state, place, wait, run, ready, waited, switches, longest, killed = fields
        if state not in STATES:
            raise WireError(f"{state!r:.40} is no state")
        return GreenletSample(
            self.id(id),
            state,
            self.site(place),
            self.wait(wait),
            _seconds(run),
            _seconds(ready),
            _seconds(waited),
            None if switches is None else int(switches),
            _seconds(longest),
            _seconds(killed),
        )

    def group(self, fields: Sequence[Any]) -> GroupSample:
        """Return a group without its members."""
        id, name, kind, active, size, free, waiters = fields
        return GroupSample(
            self.id(id),
            str(name),
            "pool" if kind == "pool" else "group",
            int(active),
            None if size is None else int(size),
            None if free is None else int(free),
            None if waiters is None else int(waiters),
        )

    def hub(self, fields: Sequence[Any]) -> HubSample:
        """Return an event loop; its thread's name begins with the pid."""
        thread, ident, lag, turns, switches, sampled, running, timers, blocked, pool, resolver, lookups = fields
        return HubSample(
            thread=f"{self.pid} {thread}",
            thread_ident=int(ident),
            lag=float(lag),
            turns=int(turns),
            switches=None if switches is None else int(switches),
            sampled=float(sampled),
            running=self.maybe(running),
            timers=int(timers),
            blocked_in=self.sites(blocked),
            threadpool=None if pool is None else ThreadPoolSample(*map(int, pool)),
            resolver=str(resolver),
            lookups=None if lookups is None else int(lookups),
        )

    def event(self, fields: dict[str, Any]) -> Event:
        """Return an event."""
        kind = fields["k"]
        if kind not in EVENT_KINDS:
            raise WireError(f"{kind!r:.40} is no event")
        error = fields.get("x")
        return Event(
            kind=kind,
            t=float(fields["t"]),
            greenlet=self.maybe(fields.get("g")),
            group=self.maybe(fields.get("p")),
            record=self.record(fields["r"]) if "r" in fields else None,
            exception=None if error is None else ExceptionRecord(str(error[0]), str(error[1]), self.sites(error[2])),
            sample=self.sample(fields["s"]) if "s" in fields else None,
            group_record=self.group(fields["q"]) if "q" in fields else None,
            detail=self.facts(fields.get("d")),
        )

    def stack(self, fields: Any) -> Stack | None:
        """Return frames."""
        return None if fields is None else Stack(self.sites(fields[0]), tuple(map(str, fields[1])))

    def facts(self, value: Any, name: str = "") -> Any:
        """Return free-form values with the pid in what is an id by its name: `greenlet`, `group`, `ids`."""
        if isinstance(value, dict):
            return {key: self.facts(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.facts(item, name) for item in value]
        if name in ("greenlet", "group", "ids") and isinstance(value, str) and value.isascii() and value.isdigit():
            return f"{self.pid}-{value}"
        return value


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)
