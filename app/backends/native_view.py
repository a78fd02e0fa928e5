"""What the native runtime looks like now, read from the dashboard's thread.

Nothing here asks the program for anything: a greenlet says how it stands in the
`waiting_on` of its raw greenlet (see `greenscope.runtime.waiting`), and its frames
can be read while it is parked. Everything may change while it is looked at; what is
gone by then is left out.
"""

import threading
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenscope.app.backends.fast_records import sample as make_sample
from greenscope.app.backends.frames import current_frame, outside, safe_text, walk, with_source
from greenscope.app.backends.native_hooks import hidden
from greenscope.app.backends.whose import Whose, is_observer
from greenscope.app.breath import breathe, breathing
from greenscope.app.model import Figures, GreenletSample, GroupSample, HubSample, Site, Stack, State, WaitRecord
from greenscope.runtime.greenlet import Greenlet
from greenscope.runtime.pool import Pool
from greenscope.runtime.waiting import READY, Thrown

if TYPE_CHECKING:
    from greenscope.app.backends.native import NativeProbe

#: a turn of the hub that lasts longer is looked into (seconds)
BLOCKED_AFTER = 0.05

_whose = Whose(hidden)

_STATES: tuple[State, ...] = ("pending", "pending", "running", "succeeded", "failed")

_Account = tuple[float | None, float | None, float | None, int | None, float | None]
_NONE: _Account = (None, None, None, None, None)


class NativeView:
    """Read access to what a NativeProbe has registered."""

    def __init__(self, probe: "NativeProbe") -> None:
        self.probe = probe

    def sample(self, ids: Iterable[int]) -> list[GreenletSample]:
        """Look at these greenlets now; the dead and unknown are left out."""
        alive = self.probe.alive
        samples: list[GreenletSample] = []
        for id in ids:
            breathe()
            greenlet = alive.get(id)
            if greenlet is not None:
                try:
                    sample = self._sample(id, greenlet)
                except BaseException:  # an attribute of the program's own waitable raised: this one is left out
                    continue
                if sample is not None:
                    samples.append(sample)
        return samples

    def figures(self, ids: Iterable[int]) -> list[Figures]:
        """Tell states and times of these greenlets, without a look at their frames."""
        alive, accounting = self.probe.alive, self.probe.accounting
        found: list[Figures] = []
        now = monotonic()
        for id in ids:
            greenlet = alive.get(id)
            if greenlet is None:
                continue
            try:
                state, raw = state_of(greenlet)
                if state not in ("succeeded", "failed"):
                    account = _account(greenlet, raw, state, now) if accounting and raw is not None else _NONE
                    found.append((id, state, *account))
            except BaseException:  # as in a look
                continue
        return found

    def _sample(self, id: int, greenlet: Any) -> GreenletSample | None:
        state, raw = state_of(greenlet)
        if state in ("succeeded", "failed"):
            return None
        killing = self.probe.killing.get(id)
        if raw is None:
            return make_sample(id, state, kill_requested=killing)
        now = monotonic()
        frame = frame_of(raw, state)
        account = _account(greenlet, raw, state, now) if self.probe.accounting else _NONE
        return make_sample(id, state, self._place(id, frame), self._wait(raw, state), *account, killing)

    def _place(self, id: int, frame: Any) -> Site | None:
        return _whose.place(frame, lambda: self._birth(id))

    def _birth(self, id: int) -> tuple[str, Site | None]:
        record = self.probe.told.known.get(id)
        return ("", None) if record is None else (record.function, record.spawn_site)

    def _wait(self, raw: Any, state: State) -> WaitRecord | None:
        if state != "waiting":
            return None
        waited = getattr(raw, "waiting_on", None)
        since = getattr(raw, "parked_at", 0.0) or None
        if waited is None:
            return WaitRecord("switch", since=since)
        kind = getattr(waited, "waits_as", None) or type(waited).__name__.lower()
        target = self.probe.id_of(waited) if isinstance(waited, Greenlet) else None
        name = getattr(waited, "name", None) if not isinstance(waited, Greenlet) else None
        owner = getattr(waited, "owner", None)
        return WaitRecord(
            kind=safe_text(kind, 40),
            name=safe_text(name, 80) if isinstance(name, str) else "",
            since=since,
            owner=None if owner is None else self.probe.id_of(owner),
            target=target,
        )

    def count_states(self) -> dict[str, int]:
        """Count what lives by state."""
        counts = {"pending": 0, "ready": 0, "running": 0, "waiting": 0}
        for greenlet in breathing(list(self.probe.alive.values())):
            state, _ = state_of(greenlet)
            if state in counts:
                counts[state] += 1
        return counts

    def group(self, id: int, group: Any) -> GroupSample:
        """Look at one Group or Pool."""
        known = (member for member in breathing(list(group.greenlets)) if hasattr(member, "_greenscope_id"))
        members = tuple(member._greenscope_id for member in known)
        name = safe_text(group.name)
        if not isinstance(group, Pool) or group.size is None:
            return GroupSample(id, name, "group", len(members), members=members)
        return GroupSample(
            id,
            name,
            "pool",
            len(members),
            size=group.size,
            free=max(0, group.size - len(members)),
            waiters=group.waiting_count(),
            members=members,
        )

    def hub(self, hub: Any) -> HubSample:
        """Look at one hub, and into what it runs when its turn lasts too long."""
        now = monotonic()
        lag = 0.0 if hub.sleeping or not is_wanted(hub) else max(0.0, now - hub.turn_at)
        current = hub.current
        task = getattr(current, "task", None) or current
        inner = outside(current_frame(hub.thread_ident), is_observer) if lag > BLOCKED_AFTER else None
        return HubSample(
            thread=thread_of(hub),
            thread_ident=hub.thread_ident,
            lag=lag,
            turns=hub.turns,
            switches=hub.switches if self.probe.accounting else None,
            sampled=now,
            running=None if task is None else self.probe.id_of(task),
            timers=len(hub.timers),
            blocked_in=walk(inner, _whose.machinery),
        )

    def stack(self, id: int) -> Stack | None:
        """Return the frames of a live greenlet; none before it begins."""
        greenlet = self.probe.alive.get(id)
        if greenlet is None:
            return None
        state, raw = state_of(greenlet)
        return with_source(walk(frame_of(raw, state), _whose.machinery) if raw is not None else ())

    def waiters_of(self, id: int) -> Sequence[int]:
        """Return who joins this greenlet, or waits for a lock that it owns."""
        found = []
        for other, greenlet in breathing(list(self.probe.alive.items())):
            waited = getattr(getattr(greenlet, "_carrier", greenlet), "waiting_on", None)
            if waited is not None and id in (
                getattr(waited, "_greenscope_id", None),
                getattr(getattr(waited, "owner", None), "_greenscope_id", None),
            ):
                found.append(other)
        return found


