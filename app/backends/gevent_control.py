"""Kill, resize and spawn in a gevent program: posted to the hub, answered by what was seen.

    dashboard's thread: request -> loop.run_callback_threadsafe ..... Future <- expire() after the time-out
    hub's thread:                  carry out, look again and again -> Future

Nothing of gevent's is called outside of the hub's thread but `run_callback_threadsafe`. A request that the hub has
not taken up in time is answered `queued` and stays posted; one that was carried out without the wanted end is
`alive`. The looks in between are timers that keep no loop alive.

The futures have native locks: in a patched program those of `concurrent.futures` are gevent's, and a thread that
waits for one would start a hub of its own.
"""

from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import Any

from gevent import Greenlet, GreenletExit, spawn_raw
from gevent.pool import Pool

from greenscope.app.backends.gevent_discovery import allocate_lock, is_dead, is_greenlet
from greenscope.app.backends.gevent_lane import Lane
from greenscope.app.backends.gevent_notes import KillNote
from greenscope.app.backends.gevent_registry import Entry, GroupEntry, Registry
from greenscope.app.backends.gevent_tracing import finish
from greenscope.app.backends.gevent_view import GeventView, members_of
from greenscope.app.backends.request import Answer, Request
from greenscope.app.model import ControlResult

#: seconds between two looks whether a killed greenlet is dead
LOOK_EVERY = 0.02


