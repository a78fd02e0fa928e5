"""The probe of gevent programs: one tracer per hub, one spawn callback, one native watchdog thread.

    attach()                                 once, in whatever thread
      |- find what exists: greenlets, hubs, Groups and Pools            gevent_discovery, gevent_births
      |- Greenlet.add_spawn_callback         births, in the hub         gevent_births
      |- greenlet.settrace, per hub          switches, ends             gevent_tracing, _throttle, _untraced
      |- a timer in the main loop            breath for native threads  gevent_breather
      '- a watchdog thread                   lag, blocks                gevent_watchdog
    drain(), sample() ...   in the dashboard's thread:                  gevent_events, _view, _waits, _endings
    kill(), spawn() ...     posted to the hub:                          gevent_control

The program is not changed: no class is patched, no link added, no attribute set (but the hub's `handle_error`, where
no switch tells of a failure), no greenlet kept alive, no lock taken that it could hold. What breaks in the observer
removes the hook and is told in `faults`.

Threads: each thread with a hub is a lane. The thread that drains is the dashboard's: its hub, which gevent's
selector makes in a patched program, is hidden, and not traced.

In a forked child the probe is closed: whoever watches there makes a new one.
"""

import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from time import monotonic
from typing import Any

import gevent
import greenlet
from gevent import Greenlet
from gevent._hub_local import get_hub_if_exists
from gevent.hub import MAIN_THREAD_IDENT

from greenscope.app.backends import gevent_discovery as discovery
from greenscope.app.backends import gevent_tracing as tracing
from greenscope.app.backends.gevent_arrivals import Arrivals
from greenscope.app.backends.gevent_births import Births
from greenscope.app.backends.gevent_breather import Breather
from greenscope.app.backends.gevent_control import GeventControl
from greenscope.app.backends.gevent_endings import Endings
from greenscope.app.backends.gevent_events import EventMaker
from greenscope.app.backends.gevent_lane import Lane, snapshot
from greenscope.app.backends.gevent_registry import LOG_LIMIT, Registry
from greenscope.app.backends.gevent_throttle import Throttle
from greenscope.app.backends.gevent_untraced import Untraced
from greenscope.app.backends.gevent_view import GeventView
from greenscope.app.backends.gevent_watchdog import Watchdog
from greenscope.app.model import (
    ControlResult,
    Drained,
    Figures,
    GreenletRecord,
    GreenletSample,
    GroupSample,
    HubSample,
    Stack,
)
from greenscope.app.probe import Capability

CAPABILITIES: frozenset[Capability] = frozenset(
    {"events", "groups", "stacks", "waiting_on", "accounting", "spawn_site", "kill", "resize", "spawn"}
)
ACCOUNTING = ("off", "light", "full")


