"""What is known about one greenlet and about one group: mutable, internal, never handed out.

A `Life` begins as a birth record and gathers what events tell; `sample` is the latest look at it, if
anybody looked. With a hundred thousand of them each holds only what it has (slots, shared empties), and
nothing here is computed before it is asked for. `Band` is the same for a Group or Pool: its members, and
counters that the group itself does not keep.
"""

from collections import deque
from typing import Any, Final

from greenscope.app.formatting import Clock, greenlet_row, ident, safe_text
from greenscope.app.model import (
    ExceptionRecord,
    Figures,
    GreenletRecord,
    GreenletSample,
    GroupSample,
    State,
    figures_of,
)
from greenscope.app.series import Series

_NO_GROUPS: Final[tuple[int, ...]] = ()

#: an end counts for a group that was left at most this long before it (seconds): leaving is part of ending
_LEAVING: Final = 0.5


class Life:
    """One greenlet from its birth until it is forgotten."""

    __slots__ = (
        "begun",
        "blocked",
        "children",
        "ended",
        "failure",
        "final",
        "groups",
        "kill_requested",
        "left",
        "longest_run",
        "ready_time",
        "record",
        "run_time",
        "sample",
        "sampled",
        "seen",
        "started",
        "switches",
        "text",
        "wait_time",
    )

    def __init__(self, record: GreenletRecord) -> None:
        self.record = record
        #: whether it has run, and since when (None with `begun`: its `started` was dropped)
        self.begun = False
        self.started: float | None = None
        self.ended: float | None = None
        self.final: State | None = None
        self.failure: ExceptionRecord | None = None
        self.kill_requested: float | None = None
        self.groups: tuple[int, ...] = _NO_GROUPS
        self.left: tuple[tuple[int, float], ...] = ()
        self.sample: GreenletSample | None = None
        self.sampled = float("-inf")
        self.seen: State | None = None
        self.run_time: float | None = None
        self.ready_time: float | None = None
        self.wait_time: float | None = None
        self.switches: int | None = None
        self.longest_run: float | None = None
        self.children: dict[int, None] | None = None
        self.blocked: list[tuple[float, float]] | None = None
        self.text: str | None = None

    @property
    def state(self) -> State:
        """The state: the end it came to, or what the latest look saw, or what events tell."""
        if self.final is not None:
            return self.final
        if self.seen is not None:
            return self.seen
        return "running" if self.begun else "pending"

    def note(self, figures: Figures) -> None:
        """Keep state and times, all that an order needs: of a hundred thousand, whole looks would fill the memory."""
        _, self.seen, self.run_time, self.ready_time, self.wait_time, self.switches, self.longest_run = figures

    def look(self, sample: GreenletSample, now: float) -> None:
        """Keep a look whole, for the row that is made of it."""
        self.note(figures_of(sample))
        self.sample = sample
        self.sampled = now

    @property
    def haystack(self) -> str:
        """What a search without a field looks in: name, function and file, lower case."""
        text = self.text
        if text is None:
            record = self.record
            text = self.text = f"{record.name}\n{record.function}\n{record.file}".lower()
        return text

    def groups_at_end(self, t: float) -> tuple[int, ...]:
        """Return the groups that its end at `t` counts for."""
        if not self.left:
            return self.groups
        just_left = tuple(group for group, when in self.left if t - when <= _LEAVING and group not in self.groups)
        return self.groups + just_left

    def row(self, clock: Clock, now: float, pid: int) -> dict[str, Any]:
        """Return the interface's greenlet row."""
        return greenlet_row(
            self.record,
            self.sample,
            state=self.state,
            started=self.started,
            ended=self.ended,
            groups=self.groups,
            failure=self.failure if self.final == "failed" else None,
            clock=clock,
            now=now,
            pid=pid,
        )

    def brief(self) -> dict[str, Any]:
        """Return what a link to a greenlet needs: id, name, state, function."""
        record = self.record
        return {
            "id": ident(record.id),
            "name": safe_text(record.name),
            "state": self.state,
            "function": safe_text(record.function),
        }

    def core(self) -> tuple[GreenletRecord, bool, float | None, tuple[int, ...], float | None]:
        """Return, as values that never change, what events tell: record, begun, start, groups, kill request."""
        return (self.record, self.begun, self.started, self.groups, self.kill_requested)


class Band:
    """A Group or Pool from its opening until it is forgotten."""

    __slots__ = (
        "closed",
        "counts",
        "id",
        "kind",
        "marks",
        "members",
        "name",
        "opened",
        "peak",
        "sample",
        "series",
        "size",
        "spawned",
    )

    def __init__(self, record: GroupSample, opened: float) -> None:
        self.id = record.id
        self.name = record.name
        self.kind = record.kind
        self.size = record.size
        self.opened = opened
        self.closed: float | None = None
        self.members: dict[int, None] = {}
        self.counts = {"succeeded": 0, "failed": 0, "killed": 0}
        self.spawned = 0
        self.peak = 0
        self.sample: GroupSample | None = None
        #: ended and failed at the last seconds, oldest first: (second, ended, failed)
        self.marks: deque[tuple[float, int, int]] = deque(maxlen=11)
        #: history for its chart, when it is one of those that have one
        self.series: Series | None = None

    def join(self, id: int) -> None:
        """Count a greenlet that came in."""
        self.members[id] = None
        self.spawned += 1
        if len(self.members) > self.peak:
            self.peak = len(self.members)

    def look(self, sample: GroupSample) -> None:
        """Take over what the latest look at it saw."""
        self.sample = sample
        self.size = sample.size
        if sample.active > self.peak:
            self.peak = sample.active

    def mark(self, now: float, unix: float) -> None:
        """Note the figures of a second, for rates and history."""
        self.marks.append((now, sum(self.counts.values()), self.counts["failed"]))
        if self.series is not None:
            waiters = self.sample.waiters if self.sample else None
            active = self.sample.active if self.sample else len(self.members)
            self.series.add(unix, {"active": active, "waiters": waiters, "size": self.size})

    def rates(self) -> tuple[float, float]:
        """Return ended and failed per second over the last ten."""
        if len(self.marks) < 2 or self.closed is not None:
            return 0.0, 0.0
        (begin, ended, failed), (end, ended_now, failed_now) = self.marks[0], self.marks[-1]
        span = max(end - begin, 1e-9)
        return round((ended_now - ended) / span, 2), round((failed_now - failed) / span, 2)

    def row(self) -> dict[str, Any]:
        """Return the interface's group row, and how many end (`rate`) and fail (`failure_rate`) per second."""
        sample = self.sample if self.closed is None else None
        active = sample.active if sample else len(self.members)
        free = sample.free if sample else None
        if free is None and self.size is not None:
            free = max(0, self.size - active)
        rate, failure_rate = self.rates()
        return {
            "id": ident(self.id),
            "name": safe_text(self.name),
            "kind": self.kind,
            "size": self.size,
            "active": active,
            "free": free,
            "waiters": sample.waiters if sample else None,
            "spawned": self.spawned,
            **self.counts,
            "peak": self.peak,
            "rate": rate,
            "failure_rate": failure_rate,
        }
