"""The watchdog: a native thread that looks at the hubs twenty times a second and never asks them for anything.

It is what sees a block while it lasts: how long the hub has not turned, and the stack of who holds it up. Five things
are done in one look, each by a few attribute reads: the hub's lag, the stack of a block, whether the switch
tracer is still in its place, whether it had better rest, and which control requests have waited long enough.

The lag of a hub is how long its present turn has lasted. A turn ends when libev's loop counts on; that greenlet runs
after greenlet within one turn makes no difference, so many small hogs add up. Within a turn the beginning is known to
one look (50 ms).
"""

import sys
from collections.abc import Callable
from time import monotonic
from types import FrameType
from typing import Any

from gevent.hub import Hub

from greenscope.app.backends.frames import outside, walk
from greenscope.app.backends.gevent_discovery import allocate_lock, hidden, start_new_thread
from greenscope.app.backends.gevent_lane import Lane
from greenscope.app.backends.gevent_notes import Block
from greenscope.app.backends.gevent_registry import Registry
from greenscope.app.backends.gevent_threads import resolver, thread_pool
from greenscope.app.backends.gevent_tracing import BLOCKED_AFTER
from greenscope.app.backends.whose import is_observer
from greenscope.app.model import HubSample, Site

#: seconds between two looks
PERIOD = 0.05
#: a stack is taken of a run that has lasted so long (seconds)
STACK_AFTER = 0.06
#: the hub can be between two greenlets for so long (seconds) without being idle
BETWEEN = 0.002
#: looks between which the loop has turned without any switch, until the tracer's place is looked at
QUIET_LOOKS = 3

_HUB_RUN = Hub.run.__code__


class Watchdog:
    """Looks at the lanes of a registry; `on_quiet` is told of a lane whose tracer seems to be gone."""

    def __init__(
        self,
        registry: Registry,
        on_quiet: Callable[[Lane], None],
        throttle: Callable[[Lane, float], None] | None,
        on_look: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._on_quiet = on_quiet
        self._throttle = throttle
        self._on_look = on_look
        self._quiet: dict[int, tuple[int, int, int, float]] = {}
        self._stop: Any = None
        #: when it looked last
        self.looked = monotonic()

    def start(self) -> None:
        """Start the thread. It is native in a patched program too, and ends with `stop` or with the process."""
        if self._stop is None:
            self._stop = allocate_lock()
            self._stop.acquire()
            self.looked = monotonic()
            start_new_thread(self._run, (self._stop,))

    def stop(self) -> None:
        """Let the thread end at its next look."""
        stop, self._stop = self._stop, None
        if stop is not None:
            stop.release()

    def _run(self, stop: Any) -> None:
        while not stop.acquire(timeout=PERIOD):
            self.looked = monotonic()
            try:
                for lane in self._registry.shown_lanes():
                    self.look(lane)
                    self._check_tracer(lane, monotonic())
                    if self._throttle is not None:
                        self._throttle(lane, monotonic())
                self._on_look()
            except Exception as error:
                self._registry.fault("watchdog", error)

    def look(self, lane: Lane) -> tuple[float, float]:
        """Return (lag, lasted): how long the hub's turn and the present run have lasted; 0 and 0 when idle."""
        now = monotonic()
        current, began = lane.current, lane.last
        number = turn_of(lane)
        lasted = max(0.0, now - began) if lane.traced else 0.0
        if current.kind == "hub":
            if lasted > BETWEEN or not lane.traced:
                frame = sys._current_frames().get(lane.ident)
                if frame is None or frame.f_code is _HUB_RUN:
                    self._end_block(lane, now)
                    lane.turn_number, lane.turn_since = number, now
                    return 0.0, 0.0
                if not lane.traced and number != lane.turn_number:
                    lane.turn_number, lane.turn_since = number, now
                self._take_stack(lane, began, max(lasted, now - lane.turn_since), frame)
                return max(lasted, now - lane.turn_since), lasted
            lasted = 0.0
        elif lasted > STACK_AFTER:
            self._take_stack(lane, began, lasted, None)
        if number is None or number != lane.turn_number:
            lane.turn_number = number
            lane.turn_since = now if current.kind == "hub" else began
        return max(0.0, now - lane.turn_since, lasted), lasted

    def sample(self, lane: Lane) -> HubSample:
        """Return the lane's hub as it is now."""
        lag, _ = self.look(lane)
        hub = lane.hub()
        kind, lookups = resolver(hub)
        now = monotonic()
        current = lane.current
        stack: tuple[Site, ...] = ()
        if lag > STACK_AFTER:
            stack = walk(outside(sys._current_frames().get(lane.ident), is_observer), hidden)
        return HubSample(
            thread=lane.name,
            thread_ident=lane.ident,
            lag=lag,
            turns=lane.turn_number or 0,
            switches=lane.switches(now),
            sampled=now,
            running=current.id if current.id and current.known and lane.traced else None,
            blocked_in=stack,
            threadpool=thread_pool(hub),
            resolver=kind,
            lookups=lookups,
        )

    def _take_stack(self, lane: Lane, began: float, lasted: float, frame: FrameType | None) -> None:
        """Keep the stack of a run that lasts, once."""
        if lane.block_began == began or lasted < STACK_AFTER:
            return
        if frame is None:
            frame = sys._current_frames().get(lane.ident)
        stack = walk(outside(frame, is_observer), hidden)
        if lane.last == began:
            lane.block_stack = stack
            lane.block_began = began

    def _end_block(self, lane: Lane, now: float) -> None:
        """Tell of a block inside a callback of the hub itself, which no switch ends."""
        began, lane.block_began = lane.block_began, 0.0
        if began and began == lane.last and lane.current.kind == "hub" and now - lane.turn_since > BLOCKED_AFTER:
            self._registry.note_other(Block(None, now, now - lane.turn_since, lane.block_stack), "blocked")

    def _check_tracer(self, lane: Lane, now: float) -> None:
        """Ask for a closer look when the loop turns again and again and no switch was seen."""
        turns, switches = turn_of(lane) or 0, lane.hub_entry.switches
        seen_turns, seen_switches, score, asked = self._quiet.get(lane.ident, (turns, switches, 0, 0.0))
        if not lane.traced or switches != seen_switches:
            score = 0
        elif turns != seen_turns:
            score += 1
        if score >= QUIET_LOOKS and now - asked > 1.0:
            score, asked = 0, now
            self._on_quiet(lane)
        self._quiet[lane.ident] = (turns, switches, score, asked)


def turn_of(lane: Lane) -> int | None:
    """Return the number of the loop's present turn (None: the loop is gone, or does not count)."""
    try:
        number: int = lane.hub().loop.iteration  # type: ignore[union-attr]
        return number
    except Exception:
        return None
