"""Records and events made of what the native hooks noted: per tick, in the dashboard's thread.

A burst must not make the observer the program's heaviest part. So of the greenlets that
succeeded before anybody could have looked at them, only as many are told one by one as a
person could follow: SHORT_RATE a second, and SHORT_BURST at once. More of them are shed:
counted by kind, and per group. Failures, kills and whatever still lives are always told. One
drain takes at most TAKEN notes; the others wait in the buffer for the next. And it lets go of
the interpreter every BREATH notes that it tells, since the program waits for it meanwhile.
"""

import itertools
from collections.abc import Iterator
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from greenscope.app.backends.frames import function_of, safe_text, site_at, traceback_sites
from greenscope.app.backends.native_hooks import WIDTH, hidden
from greenscope.app.backends.native_view import thread_of
from greenscope.app.backends.whose import program_site
from greenscope.app.model import Drained, Event, ExceptionRecord, GreenletRecord, GreenletSample
from greenscope.runtime.accounting import Account
from greenscope.runtime.greenlet import Greenlet

if TYPE_CHECKING:
    from greenscope.app.backends.native import NativeProbe

#: greenlets that lived and succeeded between two drains and are told one by one: per second, and at once
SHORT_RATE, SHORT_BURST = 200, 500
#: notes told between two breaths
BREATH = 200
#: notes worked off per drain
TAKEN = 20_000
#: greenlets that are asked per drain whether they have begun
BEGUN_PER_DRAIN = 5_000

_RUNNING = 2
ENDS = ("succeeded", "failed", "killed")


