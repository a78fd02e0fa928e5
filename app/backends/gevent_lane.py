"""A lane: one thread with a hub, as the gevent probe sees it.

    traced      each switch is seen: who runs, since when, who ended
    resting     the tracer is out of its place for a while, since it would cost too much    gevent_throttle
    neither     accounting is off, or the probe is closed

Where it is not traced, births are counted only, but for those that last (`arrivals`), and ends are found by looking
(gevent_untraced). One thread writes a lane, the lane's own; what the dashboard's thread writes says so.
"""

import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from greenscope.app.backends.short_lives import SHORT_BURST, crowd_of, short_lives
from greenscope.app.model import Site

if TYPE_CHECKING:
    from greenscope.app.backends.gevent_arrivals import Arrival
    from greenscope.app.backends.gevent_registry import Entry

T = TypeVar("T")


class Shed:
    """Lives that are counted and not told one by one, in all and by group. One thread adds, the dashboard's reads."""

    __slots__ = ("_told", "_told_of", "count", "of")

    def __init__(self) -> None:
        self.count = 0
        self.of: dict[int, int] = {}
        self._told = 0
        self._told_of: dict[int, int] = {}

    def add(self, groups: tuple[int, ...] = ()) -> None:
        """Count one life, and for each of its groups."""
        self.count += 1
        for group in groups:
            self.of[group] = self.of.get(group, 0) + 1

    def news(self) -> tuple[int, dict[int, int]]:
        """Return what was counted since the last call, in all and by group."""
        count, self._told = self.count - self._told, self.count
        more: dict[int, int] = {}
        for group, total in self.of.copy().items():
            if total != self._told_of.get(group, 0):
                more[group] = total - self._told_of.get(group, 0)
                self._told_of[group] = total
        return count, more

    def forget(self, group: int) -> None:
        """Let go of a group that is gone."""
        self.of.pop(group, None)
        self._told_of.pop(group, None)


class Lane:
    """One thread with a hub."""

    __slots__ = (
        "allowed",
        "arrivals",
        "batch_number",
        "batch_since",
        "block_began",
        "block_stack",
        "breath",
        "breathes_until",
        "claimed",
        "claimed_before",
        "current",
        "entries",
        "gone",
        "hidden",
        "hub",
        "hub_entry",
        "ident",
        "last",
        "left",
        "left_untraced",
        "looking",
        "name",
        "pending",
        "pending_seen",
        "previous",
        "rate",
        "raws",
        "rested",
        "resting",
        "resuming",
        "shed",
        "shed_untraced",
        "since",
        "swept",
        "switched",
        "trace",
        "traced",
        "turn_number",
        "turn_since",
    )

    def __init__(self, ident: int, name: str, hub: Any, hub_entry: "Entry", now: float) -> None:
        self.ident = ident
        self.name = name
        self.hub: weakref.ref[Any] = weakref.ref(hub)
        self.entries: dict[int, Entry] = {id(hub): hub_entry}
        self.hub_entry = hub_entry
        self.current = hub_entry
        #: when `current` got control
        self.last = now
        self.pending = 0
        self.hidden = False
        self.gone = False
        self.traced = False
        self.trace: Callable[[str, Any], None] | None = None
        self.previous: Callable[[str, Any], None] | None = None
        #: whether the tracer rests; since when it does, or does not; how long it has rested before
        self.resting = False
        self.since = now
        self.rested = 0.0
        #: switches a second while it was traced last; those that must have been made in all its rests
        self.rate = 0.0
        self.switched = 0.0
        #: how long the tracer had rested when all was looked through last: ends of before are known
        self.swept = 0.0
        #: what had not begun then: begins that nobody sees are not counted down from `pending`
        self.pending_seen = 0
        #: the dashboard's thread looks through the arrivals, the hub makes the tracer come back: never both at once,
        #: since each says so first and then asks the other
        self.looking = self.resuming = False
        #: the timer that lets native threads have the GIL (gevent_breather), and until when it does
        self.breath: Any = None
        self.breathes_until = 0.0
        self.raws: deque[Entry] = deque()
        #: births that nobody has looked at yet, where nothing is traced; and failures that were not found among them,
        #: so far, and when it was looked last
        self.arrivals: deque[Arrival] = deque()
        self.claimed = self.claimed_before = 0
        #: short lives that may be told now, and those that were shed
        self.left: float = SHORT_BURST
        self.shed = Shed()
        #: the same of the dashboard's thread, where nothing is traced
        self.left_untraced: float = SHORT_BURST
        #: how many may be told when that was said last
        self.allowed: float = self.left + self.left_untraced
        self.shed_untraced = Shed()
        self.batch_number = 0
        self.batch_since = now
        self.turn_number: int | None = None
        self.turn_since = now
        self.block_began = 0.0
        self.block_stack: tuple[Site, ...] = ()

    def living(self) -> "list[Entry]":
        """Return the entries of all that has not ended, without the hub's own."""
        return [entry for entry in snapshot(self.entries) if entry.kind != "hub" and not entry.ended]

    def rest_until(self, t: float) -> float:
        """Return how many seconds the tracer has rested up to a moment that is not long ago."""
        return self.rested + max(0.0, t - self.since) if self.resting else self.rested

    def switches(self, now: float) -> int | None:
        """Return how many switches were made, those of its rests estimated (None: nobody counts)."""
        if not self.traced and not self.resting:
            return None
        missed = self.switched + (self.rate * (now - self.since) if self.resting else 0.0)
        return 2 * self.hub_entry.switches + int(missed)

    def has_missed(self, entry: "Entry") -> bool:
        """Tell whether an entry can have ended without a switch that was seen."""
        return not self.traced or self.rested > entry.rested

    def allow(self, shed: int, seconds: float, rate: float, most: float) -> None:
        """Let more short lives be told, `rate` a second, `most` at once: in some seconds so many were shed."""
        told = self.allowed - self.left - self.left_untraced
        more = short_lives(rate, crowd_of(shed + told, seconds), seconds)
        self.left = min(most, max(0.0, self.left) + more)
        self.left_untraced = min(most, max(0.0, self.left_untraced) + more)
        self.allowed = self.left + self.left_untraced

    def forget_group(self, group: int) -> None:
        """Let go of the counts of a group that is gone."""
        self.shed.forget(group)
        self.shed_untraced.forget(group)


def snapshot(mapping: dict[Any, T]) -> list[T]:
    """Return the values of a dict that another thread may change meanwhile."""
    while True:
        try:
            return list(mapping.values())
        except RuntimeError:
            continue  # it grew while it was copied
