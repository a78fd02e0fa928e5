"""Records that cross the probe: frozen, raw, small.

What a probe knows about the observed program reaches the rest of the dashboard
only as the records of this file. They carry raw seconds of the monotonic clock
(`time.monotonic`), integer ids and code locations, never formatted text, never a
reference to an object of the program. Formatting, wall-clock time and JSON are
made from them in one place each (`formatting`).

Ids are given by the probe, count up from 1, and are never used twice in one
process; 0 is no greenlet's id.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

State = Literal["pending", "ready", "running", "waiting", "succeeded", "failed", "killed"]

#: every state, in the order in which a greenlet can pass through them
STATES: tuple[State, ...] = get_args(State)
LIVE_STATES: frozenset[State] = frozenset({"pending", "ready", "running", "waiting"})
ENDED_STATES: frozenset[State] = frozenset({"succeeded", "failed", "killed"})

#: Names of the events that probes report and the stream carries (interface: "Events").
EventKind = Literal[
    "spawned",
    "started",
    "succeeded",
    "failed",
    "killed",
    "kill_requested",
    "grouped",
    "ungrouped",
    "group_opened",
    "group_closed",
    "blocked",
    "finding",
    "audit",
]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the source: what a traceback calls file, line and function."""

    file: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class ExceptionRecord:
    """How a greenlet failed: the type's name, its message (cut, redactable), where it was raised."""

    type: str
    message: str
    traceback: tuple[Site, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitRecord:
    """What a parked greenlet waits for.

    `kind` is the waitable's type in the field's terms (`sleep`, `event`, `semaphore`, `queue.get`, `join`,
    `socket.recv` ...), `name` tells which one, `since` is the monotonic second at which it parked (None:
    unknown), `owner` the id of the greenlet that holds what is waited for, where that can be known, and
    `target` the id of the greenlet that is joined.
    """

    kind: str
    name: str = ""
    since: float | None = None
    owner: int | None = None
    target: int | None = None


@dataclass(frozen=True, slots=True)
class GreenletRecord:
    """What never changes about a greenlet (its birth certificate).

    `from_dashboard` tells that it was spawned from a page or the API: no line of the program did it.
    """

    id: int
    name: str
    function: str
    file: str
    line: int
    created: float
    parent: int | None = None
    spawn_site: Site | None = None
    thread: str = ""
    kind: Literal["greenlet", "raw"] = "greenlet"
    from_dashboard: bool = False


@dataclass(frozen=True, slots=True)
class GreenletSample:
    """What changes about a live greenlet, as seen at one moment. Durations are seconds.

    Times that the probe does not account for are None, so that nobody takes "not measured" for 0.
    """

    id: int
    state: State
    place: Site | None = None
    waiting_on: WaitRecord | None = None
    run_time: float | None = None
    ready_time: float | None = None
    wait_time: float | None = None
    switches: int | None = None
    longest_run: float | None = None
    kill_requested: float | None = None


#: what orders over all greenlets need of a sample: id, state, run, ready and wait time, switches, longest run
Figures = tuple[int, State, float | None, float | None, float | None, int | None, float | None]


def figures_of(sample: GreenletSample) -> Figures:
    """Return what a sample tells of states and times."""
    times = (sample.run_time, sample.ready_time, sample.wait_time)
    return (sample.id, sample.state, *times, sample.switches, sample.longest_run)


@dataclass(frozen=True, slots=True)
class GroupSample:
    """A Group or Pool as seen at one moment; `size`, `free` and `waiters` are None for a plain Group."""

    id: int
    name: str
    kind: Literal["group", "pool"]
    active: int
    size: int | None = None
    free: int | None = None
    waiters: int | None = None
    members: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ThreadPoolSample:
    """The native threads of a hub: how many there are and may be, how many work, how many tasks wait for one."""

    size: int
    most: int
    busy: int
    queued: int


@dataclass(frozen=True, slots=True)
class HubSample:
    """One event loop. `lag` is how long its present turn has lasted (seconds; 0 when idle or between turns).

    `blocked_in` is the stack of its thread, innermost frame last, when `lag` is long enough to ask.
    `sampled` is the monotonic second of this sample. `threadpool` is None where the hub has none; `resolver` is its
    kind ("": none in use), `lookups` how many names are being looked up (None: it does not tell).
    """

    thread: str
    thread_ident: int
    lag: float
    turns: int
    switches: int | None
    sampled: float
    running: int | None = None
    timers: int = 0
    blocked_in: tuple[Site, ...] = ()
    threadpool: ThreadPoolSample | None = None
    resolver: str = ""
    lookups: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in the observed program, in the order in which it happened there.

    `record` comes with `spawned`, `exception` with `failed` and `killed`, the accounting of the whole life in
    `sample` with the three ends, `group` with the four group events, `group_record` with `group_opened`. `detail`
    is None where there is no more to tell.
    """

    kind: EventKind
    t: float
    greenlet: int | None = None
    group: int | None = None
    record: GreenletRecord | None = None
    exception: ExceptionRecord | None = None
    sample: GreenletSample | None = None
    group_record: GroupSample | None = None
    detail: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Drained:
    """What one drain of the probe's buffer gave: events in order, and what had to be dropped since the last.

    `dropped` counts by kind; `unseen` has, by group, how many of the dropped `spawned` and `succeeded` were its own.
    All that happened before `until` (monotonic seconds) has been told by now; of what came later, some may be left.
    """

    events: tuple[Event, ...]
    dropped: dict[str, int] = field(default_factory=dict)
    unseen: dict[int, dict[str, int]] = field(default_factory=dict)
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Stack:
    """A greenlet's frames, outermost first, innermost last; `source` has a line of text per frame ("" unread)."""

    frames: tuple[Site, ...]
    source: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ControlResult:
    """What was seen after a control request, not what was hoped for.

    `outcome`: `done` (the state is as asked: dead, resized, spawned), `queued` (the hub did not answer in time;
    the request stays posted), `alive` (carried out, but the greenlet still lives), `gone` (it was dead already),
    `unknown` (no such id), `refused` (would kill the hub, the server or itself). `ids` are the greenlets
    concerned: the new one after a spawn, the survivors after a kill. `reason` is a sentence for a person.
    """

    outcome: Literal["done", "queued", "alive", "gone", "unknown", "refused"]
    reason: str = ""
    ids: tuple[int, ...] = ()
    state: State | None = None
    place: Site | None = None
