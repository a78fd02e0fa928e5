"""What a gevent program looks like now, read from the dashboard's thread without its cooperation.

States are told from what can be read: `pending` has not begun, `running` is what the tracer saw last, `ready` is what
has its own wake-up in the loop's queue of callbacks, all else waits. A greenlet whose event was set is `waiting` until
gevent's notifier runs, which is how gevent sees it, too.

A frame is read while its owner stands still or goes on; what is gone by then is left out. Greenlets are held only
for the moment of the look.
"""

from collections.abc import Iterable
from time import monotonic
from types import FrameType
from typing import Any

from greenscope.app.backends.fast_records import sample as make_sample
from greenscope.app.backends.frames import current_frame, walk, with_source
from greenscope.app.backends.gevent_accounts import NO_ACCOUNT, Account, account
from greenscope.app.backends.gevent_discovery import hidden, is_begun, is_greenlet, site_of_origin, told
from greenscope.app.backends.gevent_lane import Lane
from greenscope.app.backends.gevent_registry import Entry, GroupEntry, Registry
from greenscope.app.backends.gevent_waits import WaitReader
from greenscope.app.backends.whose import Whose, program_site
from greenscope.app.breath import breathe
from greenscope.app.model import Figures, GreenletSample, GroupSample, Stack, State

#: callbacks in the loop's queue that are looked through for wake-ups
MOST_CALLBACKS = 2000

_whose = Whose(hidden)


