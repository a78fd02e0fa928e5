"""Records and events made of what the native hooks noted: per tick, in the dashboard's thread.

A burst must not make the observer the program's heaviest part. So one drain tells at most SHORT_LIVES
greenlets that succeeded before anybody could have looked at them; more of those are shed: counted by kind,
and per group, but not told one by one. Failures, kills and whatever still lives are always told. And one
drain takes at most TAKEN notes; the others wait in the buffer for the next.
"""

import itertools
from typing import TYPE_CHECKING, Any

from greenscope.app.backends.frames import function_of, safe_text, site_at, traceback_sites
from greenscope.app.backends.native_hooks import hidden
from greenscope.app.backends.native_view import thread_of
from greenscope.app.backends.whose import program_site
from greenscope.app.model import Drained, Event, ExceptionRecord, GreenletRecord, GreenletSample
from greenscope.runtime.accounting import Account
from greenscope.runtime.greenlet import Greenlet

if TYPE_CHECKING:
    from greenscope.app.backends.native import NativeProbe

#: greenlets that lived and succeeded between two drains and are told one by one; four drains a second
SHORT_LIVES = 250
#: notes worked off per drain
TAKEN = 20_000
#: greenlets that are asked per drain whether they have begun
BEGUN_PER_DRAIN = 5_000

_RUNNING, _VALUE = 2, 3
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
        self._unbegun: dict[int, Any] = {}
        #: ids of shed lives whose end has not been taken yet
        self._shed: set[int] = set()
        self._left = 0
        self._dropped: dict[str, int] = {}
        self._unseen: dict[int, dict[str, int]] = {}

    def drain(self) -> Drained:
        """Take notes off the buffer and tell them."""
        probe = self.probe
        buffer = probe.buffer
        events: list[Event] = []
        self._left = SHORT_LIVES
        self._dropped, probe.dropped = probe.dropped, {}
        self._unseen = {}
        taken = min(len(buffer), TAKEN)
        self.count += taken
        for _ in range(taken):
            noted = buffer.popleft()
            try:
                self._tell(noted, events)
            except Exception as error:
                probe.faults.append(f"{noted[0]}: {type(error).__name__}: {error}")
                del probe.faults[:-20]
        self._tell_begun(events)
        return Drained(tuple(events), self._dropped, self._unseen)

    def _tell(self, noted: tuple[Any, ...], events: list[Event]) -> None:
        kind, t, id = noted[:3]
        if kind == "spawned":
            self.newest = max(self.newest, id)
            greenlet = noted[3]
            if getattr(greenlet, "_state", 0) == _VALUE and id not in self.probe.killing:
                if not self._left:
                    self._shed.add(id)
                    self._drop("spawned")
                    return
                self._left -= 1
            record = self.record(t, id, *noted[3:])
            self.known[id] = record
            self._unbegun[id] = greenlet
            events.append(Event(kind, t, greenlet=id, record=record))
        elif id in self._shed:
            self._tell_shed(kind, id, noted[3])
        elif kind in ENDS:
            self._tell_end(noted, events)
        else:
            group = noted[3]
            opened = None
            if kind == "group_opened":
                opened = next((one for one in self.probe.groups() if one.id == group), None)
            events.append(Event(kind, t, greenlet=id, group=group, group_record=opened))

    def _tell_shed(self, kind: str, id: int, group: int) -> None:
        if kind in ENDS:
            self._shed.discard(id)
            self._drop(kind)
        elif kind == "grouped":
            counts = self._unseen.setdefault(group, {"spawned": 0, "succeeded": 0})
            counts["spawned"] += 1
            counts["succeeded"] += 1  # it has ended, or it would not have been shed

    def _tell_end(self, noted: tuple[Any, ...], events: list[Event]) -> None:
        kind, t, id, began, account, exc_info = noted
        self.known.pop(id, None)
        self.probe.killing.pop(id, None)
        if self._unbegun.pop(id, None) is not None and began:
            events.append(Event("started", began, greenlet=id))
        exception = exception_record(exc_info)
        events.append(
            Event(
                kind, t, greenlet=id, exception=exception, sample=ended(id, kind, account, t - began if began else None)
            )
        )

    def _tell_begun(self, events: list[Event]) -> None:
        """Tell which of the living have begun, a bounded number per tick."""
        unbegun = self._unbegun
        for id in list(itertools.islice(unbegun, BEGUN_PER_DRAIN)):
            greenlet = unbegun.pop(id)
            if id not in self.probe.alive:
                unbegun[id] = greenlet  # its end, further back in the buffer, tells
            elif getattr(greenlet, "_state", _RUNNING) == _RUNNING:
                began = getattr(greenlet, "_began", 0.0) or self.known[id].created
                events.append(Event("started", began, greenlet=id))
            else:
                unbegun[id] = greenlet  # to the end of the line

    def _drop(self, kind: str) -> None:
        self._dropped[kind] = self._dropped.get(kind, 0) + 1

    def record(
        self, t: float, id: int, greenlet: Any, function: Any, parent: int | None, code: Any, lasti: int
    ) -> GreenletRecord:
        """Return what never changes about a greenlet."""
        name = getattr(greenlet, "_name", None)  # set after the spawn, as most programs do
        raw = not isinstance(greenlet, Greenlet)
        if raw:
            self.probe.raws[id] = greenlet
            function = getattr(greenlet, "run", None)
        if function is None and greenlet.parent is None:
            what, file, line = "<main>", "", 0
            name = "main" if name is None else name
        else:
            what, file, line = function_of(function)
        hub = getattr(greenlet, "hub", None)
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
