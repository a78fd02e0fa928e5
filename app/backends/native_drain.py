"""Records and events made of what the native hooks noted: per tick, in the dashboard's thread.

`native_intake` says what is told.
"""

import itertools
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenscope.app.backends import fast_records as make
from greenscope.app.backends.frames import function_of, safe_text, site_at, traceback_sites
from greenscope.app.backends.native_hooks import BORN, Origin, hidden
from greenscope.app.backends.native_intake import NativeIntake
from greenscope.app.backends.native_view import thread_of
from greenscope.app.backends.whose import program_site
from greenscope.app.breath import breathe
from greenscope.app.model import Drained, Event, ExceptionRecord, GreenletRecord, GreenletSample
from greenscope.runtime.accounting import Account, Kept, read_account
from greenscope.runtime.greenlet import Greenlet

if TYPE_CHECKING:
    from greenscope.app.backends.native import NativeProbe

#: greenlets that are asked per drain whether they have begun
BEGUN_PER_DRAIN = 5_000

_RUNNING = 2
ENDS = ("succeeded", "failed", "killed")
#: counted as dropped when a hook was cut short by a signal: any note may be missing
CUT_SHORT = "cut_short"


class NativeDrain:
    """Makes events of the notes in a NativeProbe's buffer."""

    def __init__(self, probe: "NativeProbe") -> None:
        self.probe = probe
        #: id -> what was told at its birth, until its end is told
        self.known: dict[int, GreenletRecord] = {}
        self.intake = NativeIntake(probe)
        #: ids of those that had not begun when it was looked last
        self._unbegun: dict[int, None] = {}
        #: id -> the groups that it is told to be in, until its end or until it leaves
        self._member_of: dict[int, list[int]] = {}
        #: id -> when it was asked to be killed, where that was told with its birth, until its end
        self._asked: dict[int, float] = {}
        #: whether the end of one that is known may have been dropped
        self._ends_lost = False
        #: ids of those that had ended by some moment: what they have noted until then is told sooner or later
        self._ended: set[int] = set()
        self._ended_by = 0.0

    def drain(self, prompt: bool) -> Drained:
        """Take notes off the buffer and tell them."""
        probe = self.probe
        events: list[Event] = []
        dropped, probe.dropped = probe.dropped, {}
        self._ends_lost = self._ends_lost or not dropped.keys().isdisjoint((*ENDS, CUT_SHORT))
        taken = self.intake.take(prompt or self._ends_lost or bool(self._ended))
        self._tell_opened(events)
        for noted in taken:
            try:
                self._tell(noted, events)
            except Exception as error:
                probe.faults.append(f"{noted[0]}: {type(error).__name__}: {error}")
                del probe.faults[:-20]
            breathe()
        self._tell_begun(events)
        if self._ended and self.intake.until > self._ended_by:
            self._forget_ended()
        if self._ends_lost and not self._ended:
            self._ends_lost = False
            self._ended = {id for id in (*self.known, *list(probe.killing)) if id not in probe.alive}
            self._ended_by = monotonic()
        for kind, count in self.intake.dropped.items():
            dropped[kind] = dropped.get(kind, 0) + count
        return Drained(tuple(events), dropped, self.intake.unseen, self.intake.until)

    def forget(self) -> None:
        """Forget everything that was told, when the probe is closed."""
        for kept in (self.known, self._unbegun, self._member_of, self._asked):
            kept.clear()
        self._ended.clear()
        self._ends_lost = False
        self.intake.forget()

    def _tell(self, noted: tuple[Any, ...], events: list[Event]) -> None:
        kind = noted[0]
        if kind == BORN:
            self._tell_birth(events, *noted)
        elif kind in ENDS:
            self._tell_end(events, *noted)
        else:
            t, id, what = noted[1:]
            if kind == "grouped":
                groups = self._member_of.setdefault(id, [])
                if what in groups:
                    return  # its birth was told meanwhile, and that it is in it
                groups.append(what)
            elif kind == "ungrouped" and what in self._member_of.get(id, ()):
                self._member_of[id].remove(what)
            elif kind == "kill_requested" and self._asked.get(id) == t:
                return  # as above
            events.append(Event(kind, t, greenlet=id, group=what))

    def _tell_opened(self, events: list[Event]) -> None:
        """Tell of all groups that anything taken by now may be about."""
        opened = self.probe.opened
        if not opened:
            return
        new = opened[:]
        found = {one.id: one for one in self.probe.groups_of(id for id, _ in new)}
        del opened[: len(new)]
        events += [Event("group_opened", t, group=id, group_record=found.get(id)) for id, t in new]

    def _tell_birth(
        self, events: list[Event], _: str, t: float, id: int, hub: Any, name: str | None, groups: Any, origin: Origin
    ) -> None:
        if id in self.known:
            return  # it was taken off by both threads at once
        function, parent, code, lasti = origin
        record = self.record(t, id, hub, name, function, parent, code, lasti)
        self.known[id] = record
        self._unbegun[id] = None
        events.append(make.event("spawned", t, id, None, record))
        for group in groups or ():
            if group < self.probe.first_group:
                continue  # another probe has numbered it
            self._member_of.setdefault(id, []).append(group)
            events.append(make.event("grouped", t, id, group))
        asked = self.probe.killing.get(id)
        if asked is not None:
            self._asked[id] = asked
            events.append(make.event("kill_requested", asked, id))

    def _tell_end(self, events: list[Event], kind: Any, t: float, id: int, kept: Kept | None, exc_info: Any) -> None:
        if id not in self.known:
            missed = self.intake.find_missed(id)
            if missed is not None:
                self._tell_birth(events, *missed)
        self.known.pop(id, None)
        self.probe.killing.pop(id, None)
        self._asked.pop(id, None)
        account = None if kept is None else read_account(kept)
        if id in self._unbegun:
            del self._unbegun[id]
            if account is not None:
                events.append(make.event("started", account[0], id))
        exception = exception_record(exc_info)
        events.append(make.event(kind, t, id, None, None, exception, ended(id, kind, account)))
        for group in self._member_of.pop(id, ()):
            events.append(make.event("ungrouped", t, id, group))

    def _tell_begun(self, events: list[Event]) -> None:
        """Tell which of the living have begun, a bounded number per tick."""
        unbegun = self._unbegun
        for id in list(itertools.islice(unbegun, BEGUN_PER_DRAIN)):
            del unbegun[id]
            greenlet = self.probe.alive.get(id)
            # it may have ended meanwhile, and its carrier have another job
            carrier = getattr(greenlet, "_carrier", None)
            since = getattr(carrier, "since", 0.0) or self.known[id].created
            runs = greenlet is not None and getattr(greenlet, "_state", _RUNNING) == _RUNNING
            if runs and getattr(greenlet, "_carrier", None) is carrier:
                events.append(make.event("started", since, id))
            else:  # to the end of the line; if it has ended, that tells, further back in the buffer
                unbegun[id] = None

    def _forget_ended(self) -> None:
        """Forget those that had ended and whose end was not told: it was dropped."""
        for id in self._ended:
            self.probe.killing.pop(id, None)
            self.known.pop(id, None)
            self._unbegun.pop(id, None)
            self._member_of.pop(id, None)
            self._asked.pop(id, None)
        self._ended.clear()

    def record(
        self,
        t: float,
        id: int,
        hub: Any,
        name: str | None,
        function: Any,
        parent: int | None,
        code: Any,
        lasti: int,
    ) -> GreenletRecord:
        """Return what never changes about a greenlet."""
        greenlet = self.probe.alive.get(id)
        raw = greenlet is not None and not isinstance(greenlet, Greenlet)
        if raw:
            function = getattr(greenlet, "run", None)
        if function is None and (greenlet is None or greenlet.parent is None):
            what, file, line = "<main>", "", 0
            name = "main" if name is None else name
        else:
            what, file, line = function_of(function)
        if raw:
            self.probe.raws[id] = greenlet
        site = None if code is None else site_at(code, lasti)
        if site is not None and hidden(site.file):  # by a greenlet of the runtime's own: where that was spawned
            spawner = None if parent is None else self.known.get(parent)
            site = None if spawner is None else spawner.spawn_site
        spawned, from_dashboard = program_site(site)
        return make.record(
            id,
            safe_text(name) if name is not None else f"{what.rpartition('.')[2]}-{id}",
            what,
            file,
            line,
            t,
            parent,
            spawned,
            "" if hub is None else thread_of(hub),
            "raw" if raw else "greenlet",
            from_dashboard,
        )


def ended(id: int, kind: Any, account: Account | None) -> GreenletSample:
    """Return where the time of a life went that has ended (None: nothing was accounted)."""
    if account is None:
        return make.sample(id, kind)
    began, run, ready, switches, longest, end = account
    wait = max(0.0, end - began - run - ready)
    return make.sample(id, kind, None, None, run, ready, wait, switches, longest)


def exception_record(exc_info: tuple[Any, Any, Any] | None) -> ExceptionRecord | None:
    """Return how it failed; never raises, whatever the exception's str() does."""
    if exc_info is None:
        return None
    type_, value, tb = exc_info
    return ExceptionRecord(type_.__qualname__, safe_text(value), traceback_sites(tb, hidden))
