"""The probe of the native runtime: what happened, told by its hooks and its links.

    hub's thread                                   dashboard's thread
    start() -> id, birth ------------------------> [registry: alive] ------+
    every.link_value -> succeeded ------------+                            +--> drain(): records
    every.link_exception -> failed, killed ---+--> [bounded list of notes] +
    Group.add/discard -> grouped, ungrouped --+

A birth is kept at the greenlet until it is told (see `native_hooks`), all else is a note. Names,
places and texts are made in drain(), once per tick, in the dashboard's thread; for whoever has ended
by then, none. `started` costs nothing at all: the runtime notes when a greenlet began, and
drain() tells it. A full buffer drops events and counts them by kind; what is alive is always known
from the registry, which holds on to a greenlet until it ends, as its own frame does.

What is so now is read in `native_view`, what is asked is carried out in
`native_control`.

A greenlet that was killed ended, in gevent's terms, successfully with a GreenletExit
as its value: it comes by link_value's other callback, and is told as `killed`.
"""

import itertools
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from time import monotonic
from typing import Any

from greenscope.app.backends.native_control import NativeControl
from greenscope.app.backends.native_cost import measure_hooks
from greenscope.app.backends.native_drain import CUT_SHORT, NativeDrain
from greenscope.app.backends.native_hooks import make_hooks
from greenscope.app.backends.native_view import NativeView
from greenscope.app.backends.short_lives import Allowance
from greenscope.app.breath import breathe, breathing
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
from greenscope.runtime.every import every
from greenscope.runtime.exceptions import GreenletExit
from greenscope.runtime.greenlet import Greenlet
from greenscope.runtime.hub import Hub, hubs
from greenscope.runtime.instruments import HOOKS, hooks, write
from greenscope.runtime.pool import groups

#: notes kept between two drains, and births that are told
BUFFER_LIMIT = 200_000
#: numbers of groups, of all probes of the process
_group_ids = itertools.count(1)
#: seconds for which whoever spawns a greenlet waits to see it
AWAITED = 2.0
#: seconds between two measurements of what watching costs
MEASURE_EVERY = 10.0

CAPABILITIES: frozenset[Capability] = frozenset(
    {"events", "groups", "stacks", "waiting_on", "owners", "accounting", "spawn_site", "kill", "resize", "spawn"}
)