class NativeDrain:
    """Makes events of the notes in a NativeProbe's buffer."""

    def __init__(self, probe: "NativeProbe") -> None:
        self.probe = probe
        #: id -> what was told at its birth, until its end is told
        self.known: dict[int, GreenletRecord] = {}
        #: everything noted so far, told or shed
        self.count = 0
        #: the greatest id among the notes taken so far
        self.newest = 0
        #: ids of those that had not begun when it was looked last
        self._unbegun: dict[int, None] = {}
        #: id -> the groups that it is told to be in, until its end or until it leaves
        self._member_of: dict[int, list[int]] = {}
        #: ids of those who have succeeded, as the buffer says
        self._well: set[int] = set()
        #: ids of shed lives whose end has not been taken yet
        self._shed: set[int] = set()
        #: how many short lives may be told, until when that was counted
        self._left = float(SHORT_BURST)
        self._drained_at = monotonic()
        self._dropped: dict[str, int] = {}
        #: what the hooks had to drop since nothing was left over of it
        self._lost: dict[str, int] = {}
        self._unseen: dict[int, dict[str, int]] = {}

    def drain(self) -> Drained:
        """Take notes off the buffer and tell them."""
        probe = self.probe
        events: list[Event] = []
        self._dropped, probe.dropped = probe.dropped, {}
        self._lost |= self._dropped
        self._unseen = {}
        now = monotonic()
        self._left = min(float(SHORT_BURST), self._left + SHORT_RATE * (now - self._drained_at))
        self._drained_at = now
        buffer = probe.buffer
        notes = buffer[: TAKEN * WIDTH]
        # who has succeeded by now is to be known when its birth is told
        pairs = zip(buffer[::WIDTH], buffer[2::WIDTH], strict=False)
        self._well = {id for kind, id in pairs if kind == "succeeded"}
        del buffer[: len(notes)]
        self.count += len(notes) // WIDTH
        for told, noted in enumerate(self._sift(notes), 1):
            try:
                self._tell(noted, events)
            except Exception as error:
                probe.faults.append(f"{noted[0]}: {type(error).__name__}: {error}")
                del probe.faults[:-20]
            if told % BREATH == 0:
                sleep(0)
        self._tell_begun(events)
        if any(kind in self._lost for kind in ENDS) and not buffer:
            self._forget_lost()
        return Drained(tuple(events), self._dropped, self._unseen)

    def _sift(self, notes: list[Any]) -> Iterator[list[Any]]:
        """Count what is shed, and give what is to be told; the former may be thousands in one drain."""
        well, shed, named, births = self._well, self._shed, self.probe.named, 0
        ends = dict.fromkeys(ENDS, 0)
        for at, kind, id in zip(range(0, len(notes), WIDTH), notes[::WIDTH], notes[2::WIDTH], strict=True):
            if kind == "spawned":
                if id > self.newest:
                    self.newest = id
                if id in well:
                    if self._left < 1.0:
                        shed.add(id)
                        births += 1
                        continue
                    self._left -= 1.0
            elif id in shed:
                if kind in ends:
                    shed.discard(id)
                    ends[kind] += 1
                    if named:
                        named.pop(id, None)
                elif kind == "grouped":
                    counts = self._unseen.setdefault(notes[at + 3], {"spawned": 0, "succeeded": 0})
                    counts["spawned"] += 1
                    counts["succeeded"] += 1  # or it would not have been shed
                continue
            yield notes[at : at + WIDTH]
        for kind, count in (("spawned", births), *ends.items()):
            if count:
                self._dropped[kind] = self._dropped.get(kind, 0) + count

    def _tell(self, noted: list[Any], events: list[Event]) -> None:
        kind, t, id, what, *more = noted
        if kind == "spawned":
            record = self.record(t, id, what, *more)
            self.known[id] = record
            self._unbegun[id] = None
            events.append(Event(kind, t, greenlet=id, record=record))
        elif kind in ENDS:
            self._tell_end(events, kind, t, id, what, *more[:2])
        else:
            opened = None
            if kind == "grouped":
                self._member_of.setdefault(id, []).append(what)
            elif kind == "ungrouped" and what in self._member_of.get(id, ()):
                self._member_of[id].remove(what)
            elif kind == "group_opened":
                opened = next((one for one in self.probe.groups() if one.id == what), None)
            events.append(Event(kind, t, greenlet=id, group=what, group_record=opened))

    def _tell_end(
        self, events: list[Event], kind: Any, t: float, id: int, began: float, account: Account | None, exc_info: Any
    ) -> None:
        self.known.pop(id, None)
        self.probe.killing.pop(id, None)
        self.probe.named.pop(id, None)
        if id in self._unbegun:
            del self._unbegun[id]
            if began:
                events.append(Event("started", began, greenlet=id))
        exception = exception_record(exc_info)
        events.append(
            Event(
                kind, t, greenlet=id, exception=exception, sample=ended(id, kind, account, t - began if began else None)
            )
        )
        for group in self._member_of.pop(id, ()):
            events.append(Event("ungrouped", t, greenlet=id, group=group))

    def _tell_begun(self, events: list[Event]) -> None:
        """Tell which of the living have begun, a bounded number per tick."""
        unbegun = self._unbegun
        for id in list(itertools.islice(unbegun, BEGUN_PER_DRAIN)):
            del unbegun[id]
            greenlet = self.probe.alive.get(id)
            if greenlet is not None and getattr(greenlet, "_state", _RUNNING) == _RUNNING:
                began = getattr(greenlet, "_began", 0.0) or self.known[id].created
                events.append(Event("started", began, greenlet=id))
            else:  # to the end of the line; if it has ended, that tells, further back in the buffer
                unbegun[id] = None

    def _forget_lost(self) -> None:
        """Forget those whose end was dropped: nothing is left in the buffer that could tell of it."""
        self._lost = {}
        for id in self.known.keys() - self.probe.alive.keys():
            del self.known[id]
            self._unbegun.pop(id, None)
            self._member_of.pop(id, None)

    def record(
        self, t: float, id: int, hub: Any, function: Any, parent: int | None, code: Any, lasti: int
    ) -> GreenletRecord:
        """Return what never changes about a greenlet."""
        greenlet = self.probe.alive.get(id)
        raw = greenlet is not None and not isinstance(greenlet, Greenlet)
        # set after the spawn, as most programs do
        name = self.probe.named.get(id) if greenlet is None else getattr(greenlet, "_name", None)
        if raw:
            function = getattr(greenlet, "run", None)
        if function is None and (greenlet is None or greenlet.parent is None):
            what, file, line = "<main>", "", 0
            name = "main" if name is None else name
        else:
            what, file, line = function_of(function)
        if raw:
            self.probe.raws[id] = greenlet
        spawned, from_dashboard = program_site(None if code is None else site_at(code, lasti))
        return GreenletRecord(
            id=id,
            name=safe_text(name) if name is not None else f"{what.rpartition('.')[2]}-{id}",
            function=what,
            file=file,
            line=line,
            created=t,
            parent=parent,
            spawn_site=spawned,
            thread="" if hub is None else thread_of(hub),
            kind="raw" if raw else "greenlet",
            from_dashboard=from_dashboard,
        )


def ended(id: int, kind: Any, account: Account | None, lived: float | None) -> GreenletSample:
    """Return the account of a life of `lived` seconds since it began (None where nothing was accounted)."""
    if account is None:
        return GreenletSample(id=id, state=kind)
    run, ready, switches, longest = account if isinstance(account, tuple) else (account, 0.0, 1, account)
    wait = None if lived is None else max(0.0, lived - run - ready)
    return GreenletSample(id, kind, None, None, run, ready, wait, switches, longest)


def exception_record(exc_info: tuple[Any, Any, Any] | None) -> ExceptionRecord | None:
    """Return how it failed; never raises, whatever the exception's str() does."""
    if exc_info is None:
        return None
    type_, value, tb = exc_info
    return ExceptionRecord(type_.__qualname__, safe_text(value), traceback_sites(tb, hidden))
