"""The probe: the one narrow protocol through which the dashboard sees a runtime.

    program -> hooks -> [bounded buffer] -> drain() -> feed           what happened, in order
    feed    -> sample*(), stack()        -> frames and counters       what is so now
    control -> post(request)             -> hub, run there            what is asked

`greenscope.app.backends` has one probe for the native runtime, one for gevent, and a scripted one for tests;
nothing else in `greenscope.app` imports a runtime.

Who calls: `attach` and `close` anybody; everything else one thread, the dashboard's. No method blocks on the
observed program: reading is done without its cooperation, acting is posted to its hub and answered through a
future. A method raises only for a fault of the caller; what the observed program does wrong (a repr that
raises, a frame that is gone) becomes a placeholder or an absent record. An id that is not alive is left out
of an answer.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Literal, Protocol

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

#: What a page or route may ask of a probe. A probe names those that it has; for the others it gives the
#: reason.
Capability = Literal[
    "events",  # lifecycle events with ids
    "groups",  # Groups and Pools
    "stacks",  # frames of parked greenlets
    "waiting_on",  # what a parked greenlet waits for
    "owners",  # who holds what is waited for
    "accounting",  # run, ready and wait time, switches
    "spawn_site",  # where a greenlet was spawned
    "kill",
    "resize",
    "spawn",
]


class Probe(Protocol):
    """A window on one process' greenlets."""

    #: `native`, `gevent`, `fake`: shown to people and in /api/health
    backend: str
    #: what this probe can do
    capabilities: frozenset[Capability]

    def missing(self, capability: Capability) -> str:
        """Tell in one sentence why a capability is absent ("" when it is there)."""

    def attach(self) -> None:
        """Begin to watch: install hooks, find what is already alive. Idempotent."""

    def close(self) -> None:
        """Remove every hook. The observed program goes on as if it had never been watched. Idempotent."""

    def drain(self, prompt: bool = False) -> Drained:
        """Take the events buffered since the last call, in order, and the counts of what was dropped.

        A probe may leave some for the next call, with `prompt` none but those that are too many for one.
        """

    def live_ids(self) -> Sequence[int]:
        """Return the ids of all live greenlets, oldest first."""

    def records(self, ids: Iterable[int]) -> list[GreenletRecord]:
        """Return the birth records of live greenlets; asked for those whose `spawned` was dropped."""

    def sample(self, ids: Iterable[int]) -> list[GreenletSample]:
        """Look at these greenlets now; the dead and unknown are left out."""

    def figures(self, ids: Iterable[int]) -> list[Figures]:
        """Return what `sample` tells of states and times, without where they stand and what they wait for.

        Asked of all that live when they are ordered by one of these, so it must cost a fraction of `sample`.
        """

    def count_states(self) -> dict[str, int]:
        """Count live greenlets by state (`pending`, `ready`, `running`, `waiting`)."""

    def groups(self) -> list[GroupSample]:
        """Look at all living Groups and Pools now."""

    def hubs(self) -> list[HubSample]:
        """Look at every event loop now; cheap enough for every tick."""

    def stack(self, id: int) -> Stack | None:
        """Return the frames of a live greenlet as they are now (None: not alive)."""

    def waiters_of(self, id: int) -> Sequence[int]:
        """Return the ids of the greenlets that wait for this one (joins, what it holds), as far as known."""

    def kill(self, id: int, timeout: float) -> "Future[ControlResult]":
        """Post a kill to the greenlet's hub; the future resolves with what was seen within `timeout` s."""

    def kill_group(self, id: int, timeout: float) -> "Future[ControlResult]":
        """Post a kill of all members of a Group or Pool."""

    def resize(self, id: int, size: int, timeout: float) -> "Future[ControlResult]":
        """Post a new size to a Pool; `refused` for a plain Group."""

    def spawn(
        self,
        function: Callable[..., Any],
        arguments: dict[str, Any],
        group: int | None,
        delay: float | None,
        timeout: float,
    ) -> "Future[ControlResult]":
        """Post a spawn of `function(**arguments)`, into a group and after `delay` seconds if asked."""

    def cost(self) -> dict[str, float]:
        """Return what watching costs: `hook_ns` (mean per event in the hub's thread), `share` of its time.

        `traced`, where switches are not always traced, is the share of the time in which they are.
        """