class GeventProbe:
    """Watch all hubs of this process that are gevent's.

    `accounting` is off (no tracer: no times, ends seen when draining), light (run and wait time, switches, longest run;
    of a program that is busy switching, estimates) or full (every switch of every program, and ready time, too).
    `log_limit` bounds what is kept between two drains. Raises ValueError for another accounting.
    """

    backend = "gevent"

    def __init__(self, *, accounting: str = "light", log_limit: int = LOG_LIMIT) -> None:
        if accounting not in ACCOUNTING:
            raise ValueError(f"accounting: {accounting!r} is none of {', '.join(ACCOUNTING)}")
        self.accounting = accounting
        self._traces = accounting != "off"
        self.capabilities = CAPABILITIES if self._traces else CAPABILITIES - {"accounting"}
        self._registry = registry = Registry(log_limit, sees_all=accounting == "full")
        self._view = GeventView(registry, self._traces, accounting == "full")
        self._control = GeventControl(registry, self._view)
        self._births = births = Births(registry, self._install_here)
        self._untraced: Untraced | None = None
        self._throttle: Throttle | None = None
        if accounting != "full":
            self._untraced = Untraced(registry, Arrivals(births.register, registry.fault), self._control.post)
        if accounting == "light" and self._untraced is not None:
            self._throttle = Throttle(registry, self._untraced, self._control.post, self._resume)
        self._events = EventMaker(registry, self._view)
        self._breather = Breather(lambda: self._watchdog.looked, self._control.post)
        self._endings = Endings(registry, self._view, self._untraced, self._breather.keep)
        throttle = None if self._throttle is None else self._throttle.look
        self._watchdog = Watchdog(registry, self._ask_for_tracer, throttle, self._control.expire)
        self._attached = False
        self._attached_at = monotonic()
        _probes.add(self)

    @property
    def faults(self) -> list[str]:
        """What broke in the observer itself, for the health page; the hook concerned was removed."""
        return list(self._registry.faults)

    def missing(self, capability: Capability) -> str:
        """Tell in one sentence why a capability is absent ("" when it is there)."""
        if capability in self.capabilities:
            return ""
        if capability == "accounting":
            return (
                "Accounting is off (accounting='off'): run and wait times need the switch tracer, and so does telling "
                "a greenlet that was killed and freed at once from one that succeeded."
            )
        if capability == "owners":
            return "gevent's locks and pools do not know who holds them; only an RLock does, and is shown with it."
        return "gevent does not offer this."

    # -- attaching

    def attach(self) -> None:
        """Begin to watch, and find what is already alive. Idempotent; holds the GIL for two passes over the heap."""
        if self._attached:
            return
        self._attached = True
        self._attached_at = monotonic()
        ident = discovery.thread_ident()
        if ident == MAIN_THREAD_IDENT:
            gevent.get_hub()  # the program's hub, before any thread of ours can need one
        if get_hub_if_exists() is not None:
            self._view.waits.links.calibrate()
        Greenlet.add_spawn_callback(self._births.on_spawn)
        self._births.find_all()
        for lane in snapshot(self._registry.lanes):
            if lane.ident == ident:
                self._install_here(lane)
            elif not lane.hidden:
                self._control.post(lane, _in_lane(self._install_here, lane))
        self._watchdog.start()

    def close(self) -> None:
        """Remove every hook. Idempotent; a hub that is busy lets go of its tracer when it turns."""
        if not self._attached:
            return
        self._attached = False
        self._close_parts()
        Greenlet.remove_spawn_callback(self._births.on_spawn)
        self._watchdog.stop()
        ident = discovery.thread_ident()
        for lane in snapshot(self._registry.lanes):
            if lane.ident == ident:
                self._leave(lane)
            else:
                lane.traced = False  # from now on a mere passage
                self._control.post(lane, _in_lane(self._leave, lane))
        self._registry.log.clear()

    def _close_parts(self) -> None:
        """Let nothing that was posted to a hub do anything there any more."""
        self._control.closed = self._breather.closed = True
        if self._throttle is not None:
            self._throttle.closed = True

    def _leave(self, lane: Lane) -> None:
        """Take out of the lane's thread, which runs this, what was put there."""
        lane.resting = False
        tracing.uninstall(lane)
        self._breather.remove(lane)
        if self._untraced is not None:
            self._untraced.remove(lane)

    def _install_here(self, lane: Lane) -> None:
        """Begin to trace the thread that runs this, which is the lane's; untraced, to be told of its failures."""
        if not self._attached or lane.hidden:
            return
        self._breather.install(lane)
        if lane.traced or lane.resting:
            return
        if not self._traces and self._untraced is not None:
            self._untraced.install(lane)
            return
        self._resume(lane)
        tracing.install(
            lane, tracing.make_tracer(self._registry, lane, self._births.adopt, full=self.accounting == "full")
        )

    def _resume(self, lane: Lane) -> None:
        """Begin the account of whoever runs now."""
        now = monotonic()
        current = greenlet.getcurrent()
        lane.current = lane.entries.get(id(current)) or self._births.adopt(lane, current, now)
        lane.last = now

    def _ask_for_tracer(self, lane: Lane) -> None:
        """Look in the hub whether the tracer is still called, and put it back if not."""

        def look() -> None:
            trace = lane.trace
            if not self._attached or not lane.traced or trace is None or greenlet.gettrace() is trace:
                return
            before = lane.last
            greenlet.greenlet(_nothing).switch()
            if lane.last != before:
                return  # somebody chains to us
            self._resume(lane)
            tracing.install(lane, trace)
            self._endings.sweep(everything=True)

        self._control.post(lane, look)

    # -- what happened

    def drain(self, prompt: bool = False) -> Drained:
        """Take what happened since the last call. Call from the dashboard's thread: its hub is hidden from then on."""
        now = monotonic()
        self._hide_own_thread()
        self._control.expire()
        self._endings.look(now)
        return self._events.drain(now)

    def _hide_own_thread(self) -> None:
        ident = discovery.thread_ident()
        if ident in (self._births.dashboard, MAIN_THREAD_IDENT):
            return
        self._births.dashboard = ident
        lane = self._registry.lanes.get(ident)
        if lane is not None:
            lane.hidden = True
            tracing.uninstall(lane)
            self._breather.remove(lane)

    # -- what is so now

    def live_ids(self) -> Sequence[int]:
        """Return the ids of all that live, oldest first."""
        return sorted(entry.id for entry in self._registry.living())

    def records(self, ids: Iterable[int]) -> list[GreenletRecord]:
        """Return what never changes about these, for whoever missed their `spawned`."""
        entries = (self._registry.find(id) for id in ids)
        return [self._events.record(entry) for entry in entries if entry is not None]

    def sample(self, ids: Iterable[int]) -> list[GreenletSample]:
        """Look at these greenlets now."""
        return self._view.sample(ids)

    def figures(self, ids: Iterable[int]) -> list[Figures]:
        """Tell states and times of these greenlets alone."""
        return self._view.figures(ids)

    def count_states(self) -> dict[str, int]:
        """Count what lives by state."""
        return self._view.count_states()

    def groups(self) -> list[GroupSample]:
        """Look at all living Groups and Pools now."""
        entries = [entry for entry in snapshot(self._registry.groups) if not entry.lane.hidden]
        return [sample for entry in entries if (sample := self._view.group(entry)) is not None]

    def hubs(self) -> list[HubSample]:
        """Look at every hub of the program now."""
        return [self._watchdog.sample(lane) for lane in self._registry.shown_lanes() if lane.hub() is not None]

    def stack(self, id: int) -> Stack | None:
        """Return the frames of a live greenlet as they are now."""
        return self._view.stack(id)

    def waiters_of(self, id: int) -> Sequence[int]:
        """Return the ids of the greenlets that join this one or wait for an RLock of it."""
        entry = self._registry.find(id)
        one = None if entry is None else entry()
        return [] if entry is None or one is None else self._view.waits.waiters_of(entry, one)

    # -- what is asked

    def kill(self, id: int, timeout: float) -> "Future[ControlResult]":
        """Post a kill to the greenlet's hub."""
        return self._control.kill(id, timeout)

    def kill_group(self, id: int, timeout: float) -> "Future[ControlResult]":
        """Post a kill of all members of a Group or Pool."""
        return self._control.kill_group(id, timeout)

    def resize(self, id: int, size: int, timeout: float) -> "Future[ControlResult]":
        """Post a new size to a Pool."""
        return self._control.resize(id, size, timeout)

    def spawn(
        self,
        function: Callable[..., Any],
        arguments: dict[str, Any],
        group: int | None,
        delay: float | None,
        timeout: float,
    ) -> "Future[ControlResult]":
        """Post a spawn to the group's hub, or to the main one."""
        return self._control.spawn(function, arguments, group, delay, timeout)

    def cost(self) -> dict[str, float]:
        """Return what watching costs: `hook_ns` per switch as measured here, `share` of the time since attach.

        `traced` is the share of the time in which switches were traced, of the lane whose tracer has rested most.
        """
        if not self._traces:
            return {"hook_ns": 0.0, "share": 0.0}
        switches = sum(2 * lane.hub_entry.switches for lane in self._registry.shown_lanes())
        hook_ns = tracing.measure(full=self.accounting == "full")
        now = monotonic()
        elapsed = max(1e-9, now - self._attached_at)
        rested = max((lane.rest_until(now) for lane in self._registry.shown_lanes()), default=0.0)
        share = min(1.0, hook_ns * 1e-9 * switches / elapsed)
        return {"hook_ns": hook_ns, "share": share, "traced": max(0.0, 1.0 - rested / elapsed)}

    # -- fork

    def forget_parent(self) -> None:
        """Let go of everything in a forked child, where no thread of ours lives and nobody reads."""
        if not self._attached:
            return
        self._attached = False
        self._close_parts()
        Greenlet.remove_spawn_callback(self._births.on_spawn)
        ident = discovery.thread_ident()
        for lane in snapshot(self._registry.lanes):
            if lane.ident == ident:
                tracing.uninstall(lane)
                self._breather.remove(lane)
            lane.traced = lane.resting = False
            if self._untraced is not None:
                self._untraced.remove(lane)
        self._registry.log.clear()


def _in_lane(act: Callable[[Lane], None], lane: Lane) -> Callable[[], None]:
    return lambda: act(lane)


def _nothing() -> None:
    """Be switched to, to see whether the tracer is called."""


_probes: "weakref.WeakSet[GeventProbe]" = weakref.WeakSet()


def _after_fork() -> None:
    for probe in list(_probes):
        try:
            probe.forget_parent()
        except Exception as error:
            probe._registry.fault("fork", error)


os.register_at_fork(after_in_child=_after_fork)

__all__ = ["GeventProbe"]