def _account(greenlet: Any, raw: Any, state: State, now: float) -> _Account:
    """Return run, ready and wait time, switches and the longest run as they are at `now`."""
    run = getattr(raw, "run_time", None)
    if run is None:
        return _NONE
    wait, longest = raw.wait_time, raw.longest_run
    if state == "running":
        slice_ = max(0.0, now - (raw.hub.now or now))
        run += slice_
        longest = max(longest, slice_)
    elif state == "waiting" and raw.parked_at:
        wait += max(0.0, now - raw.parked_at)
    ready = max(0.0, now - raw.since - run - wait) if raw.since else None
    return run, ready, wait, raw.switches, longest


def state_of(greenlet: Any) -> tuple[State, Any]:
    """Return the state of a greenlet and the raw greenlet that carries it (None: none does)."""
    if isinstance(greenlet, Greenlet):
        state = greenlet._state
        raw: Any = greenlet._carrier
        if state != 2 or raw is None:
            return _STATES[state], None
    else:
        raw = greenlet
        if raw.dead:
            return "succeeded", None
    waiting_on = getattr(raw, "waiting_on", None)
    if waiting_on is READY or waiting_on.__class__ is Thrown:
        return "ready", raw
    if waiting_on is None and raw.gr_frame is None:
        return ("running" if raw or isinstance(greenlet, Greenlet) else "pending"), raw
    return "waiting", raw


def frame_of(raw: Any, state: State) -> Any:
    """Return the innermost frame of a raw greenlet, of its thread when it is the one that runs."""
    frame = raw.gr_frame
    if frame is None and state == "running":
        hub = getattr(raw, "hub", None)
        return None if hub is None else current_frame(hub.thread_ident)
    return frame


def thread_of(hub: Any) -> str:
    """Return the name of a hub's native thread, looked up once ("" when the thread was gone by then)."""
    name: str | None = getattr(hub, "watch_thread", None)
    if name is None:
        found = (thread.name for thread in threading.enumerate() if thread.ident == hub.thread_ident)
        name = hub.watch_thread = next(found, "")
    return name


def is_wanted(hub: Any) -> bool:
    """Tell whether anything waits for a hub to turn; its main greenlet alone may run as long as it likes."""
    if hub.current is not None and hub.current is not hub.parent:
        return True  # it is inside a greenlet
    heap = hub.timers.heap
    return bool(hub.ready or hub.holds or hub.poller.refs or (heap and heap[0][0] <= hub.clock()))