class NativeProbe:
    """Watch all hubs of this process that belong to `greenscope.runtime`."""

    backend = "native"
    capabilities = CAPABILITIES

    def __init__(self, *, accounting: bool = True, buffer_limit: int = BUFFER_LIMIT) -> None:
        self.accounting = accounting
        self.buffer_limit = buffer_limit
        self.buffer: list[Any] = []
        self.dropped: dict[str, int] = {}
        #: what broke in the observer itself, for the health page
        self.faults: list[str] = []
        #: everything that has not ended, by id
        self.alive: dict[int, Any] = {}
        self.killing: dict[int, float] = {}
        self._groups: dict[int, weakref.ref[Any]] = {}
        #: groups that are new, and since when: told before anything that may tell of their members
        self.opened: list[tuple[int, float]] = []
        #: how many short lives may be told, and how many were only counted
        self.allowance = Allowance()
        self.hooks = make_hooks(
            self.alive,
            self.buffer,
            buffer_limit,
            self.killing,
            self._groups,
            self._adopt_group,
            self._drop,
            self.allowance,
        )
        self.spawned = self.hooks.on_spawned
        self.spawned_raw = self.hooks.on_adopted
        self.kill_requested = self.hooks.on_kill_requested
        self.grouped = self.hooks.on_grouped
        self.ungrouped = self.hooks.on_ungrouped
        #: the first number of a group that can be ours: what a greenlet was handed before is another probe's
        self.first_group = sys.maxsize
        self._attached = False
        #: up to when somebody waits to see what he has spawned
        self._awaited_until = 0.0
        #: how many interruptions of hooks are known
        self._interrupted = hooks.interrupted
        self.raws: dict[int, Any] = {}
        self._hook_cost = 0.0
        self._measured_at = 0.0
        self._attached_at = monotonic()
        self.told = NativeDrain(self)
        self.view = NativeView(self)
        self.control = NativeControl(self)

    def missing(self, capability: Capability) -> str:
        """Tell in one sentence why a capability is absent; the native runtime has all but what was turned off."""
        if capability == "accounting" and not self.accounting:
            return "Run-time accounting is turned off (accounting=False)."
        return ""

    # -- attaching

    def attach(self) -> None:
        """Begin to watch, and find what is already alive. Idempotent; does not block."""
        if self._attached:
            return
        self._attached = True
        self._attached_at = monotonic()
        if self.accounting:
            for hub in list(hubs):
                hub.accounted = True
        for group in list(groups):
            self._adopt_group(group)
        every.link_value(self.hooks.on_lived, self.hooks.on_killed)
        every.link_exception(self.hooks.on_failed)
        hooks.add(self)
        for hub in list(hubs):
            if not hub.dead:
                self._discover(hub)
        for group in list(groups):
            self._adopt_group(group)  # opened by another thread before the hook was there
            for member in list(group.greenlets):
                self.grouped(group, member)

    def close(self) -> None:
        """Remove every hook. Idempotent."""
        if not self._attached:
            return
        self._attached = False
        hooks.remove(self)
        for hub in list(hubs):
            hub.accounted = False
        every.unlink(self.hooks.on_lived)
        every.unlink(self.hooks.on_failed)
        for id, ref in list(self._groups.items()):
            group = ref()
            if group is not None and group._greenscope_groups == (id,):
                group._greenscope_groups = None
        self._groups.clear()
        for greenlet in list(self.alive.values()):
            write(greenlet, "_greenscope_origin", None)
        for kept in (self.alive, self.killing, self.raws):
            kept.clear()
        self.buffer.clear()
        self.opened.clear()
        self.hooks.forget()
        self.told.forget()

    def _discover(self, hub: Hub) -> None:
        """Register what lives in a hub: its main greenlet, what runs or is parked, what is about to begin."""
        if hub.parent is not None:
            self._adopt(hub.parent)
        for carrier in list(hub.carriers):
            if carrier.task is not None:
                self._adopt(carrier.task)
        for entry in list(hub.ready):
            if isinstance(entry, Greenlet):
                self._adopt(entry)
        for _, _, timer in list(hub.timers.heap):
            for arg in timer.args:
                if isinstance(arg, Greenlet):
                    self._adopt(arg)

    def _adopt(self, greenlet: Any) -> None:
        if self.id_of(greenlet) is not None or (isinstance(greenlet, Greenlet) and greenlet.dead):
            return
        self.hooks.on_adopted(greenlet)
        if isinstance(greenlet, Greenlet) and greenlet.dead:  # meanwhile, in its thread: its end may be told already
            killed = isinstance(greenlet.value, GreenletExit)
            ended = self.hooks.on_killed if killed else self.hooks.on_lived
            (ended if greenlet._exc_info is None else self.hooks.on_failed)([greenlet])

    # -- hooks: in the hub's thread; those that run for every greenlet are in native_hooks

    def group_opened(self, group: Any) -> None:
        """Register a Group or Pool."""
        self._adopt_group(group)

    def hub_opened(self, hub: Any) -> None:
        """Keep account of a thread's new hub, too."""
        hub.accounted = self.accounting
        self._adopt(hub.parent)

    def _adopt_group(self, group: Any) -> int:
        id: int | None = getattr(group, "_greenscope_id", None)
        if id is None or self._groups.get(id, _no_ref)() is not group:
            id = group._greenscope_id = next(_group_ids)
            self.first_group = min(self.first_group, id)
            self._groups[id] = weakref.ref(group)
            if len(self.opened) < self.buffer_limit:
                self.opened.append((id, monotonic()))
            else:
                self._drop("group_opened", 1)
        group._greenscope_groups = (id,)
        return id

    def id_of(self, greenlet: Any) -> int | None:
        """Return the id of a greenlet that is registered here, None for any other."""
        id: int | None = getattr(greenlet, "_greenscope_id", None)
        return id if id is not None and self.alive.get(id) is greenlet else None

    def _drop(self, kind: str, count: int) -> None:
        self.dropped[kind] = self.dropped.get(kind, 0) + count

    # -- draining: in the dashboard's thread

    def drain(self, prompt: bool = False) -> Drained:
        """Make records of what the hooks noted since the last call. Does not block on the program."""
        self.control.expire()
        self._reap()
        self._look_after_hooks()
        if hooks.interrupted != self._interrupted:
            self._interrupted = hooks.interrupted
            self._drop(CUT_SHORT, 1)
        return self.told.drain(prompt or self.is_awaited)

    def _look_after_hooks(self) -> None:
        """Tell which of our hooks the runtime has removed because they raised: that is a bug of ours."""
        if not self._attached:
            return
        for name in HOOKS:
            hook = getattr(self, name, None)
            if hook is not None and hook not in getattr(hooks, name):
                self._fault(f"the hook {name} raised and was removed")
        for name, callback in (("end", self.hooks.on_lived), ("failure", self.hooks.on_failed)):
            if not every.has(callback):
                self._fault(f"the link on every {name} raised and was removed")

    def _fault(self, text: str) -> None:
        if text not in self.faults:
            self.faults.append(text)
            del self.faults[:-20]

    def _reap(self) -> None:
        """Tell the end of raw greenlets, which have no links, and of groups that are gone."""
        for id, greenlet in breathing(list(self.raws.items())):
            if greenlet.dead:
                self.raws.pop(id, None)  # close() may have been called meanwhile, by another thread
                if self.alive.pop(id, None) is not None:
                    kind = "killed" if id in self.killing else "succeeded"
                    self.buffer.append((kind, monotonic(), id, None, None, None))
        for id, ref in breathing(list(self._groups.items())):
            if ref() is None and len(self.buffer) < self.buffer_limit:  # else at the next look
                self._groups.pop(id, None)
                self.buffer.append(("group_closed", monotonic(), None, id))

    # -- what is so now, what is asked, what it costs

    def live_ids(self) -> Sequence[int]:
        """Return the ids of all that live, oldest first."""
        return list(self.alive)

    def records(self, ids: Iterable[int]) -> list[GreenletRecord]:
        """Return what never changes about these, for whoever missed their `spawned`."""
        found = []
        for id in ids:
            record = self.told.known.get(id)
            greenlet = self.alive.get(id)
            if record is None and greenlet is not None:
                hub, function = getattr(greenlet, "hub", None), getattr(greenlet, "_run", None)
                name = getattr(greenlet, "_name", None)
                record = self.told.record(monotonic(), id, hub, name, function, None, None, 0)
            if record is not None:
                found.append(record)
        return found

    def sample(self, ids: Iterable[int]) -> list[GreenletSample]:
        """Look at these greenlets now."""
        return self.view.sample(ids)

    def figures(self, ids: Iterable[int]) -> list[Figures]:
        """Tell states and times of these greenlets alone."""
        return self.view.figures(ids)

    def count_states(self) -> dict[str, int]:
        """Count what lives by state."""
        return self.view.count_states()

    def groups(self) -> list[GroupSample]:
        """Look at all Groups and Pools now."""
        return self.groups_of(list(self._groups))

    def groups_of(self, ids: Iterable[int]) -> list[GroupSample]:
        """Look at some of them; what is gone is left out."""
        found = []
        for id in ids:
            breathe()
            group = self._groups.get(id, _no_ref)()
            if group is not None:
                found.append(self.view.group(id, group))
        return found

    def hubs(self) -> list[HubSample]:
        """Look at every hub now."""
        return [self.view.hub(hub) for hub in list(hubs) if not hub.dead]

    def stack(self, id: int) -> Stack | None:
        """Return the frames of a live greenlet."""
        return self.view.stack(id)

    def waiters_of(self, id: int) -> Sequence[int]:
        """Return the ids of the greenlets that wait for this one."""
        return self.view.waiters_of(id)

    def kill(self, id: int, timeout: float) -> "Future[ControlResult]":
        """Post a kill to the greenlet's hub."""
        return self.control.kill(id, timeout)

    def kill_group(self, id: int, timeout: float) -> "Future[ControlResult]":
        """Post a kill of all members of a group."""
        return self.control.kill_group(id, self._groups.get(id, _no_ref)(), timeout)

    def resize(self, id: int, size: int, timeout: float) -> "Future[ControlResult]":
        """Post a new size to a Pool."""
        return self.control.resize(self._groups.get(id, _no_ref)(), size, timeout)

    def spawn(
        self,
        function: Callable[..., Any],
        arguments: dict[str, Any],
        group: int | None,
        delay: float | None,
        timeout: float,
    ) -> "Future[ControlResult]":
        """Post a spawn."""
        self._awaited_until = monotonic() + AWAITED
        target = None if group is None else self._groups.get(group, _no_ref)()
        return self.control.spawn(function, arguments, group, target, delay, timeout)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody may wait to see a greenlet just born."""
        return monotonic() < self._awaited_until

    def cost(self) -> dict[str, float]:
        """Return the mean cost of an event in the hub's thread (ns), and the share of time since attach."""
        now = monotonic()
        if now - self._measured_at > MEASURE_EVERY:
            self._measured_at = now
            self._hook_cost = measure_hooks()
        share = self._hook_cost / 2 * self.told.intake.count / max(1e-9, now - self._attached_at)
        return {"hook_ns": self._hook_cost / 2 * 1e9, "share": min(1.0, share)}


def _no_ref() -> None:
    return None