class GeventView:
    """Read access to what a registry knows and what the greenlets show."""

    def __init__(self, registry: Registry, accounting: bool, full: bool) -> None:
        self.registry = registry
        self.accounting = accounting
        self.full = full
        self.waits = WaitReader(registry)

    def sample(self, ids: Iterable[int]) -> list[GreenletSample]:
        """Look at these greenlets now; the dead and unknown are left out."""
        woken = self._woken()
        find = self.registry.find
        samples = []
        for id in ids:
            breathe()
            entry = find(id)
            greenlet = None if entry is None else entry()
            if entry is not None and greenlet is not None:
                samples.append(self._sample(entry, greenlet, woken))
        return samples

    def figures(self, ids: Iterable[int]) -> list[Figures]:
        """Tell states and times of these greenlets, without a look at their frames."""
        woken = self._woken()
        find = self.registry.find
        now = monotonic()
        found: list[Figures] = []
        for id in ids:
            entry = find(id)
            greenlet = None if entry is None else entry()
            if entry is not None and greenlet is not None:
                state = self.state(entry, greenlet, woken)
                found.append((entry.id, state, *self._account(entry, state, now)))
        return found

    def _account(self, entry: Entry, state: State, now: float) -> Account:
        if not self.accounting:
            return NO_ACCOUNT
        stretch = max(0.0, now - entry.lane.last) if state == "running" and entry.lane.traced else 0.0
        return account(entry, now, self.full, stretch)

    def _sample(self, entry: Entry, greenlet: Any, woken: set[int]) -> GreenletSample:
        state = self.state(entry, greenlet, woken)
        frame = self.frame(greenlet, entry)
        now = monotonic()
        waiting_on = None
        if state == "waiting":
            waiting_on = self.waits.read(entry, greenlet, frame)
        place = _whose.place(frame, lambda: (told(entry.function)[0], program_site(site_of_origin(entry.origin))[0]))
        times = self._account(entry, state, now)
        return make_sample(entry.id, state, place, waiting_on, *times, entry.killed_at or None)

    def state(self, entry: Entry, greenlet: Any, woken: set[int]) -> State:
        """Return the state of a live entry; `woken` is from the loop's queue."""
        if entry.lane.traced and entry.lane.current is entry:
            return "running"
        if entry.kind != "main" and not is_begun(greenlet):
            return "pending"
        if not entry.lane.traced and greenlet.gr_frame is None:
            return "running"
        return "ready" if id(greenlet) in woken else "waiting"

    def _woken(self) -> set[int]:
        """Return the `id()` of the greenlets that have a wake-up in a loop's queue."""
        found: set[int] = set()
        for lane in self.registry.shown_lanes():
            try:
                callbacks = lane.hub().loop._callbacks  # type: ignore[union-attr]
                if not callbacks:
                    continue
                for number, callback in enumerate(callbacks):
                    if number >= MOST_CALLBACKS:
                        break
                    owner = getattr(callback.callback, "__self__", None)
                    found.add(id(getattr(owner, "greenlet", None) or owner) if _is_waiter(owner) else id(owner))
            except Exception:
                continue  # the loop is gone, or keeps its callbacks elsewhere
        return found

    def count_states(self) -> dict[str, int]:
        """Count what lives by state, from counters where they exist."""
        counts = {"pending": 0, "ready": 0, "running": 0, "waiting": 0}
        woken = self._woken()
        for lane in self.registry.shown_lanes():
            self._count(lane, woken, counts)
        return counts

    def _count(self, lane: Lane, woken: set[int], counts: dict[str, int]) -> None:
        entries = lane.entries
        if not lane.traced:
            for entry in lane.living():
                greenlet = entry()
                if greenlet is not None and entry.known:
                    counts[self.state(entry, greenlet, woken)] += 1
            return
        live = len(entries) - 1  # the hub
        unseen = sum(1 for entry in list(lane.raws) if not entry.known and not entry.ended)
        current = lane.current
        running = 1 if current.kind != "hub" and current.known else 0
        pending = lane.pending_seen if lane.rested else max(0, lane.pending)
        ready = 0
        for key in woken:
            found = entries.get(key)
            if found is not None and found.started and found is not current and found.kind != "hub" and found.known:
                ready += 1
        counts["pending"] += pending
        counts["running"] += running
        counts["ready"] += ready
        counts["waiting"] += max(0, live - unseen - pending - running - ready)

    def running_frame(self, entry: Entry) -> FrameType | None:
        """Return the frame that the entry's thread executes now."""
        return current_frame(entry.lane.ident)

    def frame(self, greenlet: Any, entry: Entry) -> FrameType | None:
        """Return the innermost frame of a greenlet (None: it has not begun, or was gone)."""
        if entry.lane.traced and entry.lane.current is entry:
            return current_frame(entry.lane.ident)
        frame: FrameType | None = greenlet.gr_frame
        return frame

    def stack(self, id: int) -> Stack | None:
        """Return the frames of a live greenlet; none before it begins."""
        entry = self.registry.find(id)
        greenlet = None if entry is None else entry()
        if entry is None or greenlet is None:
            return None
        frame = self.frame(greenlet, entry)
        if frame is None and not is_begun(greenlet):
            return Stack(())
        return with_source(walk(frame, _whose.machinery))

    def group(self, entry: GroupEntry) -> GroupSample | None:
        """Look at one Group or Pool (None: it is gone)."""
        group = entry()
        if group is None:
            return None
        members = members_of(group)
        entries = entry.lane.entries
        ids = []
        for member in members:
            found = entries.get(id(member))
            number = found.id if found is not None and found() is member else self.registry.id_of(member)
            if number:
                ids.append(number)
        ids.sort()
        active = len(members)
        semaphore = getattr(group, "_semaphore", None)
        if semaphore is None:
            return GroupSample(entry.id, entry.name, "group", active, members=tuple(ids))
        size = group.size
        if type(size) is not int:
            return GroupSample(entry.id, entry.name, "pool", active, members=tuple(ids))
        waiters = semaphore.linkcount() if hasattr(semaphore, "linkcount") else 0
        return GroupSample(entry.id, entry.name, "pool", active, size, max(0, size - active), waiters, tuple(ids))


def members_of(group: Any) -> list[Any]:
    """Return the greenlets of a Group as they are now."""
    while True:
        try:
            return list(group.greenlets)
        except RuntimeError:
            continue  # the set changed while it was copied


def _is_waiter(owner: Any) -> bool:
    return not is_greenlet(owner) and type(owner).__name__ in ("Waiter", "MultipleWaiter", "ItemWaiter")