class _NativeCondition:
    """As much of a condition as a Future needs, over native locks."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._waiters: list[Any] = []

    def __enter__(self) -> bool:
        return bool(self._lock.acquire())

    def __exit__(self, *exc_info: object) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for notify_all; the lock is held before and after."""
        mine = allocate_lock()
        mine.acquire()
        self._waiters.append(mine)
        self._lock.release()
        try:
            return bool(mine.acquire(timeout=-1 if timeout is None else max(0.0, timeout)))
        finally:
            self._lock.acquire()

    def notify_all(self) -> None:
        """Wake all that wait."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.release()


class PlainRequest(Request):
    """A request whose future has native locks, also in a patched program."""

    __slots__ = ()

    def __init__(self, timeout: float, late: Callable[[], ControlResult]) -> None:
        super().__init__(timeout, late)
        self.future._condition = _NativeCondition()  # type: ignore[assignment]


class GeventControl:
    """The controls of a GeventProbe."""

    def __init__(self, registry: Registry, view: GeventView) -> None:
        self._registry = registry
        self._view = view
        self._open: list[Request] = []
        self.closed = False

    def expire(self) -> None:
        """Answer requests whose time is up. Called by the watchdog, and by drain()."""
        if not self._open:
            return
        now = monotonic()
        for request in list(self._open):
            if request.future.done():
                self._done(request)
            elif now >= request.deadline:
                self._done(request)
                if request.begun:
                    request.answer(request.late())
                else:
                    request.answer(ControlResult("queued", "the hub is busy; it is carried out when the hub is free"))

    def _done(self, request: Request) -> None:
        try:
            self._open.remove(request)
        except ValueError:
            pass  # the other thread was faster

    def post(self, lane: Lane, act: Callable[[], None]) -> bool:
        """Let a lane's hub run `act`; tell whether there is a hub to do it. Does not block."""
        try:
            lane.hub().loop.run_callback_threadsafe(act)  # type: ignore[union-attr]
            return True
        except Exception:
            return False

    def _post(self, lane: Lane, request: Request, act: Callable[[], None]) -> Answer:
        def carry_out() -> None:
            request.begun = True
            try:
                act()
            except Exception as error:
                self._registry.fault("control", error)
                request.answer(ControlResult("refused", f"it failed in the hub: {type(error).__name__}"))

        self._open.append(request)
        if not self.post(lane, carry_out):
            request.answer(ControlResult("gone", "its hub has ended"))
        return request.future

    @staticmethod
    def _now(outcome: Any, reason: str, id: int = 0) -> Answer:
        request = PlainRequest(0.0, lambda: ControlResult("unknown"))
        request.answer(ControlResult(outcome, reason, (id,) if id else ()))
        return request.future

    # -- kill

    def kill(self, id: int, timeout: float) -> Answer:
        """Kill one greenlet; `alive` with its place when it caught the exception."""
        entry = self._registry.find(id)
        greenlet = None if entry is None else entry()
        if entry is None or greenlet is None:
            if 0 < id <= self._registry.highest:
                return self._now("gone", "it had ended before", id)
            return self._now("unknown", "there is no greenlet with this id", id)
        if entry.kind in ("main", "hub"):
            return self._now("refused", "this is the main greenlet of its thread: killing it would end the program", id)
        del greenlet
        request = PlainRequest(timeout, lambda: self._survivors([id], 1))

        def act() -> None:
            greenlet = entry()
            if greenlet is None or is_dead(greenlet):
                request.answer(ControlResult("gone", "it had ended before", (id,)))
                return
            self._throw(entry, greenlet)
            del greenlet
            self._watch(entry.lane, request, [entry])

        return self._post(entry.lane, request, act)

    def kill_group(self, id: int, timeout: float) -> Answer:
        """Kill all members of a group; `alive` with the ids of those that live on."""
        found = self._group(id)
        if isinstance(found, Future):
            return found
        total = 0
        entries: list[Entry] = []
        request = PlainRequest(timeout, lambda: self._survivors([entry.id for entry in entries], total))

        def act() -> None:
            nonlocal total
            group = found()
            if group is None:
                request.answer(ControlResult("gone", "the group is no longer there"))
                return
            for member in members_of(group):
                entry = found.lane.entries.get(id_of(member))
                if entry is not None and entry() is member and entry.kind not in ("main", "hub"):
                    entries.append(entry)
                    self._throw(entry, member)
            total = len(entries)
            self._watch(found.lane, request, entries)

        return self._post(found.lane, request, act)

    def _throw(self, entry: Entry, greenlet: Any) -> None:
        """Kill in the hub, without waiting."""
        if not entry.killed_at:
            entry.killed_at = monotonic()
            self._registry.note_other(KillNote(entry, entry.killed_at), "kill_requested")
        if is_greenlet(greenlet):
            greenlet.kill(block=False)
        else:
            entry.lane.hub().loop.run_callback(greenlet.throw, GreenletExit)  # type: ignore[union-attr]

    def _watch(self, lane: Lane, request: Request, entries: list[Entry]) -> None:
        """Look in the hub, now and then, whether they are dead, until the time is up."""
        loop = lane.hub().loop  # type: ignore[union-attr]
        total = len(entries)
        timer: Any = None

        def look() -> None:
            nonlocal timer
            if timer is not None:
                timer.close()
                timer = None
            left = [entry for entry in entries if not self._is_over(entry)]
            if not left:
                ids = tuple(entry.id for entry in entries)
                reason = "" if total == 1 else f"{total} killed"
                request.answer(ControlResult("done", reason, ids if total <= 1 else (), "killed" if total else None))
            elif monotonic() >= request.deadline or self.closed:
                request.answer(request.late())
            elif not request.future.done():
                timer = loop.timer(LOOK_EVERY, ref=False)
                timer.start(look)

        loop.run_callback(look)

    def _is_over(self, entry: Entry) -> bool:
        if entry.ended:
            return True
        greenlet = entry()
        if greenlet is None:
            return True
        over = Greenlet.ready(greenlet) if is_greenlet(greenlet) else is_dead(greenlet)
        if over:  # it never began, so that no switch has told of its end
            finish(self._registry, entry.lane, greenlet, monotonic())
        return bool(over)

    def _survivors(self, ids: list[int], total: int) -> ControlResult:
        samples = self._view.sample(ids)
        if not samples:
            return ControlResult("done", "", tuple(ids) if total == 1 else (), "killed")
        first = samples[0]
        if total == 1:
            reason = "it has caught the kill, or has not run since, and lives on"
        else:
            reason = f"{len(samples)} of {total} still live"
        return ControlResult("alive", reason, tuple(sample.id for sample in samples), first.state, first.place)

    # -- resize and spawn

    def resize(self, id: int, size: int, timeout: float) -> Answer:
        """Give a Pool another size; what is above it ends by itself, nobody is killed."""
        found = self._group(id)
        if isinstance(found, Future):
            return found
        request = PlainRequest(timeout, lambda: ControlResult("queued", "the resize has begun"))

        def act() -> None:
            pool = found()
            semaphore: Any = getattr(pool, "_semaphore", None)
            if not isinstance(pool, Pool) or type(pool.size) is not int or not hasattr(semaphore, "counter"):
                request.answer(ControlResult("refused", "only a Pool with a size can be resized"))
                return
            more = size - pool.size
            pool.size = size
            if more < 0:
                semaphore.counter += more  # below 0 until as many have ended
            for _ in range(more):
                semaphore.release()  # wakes who waits for a slot
            request.answer(ControlResult("done", f"the pool has {size} slots now"))

        return self._post(found.lane, request, act)

    def spawn(
        self,
        function: Callable[..., Any],
        arguments: dict[str, Any],
        group_id: int | None,
        delay: float | None,
        timeout: float,
    ) -> Answer:
        """Spawn a function; into a full Pool it waits for a slot like any other spawner."""
        found: GroupEntry | None = None
        if group_id is not None:
            group_or_answer = self._group(group_id)
            if isinstance(group_or_answer, Future):
                return group_or_answer
            found = group_or_answer
        lane = found.lane if found is not None else self._main_lane()
        if lane is None:
            return self._now("refused", "no hub runs in this process")
        request = PlainRequest(
            timeout, lambda: ControlResult("queued", "the pool is full; it starts when a slot is free")
        )

        def enter(group: Any) -> None:
            new = Greenlet(function, **arguments)
            if delay:
                group.add(new)
                new.start_later(delay)
            else:
                group.start(new)
            self._answer_spawned(lane, new, request)

        def act() -> None:
            group = None if found is None else found()
            if found is not None and group is None:
                request.answer(ControlResult("gone", "the group is no longer there"))
            elif group is None:
                new = Greenlet(function, **arguments)
                if delay:
                    new.start_later(delay)
                else:
                    new.start()
                self._answer_spawned(lane, new, request)
            elif group.full():
                spawn_raw(enter, group)
            else:
                enter(group)

        return self._post(lane, request, act)

    def _answer_spawned(self, lane: Lane, new: Any, request: Request) -> None:
        entry = lane.entries.get(id_of(new))
        ids = () if entry is None else (entry.id,)
        request.answer(ControlResult("done", "", ids, "pending"))

    def _main_lane(self) -> Lane | None:
        """Return the program's own hub: the main thread's, or else the busiest."""
        lanes = self._registry.shown_lanes()
        return max(lanes, key=lambda lane: (lane.name == "main", lane.hub_entry.switches), default=None)

    def _group(self, id: int) -> "GroupEntry | Answer":
        found = self._registry.groups.get(id)
        if found is None or found() is None:
            known = 0 < id <= max(self._registry.groups, default=0) or found is not None
            return self._now("gone" if known else "unknown", f"there is no group with the id {id}")
        return found


def id_of(thing: object) -> int:
    """Return what lanes are keyed by."""
    return id(thing)


__all__ = ["GeventControl"]
