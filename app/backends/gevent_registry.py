"""What is known of each greenlet of a gevent program: one entry each, made in the hub, read by the dashboard.

    hub's thread                                    dashboard's thread
    spawned ---> entry in its lane ---------------> noticed once per tick  (gevent_events)
    end -------> [bounded log] -------------------> records, events        (gevent_events)
    every switch -> counters in the entry  -------> samples                (gevent_view)

An `Entry` is a weak reference to its greenlet: watching keeps nothing alive. It carries its numbers in slots, so
that a switch costs a few stores and no call. They stand in the lane of their thread (gevent_lane), by `id(greenlet)`:
a greenlet's own hash and equality may be the program's code.

Nothing is logged at a birth: a lane's entries are in the order of their births, so that the dashboard finds the new
ones at the end. The log holds entries that have ended, and those that were noticed before they began and have begun
since; what is told about each is worked out when it is drained. When the log is full, that is counted by kind.

Most greenlets live and succeed between two looks of the dashboard. Of these a lane logs as many as a person could
follow; the others are shed, counted where they end and let go of at once, so that a burst leaves nothing for the
garbage collector to walk through and nothing for the dashboard to do.

No lock anywhere: one thread writes a lane, others read it; log and counters rely on the atomicity of single
operations on dict and deque.
"""

import itertools
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, Literal

import greenlet
from gevent import Greenlet

from greenscope.app.backends.gevent_lane import Lane, snapshot
from greenscope.app.backends.gevent_notes import Block, KillNote, Membership
from greenscope.app.model import ExceptionRecord

#: things kept in the log between two drains
LOG_LIMIT = 100_000
#: texts of faults kept for the health page
FAULTS_KEPT = 20

#: what tells whether a greenlet lives, where the program has not told it otherwise
_PLAIN = (Greenlet.__bool__, greenlet.greenlet.__bool__)

Outcome = Literal["succeeded", "failed", "killed"]
#: steps of a life: which is to be told next (0: the dashboard has not noticed it yet)
BORN, STARTED, ENDED = 1, 2, 3
_STEPS = ("", "spawned", "started", "ended")
#: `skipped` of a life that was shed
SHED = 1 << 4


class Entry(weakref.ref[Any]):
    """One greenlet; calling it returns the greenlet or None.

    `function` is a code object, or (name, file, line). `origin` is gevent's own spawning stack, or (code, lasti), or
    None. `since` is when it was last switched out. Compare entries with `is` only: equality is the greenlets' own.
    """

    __slots__ = (
        "address",
        "born",
        "ended",
        "exception",
        "function",
        "groups",
        "id",
        "killed_at",
        "kind",
        "known",
        "lane",
        "longest",
        "origin",
        "outcome",
        "parent",
        "plain",
        "ready",
        "rested",
        "run",
        "since",
        "skipped",
        "started",
        "step",
        "switches",
    )
    id: int
    lane: "Lane"
    #: id() of the greenlet, its key in the lane
    address: int
    #: monotonic second of the spawn; of its discovery, where it is older than the watching
    born: float
    started: float
    since: float
    ended: float
    parent: int
    function: "CodeType | tuple[str, str, int] | None"
    origin: Any
    kind: Literal["greenlet", "raw", "main", "hub"]
    #: False for a raw greenlet that may yet end in its first run: it is told only when it parks
    known: bool
    groups: tuple[int, ...]
    #: how long the lane's tracer had rested when it was born
    rested: float
    run: float
    ready: float
    longest: float
    switches: int
    killed_at: float
    outcome: Outcome | None
    exception: ExceptionRecord | None
    #: whether its truth value may be asked: no code of the program tells it
    plain: bool
    #: the next step to tell, and the steps that did not fit into the log (bits)
    step: int
    skipped: int


class GroupEntry(weakref.ref[Any]):
    """One Group or Pool; `members` are the ids that the events have told so far (the dashboard's thread's)."""

    __slots__ = ("closed", "id", "lane", "members", "name", "opened")
    id: int
    lane: "Lane"
    name: str
    opened: float
    closed: bool
    members: dict[int, None]


