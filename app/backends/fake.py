"""The scripted probe: greenlets that exist only on paper, seen through the same seam as real ones.

Tests and screenshots need a runtime that does exactly what the script says: a greenlet that fails now, a
pool that is full, a hub that does not answer, a hundred thousand sleepers. `FakeProbe` implements the whole
probe protocol over such a script. The script's side are plain methods (`add`, `start`, `park`, `succeed`,
`fail`, `open_group`, ...); each changes the paper runtime and emits the event that a real one would. Time
is the injected clock, nothing runs by itself, and the same script gives the same ids, events and samples
every time.

Control calls act on the paper runtime too and resolve their futures at once, unless `script_answer` has said
otherwise: `queued`, `alive`, `refused` or `held` (unresolved until `release`).
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Literal, get_args

from greenscope.app.backends.fake_control import Action, FakeControl, Outcome
from greenscope.app.backends.paper import Paper, PaperGroup
from greenscope.app.model import (
    ControlResult,
    Drained,
    Event,
    EventKind,
    ExceptionRecord,
    Figures,
    GreenletRecord,
    GreenletSample,
    GroupSample,
    HubSample,
    Site,
    Stack,
    State,
    WaitRecord,
)
from greenscope.app.probe import Capability

ALL_CAPABILITIES: frozenset[Capability] = frozenset(get_args(Capability))


class FakeProbe:
    """A probe over a paper runtime; `clock` is its monotonic time in seconds.

    `capabilities` may be cut to show what pages do without one; `buffer` bounds the undrained events,
    what comes beyond is dropped and counted by kind.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        capabilities: frozenset[Capability] = ALL_CAPABILITIES,
        backend: str = "fake",
        buffer: int = 1_000_000,
    ) -> None:
        self.backend = backend
        self.capabilities = capabilities
        self.clock = clock
        self.attached = 0
        self.closed = 0
        self.sampled = 0
        self.lag = 0.0
        self.blocked_in: tuple[Site, ...] = ()
        self._buffer = buffer
        self.next_id = 1
        self.next_group = 1
        self.alive: dict[int, Paper] = {}
        self.bands: dict[int, PaperGroup] = {}
        self._events: deque[Event] = deque()
        self._dropped: dict[str, int] = {}
        self._counts: dict[str, int] = {"pending": 0, "ready": 0, "running": 0, "waiting": 0}
        self._switches = 0
        self._running: int | None = None
        self._control = FakeControl(self)

    # -- the script's side: what happens in the program ----------------------------------------------------

    def add(
        self,
        function: str = "work",
        *,
        name: str = "",
        file: str = "/srv/crawler/app.py",
        line: int = 1,
        parent: int | None = None,
        group: int | None = None,
        spawn_site: Site | None = None,
        thread: str = "hub",
        kind: Literal["greenlet", "raw"] = "greenlet",
        created: float | None = None,
        from_dashboard: bool = False,
    ) -> int:
        """Spawn a greenlet on paper, `pending`, and return its id. `created` back-dates it (seconds)."""
        now = self.clock() if created is None else created
        id = self.next_id
        self.next_id += 1
        record = GreenletRecord(
            id,
            name or f"{function}-{id}",
            function,
            file,
            line,
            now,
            parent,
            spawn_site,
            thread,
            kind,
            from_dashboard,
        )
        self.alive[id] = Paper(record, now)
        self._counts["pending"] += 1
        self.emit(Event("spawned", now, greenlet=id, record=record))
        if group is not None:
            self.enter(group, id)
        return id

    def start(self, id: int, place: Site | None = None, *, at: float | None = None) -> None:
        """Let a pending greenlet begin: it is running now."""
        now = self.clock() if at is None else at
        self._move(id, "running", now, place, None)
        self.emit(Event("started", now, greenlet=id))

    def run(self, id: int, place: Site | None = None) -> None:
        """Switch into a greenlet; the one that was running becomes ready."""
        self._move(id, "running", self.clock(), place, None)

    def make_ready(self, id: int, place: Site | None = None) -> None:
        """Put a greenlet on the ready queue."""
        self._move(id, "ready", self.clock(), place, None)

    def park(
        self,
        id: int,
        kind: str = "sleep",
        name: str = "",
        *,
        owner: int | None = None,
        target: int | None = None,
        place: Site | None = None,
    ) -> None:
        """Let a greenlet wait for something from now on."""
        now = self.clock()
        self._move(id, "waiting", now, place, WaitRecord(kind, name, now, owner, target))

    def succeed(self, id: int) -> None:
        """End a greenlet with a value."""
        self._end(id, "succeeded", None)

    def fail(
        self,
        id: int,
        type: str = "ValueError",
        message: str = "bad value",
        traceback: tuple[Site, ...] = (),
    ) -> None:
        """End a greenlet with an exception."""
        self._end(id, "failed", ExceptionRecord(type, message, traceback))

    def die(self, id: int) -> None:
        """End a greenlet as a kill does."""
        self._end(id, "killed", ExceptionRecord("GreenletExit", ""))

    def set_stack(self, id: int, stack: Stack) -> None:
        """Give a greenlet these frames instead of the ones made up for it."""
        self.alive[id].stack = stack

    def swallow_kills(self, id: int) -> None:
        """Make a greenlet survive kills from now on, as one does that catches GreenletExit."""
        self.alive[id].stubborn = True

    def open_group(self, name: str = "", size: int | None = None) -> int:
        """Make a Group, or a Pool when `size` is given, and return its id."""
        id = self.next_group
        self.next_group += 1
        group = PaperGroup(id, name or f"{'group' if size is None else 'pool'}-{id}", size)
        self.bands[id] = group
        self.emit(Event("group_opened", self.clock(), group=id, group_record=group.sample()))
        return id

    def close_group(self, id: int) -> None:
        """Let a Group or Pool be forgotten; its members live on."""
        group = self.bands.pop(id)
        for member in group.members:
            self.alive[member].groups.pop(id, None)
        self.emit(Event("group_closed", self.clock(), group=id))

    def enter(self, group: int, id: int) -> None:
        """Add a greenlet to a Group or Pool."""
        self.bands[group].members[id] = None
        self.alive[id].groups[group] = None
        self.emit(Event("grouped", self.clock(), greenlet=id, group=group))

    def leave(self, group: int, id: int) -> None:
        """Take a greenlet out of a Group or Pool."""
        self.bands[group].members.pop(id)
        self.alive[id].groups.pop(group)
        self.emit(Event("ungrouped", self.clock(), greenlet=id, group=group))

    def is_alive(self, id: int) -> bool:
        """Tell whether a greenlet lives."""
        return id in self.alive

    def has_slot(self, group: int) -> bool:
        """Tell whether a Pool has a free slot (a plain Group always has)."""
        found = self.bands.get(group)
        return found is not None and (found.size is None or len(found.members) < found.size)

    def set_waiters(self, group: int, count: int) -> None:
        """Say how many greenlets wait for a slot of a Pool."""
        self.bands[group].waiters = count

    def block(self, lag: float, stack: tuple[Site, ...] = (), greenlet: int | None = None) -> None:
        """Say that the hub has been in one turn for `lag` seconds (0: it is free again)."""
        self.lag, self.blocked_in = lag, stack
        if lag:
            self.emit(Event("blocked", self.clock(), greenlet=greenlet, detail={"duration": lag, "stack": stack}))

    def lose(self, kind: EventKind, count: int = 1) -> None:
        """Count events as dropped, as a full buffer does."""
        self._dropped[kind] = self._dropped.get(kind, 0) + count

    def emit(self, event: Event) -> None:
        """Buffer an event as it is (a full buffer drops and counts it)."""
        if len(self._events) >= self._buffer:
            self.lose(event.kind)
        else:
            self._events.append(event)

    def script_answer(self, action: Action, outcome: Outcome, reason: str = "", *, times: int = 1) -> None:
        """Answer the next `times` control calls of this kind with `outcome`, doing nothing else."""
        self._control.script(action, outcome, reason, times)

    def release(self) -> int:
        """Carry out the control calls that were `held` and resolve their futures; return how many."""
        return self._control.release()

    # -- the probe's side: what the dashboard sees ---------------------------------------------------------

    def missing(self, capability: Capability) -> str:
        """Tell in one sentence why a capability is absent ("" when it is there)."""
        if capability in self.capabilities:
            return ""
        return f"The scripted runtime was made without {capability.replace('_', ' ')}."

    def attach(self) -> None:
        """Count the call; the paper runtime is always watched."""
        self.attached += 1

    def close(self) -> None:
        """Count the call."""
        self.closed += 1

    def drain(self, prompt: bool = False) -> Drained:
        """Take the buffered events and the drop counts."""
        events, self._events = self._events, deque()
        dropped, self._dropped = self._dropped, {}
        return Drained(tuple(events), dropped)

    def live_ids(self) -> Sequence[int]:
        """Return the ids of all live greenlets, oldest first."""
        return list(self.alive)

    def records(self, ids: Iterable[int]) -> list[GreenletRecord]:
        """Return the birth records of these greenlets; the dead and unknown are left out."""
        return [self.alive[id].record for id in ids if id in self.alive]

    def sample(self, ids: Iterable[int]) -> list[GreenletSample]:
        """Look at these greenlets now."""
        now = self.clock()
        accounting = "accounting" in self.capabilities
        alive = self.alive
        samples = [alive[id].sample(now, accounting) for id in ids if id in alive]
        self.sampled += len(samples)
        return samples

    def figures(self, ids: Iterable[int]) -> list[Figures]:
        """Tell states and times of these greenlets now."""
        now = self.clock()
        accounting = "accounting" in self.capabilities
        alive = self.alive
        found = [alive[id].figures(now, accounting) for id in ids if id in alive]
        self.sampled += len(found)
        return found

    def count_states(self) -> dict[str, int]:
        """Count live greenlets by state."""
        return dict(self._counts)

    def groups(self) -> list[GroupSample]:
        """Look at all Groups and Pools now."""
        return [group.sample() for group in self.bands.values()]

    def hubs(self) -> list[HubSample]:
        """Look at the one paper hub."""
        return [
            HubSample(
                "hub",
                1,
                self.lag,
                self._switches,
                self._switches,
                self.clock(),
                self._running,
                timers=self._counts["waiting"],
                blocked_in=self.blocked_in,
            )
        ]

    def stack(self, id: int) -> Stack | None:
        """Return the frames of a live greenlet: those given, or its function and its place."""
        paper = self.alive.get(id)
        if paper is None or "stacks" not in self.capabilities:
            return None
        if paper.stack is not None:
            return paper.stack
        record = paper.record
        frames: list[Site] = []
        if paper.state != "pending":
            frames.append(Site(record.file, record.line, record.function))
            if paper.place is not None and paper.place != frames[0]:
                frames.append(paper.place)
        return Stack(tuple(frames), tuple(f"{frame.function}(...)" for frame in frames))

    def waiters_of(self, id: int) -> Sequence[int]:
        """Return the ids of the greenlets that join this one or wait for what it holds."""
        return [
            other
            for other, paper in self.alive.items()
            if paper.waiting_on is not None and id in (paper.waiting_on.owner, paper.waiting_on.target)
        ]

    def kill(self, id: int, timeout: float) -> "Future[ControlResult]":
        """Kill a greenlet on paper; see `script_answer` for other outcomes."""
        return self._control.answer("kill", lambda: self._control.kill(id), id)

    def kill_group(self, id: int, timeout: float) -> "Future[ControlResult]":
        """Kill all members of a group on paper."""
        return self._control.answer("kill_group", lambda: self._control.kill_group(id))

    def resize(self, id: int, size: int, timeout: float) -> "Future[ControlResult]":
        """Resize a Pool on paper."""
        return self._control.answer("resize", lambda: self._control.resize(id, size))

    def spawn(
        self,
        function: Callable[..., Any],
        arguments: dict[str, Any],
        group: int | None,
        delay: float | None,
        timeout: float,
    ) -> "Future[ControlResult]":
        """Spawn on paper: the function is never called, its name and place are."""
        return self._control.answer("spawn", lambda: self._control.spawn(function, group, delay))

    def cost(self) -> dict[str, float]:
        """Return a plausible cost."""
        return {"hook_ns": 410.0, "share": 0.004}

    # -- how a script moves ---------------------------------------------------------------------------------

    def _move(self, id: int, state: State, now: float, place: Site | None, waiting_on: WaitRecord | None) -> None:
        if state == "running":
            if self._running is not None and self._running != id:
                self._move(self._running, "ready", now, None, None)
            self._running = id
            self._switches += 1
        elif self._running == id:
            self._running = None
        paper = self.alive[id]
        self._counts[paper.state] -= 1
        self._counts[state] += 1
        paper.move(state, now)
        paper.waiting_on = waiting_on
        if place is not None:
            paper.place = place

    def _end(self, id: int, kind: Literal["succeeded", "failed", "killed"], exception: ExceptionRecord | None) -> None:
        now = self.clock()
        paper = self.alive[id]
        if self._running == id:
            self._running = None
        self._counts[paper.state] -= 1
        paper.move(kind, now)
        paper.waiting_on = None
        for group in list(paper.groups):
            self.leave(group, id)
        del self.alive[id]
        sample = paper.sample(now, "accounting" in self.capabilities)
        self.emit(Event(kind, now, greenlet=id, exception=exception, sample=sample))