class Registry:
    """All lanes, entries and groups, and the log of what happened."""

    def __init__(self, log_limit: int = LOG_LIMIT, sees_all: bool = True) -> None:
        self.log_limit = log_limit
        self.log: deque[Any] = deque()
        self.dropped: dict[str, int] = {}
        self.faults: list[str] = []
        self.lanes: dict[int, Lane] = {}
        self.groups: dict[int, GroupEntry] = {}
        #: id(group) -> its entry, for the hub's threads
        self.groups_by_key: dict[int, GroupEntry] = {}
        self.ids = itertools.count(1)
        self.group_ids = itertools.count(1)
        #: what was freed, told by its weak reference, where switches do not tell of all ends; what is pushed out of it
        #: is found by the sweep
        self.freed: deque[Entry] = deque(maxlen=log_limit)
        self.on_freed: Callable[[Any], None] | None = None if sees_all else self.freed.append
        #: id -> entry, the dashboard's thread's own
        self._index: dict[int, Entry] = {}

    # -- the hub's side

    def new_entry(self, found: Any, lane: Lane, now: float, kind: Literal["greenlet", "raw", "main"]) -> Entry:
        """Make an entry with nothing in it yet; `enter` it when it is filled."""
        entry = blank(found, next(self.ids), now, kind, self.on_freed if kind != "main" else None)
        entry.address = id(found)
        entry.lane = lane
        entry.rested = lane.rest_until(now)
        return entry

    def enter(self, entry: Entry, found: Any) -> None:
        """Let an entry be found in its lane: behind all that are older."""
        self.clear(entry.lane, id(found), entry.born)
        entry.lane.entries[id(found)] = entry

    def clear(self, lane: Lane, key: int, now: float) -> None:
        """Take out the entry of a greenlet that vanished unseen and whose address has come again.

        Where switches tell of ends, it was killed before it began. Where one can be missed, it was not: its failure
        would be known.
        """
        entry = lane.entries.pop(key, None)
        if entry is None or entry.kind == "hub" or entry.ended:
            return
        if not entry.started and entry.kind == "greenlet":
            lane.pending -= 1
        if entry.killed_at or not lane.has_missed(entry):
            entry.outcome = entry.outcome or "killed"
        else:
            entry.started = entry.started or entry.born
            entry.outcome = entry.outcome or "succeeded"
        entry.ended = now
        if entry.known:
            self.note(entry, ENDED)

    def note(self, entry: Entry, step: int) -> None:
        """Log that an entry has something to tell, or count it as dropped, with all that was not told before."""
        if len(self.log) < self.log_limit:
            self.log.append(entry)
            return
        for lost in range(BORN, step) if not entry.step else ():
            self._drop(entry, lost)
        self._drop(entry, step)

    def _drop(self, entry: Entry, step: int) -> None:
        if step == STARTED and not entry.started:
            return
        entry.skipped |= 1 << step
        kind = entry.outcome or "succeeded" if step == ENDED else _STEPS[step]
        self.dropped[kind] = self.dropped.get(kind, 0) + 1

    def note_other(self, item: Block | KillNote | GroupEntry | Membership, kind: str) -> None:
        """Log something that is no step of a life, or count it as dropped."""
        if len(self.log) < self.log_limit:
            self.log.append(item)
        else:
            self.dropped[kind] = self.dropped.get(kind, 0) + 1

    def fault(self, where: str, error: BaseException) -> None:
        """Keep what broke in the observer, as text made without the program's help."""
        tb = error.__traceback__
        while tb is not None and tb.tb_next is not None:
            tb = tb.tb_next
        line = "" if tb is None else f" at {tb.tb_frame.f_code.co_name}:{tb.tb_lineno}"
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(f"{where}: {type(error).__name__}{line}")

    # -- the dashboard's side

    @property
    def highest(self) -> int:
        """No id above this was ever given."""
        return int(repr(self.ids)[6:-1]) - 1  # "count(7)": the one way to see it that takes nothing

    def shown_lanes(self) -> list[Lane]:
        """Return the lanes of the program: without the dashboard's own and those that are gone."""
        return [lane for lane in snapshot(self.lanes) if not lane.hidden and not lane.gone]

    def living(self) -> Iterator[Entry]:
        """Iterate over all that lives and is told of."""
        for lane in self.shown_lanes():
            for entry in lane.living():
                if entry.known:
                    yield entry

    def learn(self, entry: Entry) -> None:
        """Let an entry be found by its id."""
        self._index[entry.id] = entry

    def forget(self, entry: Entry) -> None:
        """Let an ended entry no longer be found."""
        self._index.pop(entry.id, None)

    def find(self, id: int) -> Entry | None:
        """Return the live entry with this id."""
        entry = self._index.get(id)
        if entry is None and id > 0:
            for other in self.living():
                if other.id not in self._index:
                    self.learn(other)
            entry = self._index.get(id)
        if entry is None or entry.ended or entry.lane.hidden or entry.lane.gone:
            return None
        return entry

    def indexed(self) -> list[Entry]:
        """Return all entries that the dashboard's thread has been told of and that have not been told as ended."""
        return list(self._index.values())

    def id_of(self, found: Any) -> int | None:
        """Return the id of a greenlet (None: not registered, hidden, or a hub)."""
        key = id(found)
        for lane in self.shown_lanes():
            entry = lane.entries.get(key)
            if entry is not None and entry() is found:
                return entry.id if entry.kind != "hub" and entry.known else None
        return None


def blank(
    found: Any,
    number: int,
    now: float,
    kind: Literal["greenlet", "raw", "main", "hub"],
    on_freed: Callable[[Any], None] | None = None,
) -> Entry:
    """Return an entry with all its slots filled; `lane` and `address` are the caller's to set."""
    entry = Entry(found, on_freed)
    entry.id = number
    entry.born = entry.since = now
    entry.started = entry.ended = entry.rested = entry.run = entry.ready = entry.longest = entry.killed_at = 0.0
    entry.parent = entry.switches = entry.step = entry.skipped = 0
    entry.function = entry.origin = entry.outcome = entry.exception = None
    entry.kind = kind
    entry.known = True
    entry.groups = ()
    entry.plain = type(found).__bool__ in _PLAIN
    return entry


def hub_entry(hub: Any, now: float) -> Entry:
    """Return the entry that stands for a hub: it is accounted like others, and shown nowhere."""
    entry = blank(hub, 0, now, "hub")
    entry.started = now
    entry.longest = float("inf")  # no stretch in the hub is ever a block
    return entry


__all__ = [
    "BORN",
    "ENDED",
    "SHED",
    "STARTED",
    "Entry",
    "GroupEntry",
    "Registry",
]
