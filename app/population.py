"""Who lives, who has ended, who is in which group: events applied in order.

`Population` holds the state that events change and knows each kind of event by a method of its name. Events
may be missing (the probe's buffer is bounded) and may overlap with what was found at attach, so each is
applied to whatever state there is: a birth that is known already changes nothing, an end without a birth is
kept if it is a failure. `compare` and `reconcile` put right what dropped events have left wrong.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from greenscope.app.history import Retention
from greenscope.app.lives import Band, Life
from greenscope.app.model import Event, GreenletRecord, GroupSample, State
from greenscope.app.probe import Probe
from greenscope.app.series import Series

_ENDS: Final[dict[str, State]] = {"succeeded": "succeeded", "failed": "failed", "killed": "killed"}
#: blocks remembered per greenlet
_BLOCKS: Final = 20


@dataclass(frozen=True)
class PopulationLimits:
    """How much is remembered of what has ended. Counts and seconds."""

    finished: int = 5_000
    finished_age: float = 3_600.0
    failures_age: float = 4 * 3_600.0
    closed_groups: int = 100
    group_series: int = 100  # groups that have a history for a chart
    series: int = 600  # points of a chart


class Population:
    """The greenlets and groups of one process."""

    def __init__(self, limits: PopulationLimits) -> None:
        self.lives: dict[int, Life] = {}
        self.finished = Retention(limits.finished, limits.finished_age, limits.failures_age)
        self.bands: dict[int, Band] = {}
        self.closed: dict[int, Band] = {}
        self.spawned = 0
        self.ended = {"succeeded": 0, "failed": 0, "killed": 0}
        self._limits = limits
        self._appliers: dict[str, Callable[[Event], Life | None]] = {
            "spawned": self._spawned,
            "started": self._started,
            "succeeded": self._ended,
            "failed": self._ended,
            "killed": self._ended,
            "kill_requested": self._kill_requested,
            "grouped": self._grouped,
            "ungrouped": self._ungrouped,
            "group_opened": self._group_opened,
            "group_closed": self._group_closed,
            "blocked": self._blocked,
        }

    def find(self, id: int) -> Life | None:
        """Return a greenlet that lives or is still remembered."""
        return self.lives.get(id) or self.finished.get(id)

    def find_band(self, id: int) -> Band | None:
        """Return a group that lives or is still remembered."""
        return self.bands.get(id) or self.closed.get(id)

    # -- events --------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> GreenletRecord | None:
        """Apply an event; return the birth record of the greenlet that it is about, if that is known."""
        applier = self._appliers.get(event.kind)
        life = applier(event) if applier is not None else None
        if life is None and event.greenlet is not None:
            life = self.find(event.greenlet)
        return event.record if life is None else life.record

    def count_unseen(self, kind: str, count: int) -> None:
        """Count events that were dropped before they came here."""
        if kind == "spawned":
            self.spawned += count
        elif kind in self.ended:
            self.ended[kind] += count

    def count_unseen_members(self, unseen: dict[int, dict[str, int]]) -> None:
        """Count, per group, members that came and went unseen."""
        for id, counts in unseen.items():
            band = self.find_band(id)
            if band is not None:
                band.spawned += counts["spawned"]
                band.counts["succeeded"] += counts["succeeded"]

    def _spawned(self, event: Event) -> Life | None:
        record = event.record
        if record is None or record.id in self.lives or self.finished.get(record.id) is not None:
            return None
        self.spawned += 1
        return self._born(record)

    def _born(self, record: GreenletRecord) -> Life:
        life = self.lives[record.id] = Life(record)
        if record.parent is not None:
            parent = self.find(record.parent)
            if parent is not None:
                if parent.children is None:
                    parent.children = {}
                parent.children[record.id] = None
        return life

    def _started(self, event: Event) -> Life | None:
        life = self.lives.get(event.greenlet or 0)
        if life is not None and life.started is None:
            life.started = event.t
            life.begun = True
        return life

    def _ended(self, event: Event) -> Life | None:
        id = event.greenlet or 0
        life = self.lives.pop(id, None)
        if life is None:
            if self.finished.get(id) is not None:
                return None
            if event.kind == "failed" and id:
                life = Life(event.record or GreenletRecord(id, f"greenlet {id}", "", "", 0, event.t))
        self.ended[event.kind] += 1
        if life is None:
            return None
        life.ended = event.t
        life.final = _ENDS[event.kind]
        life.failure = event.exception
        if event.sample is not None:
            life.look(event.sample, event.t)
        life.groups = life.groups_at_end(event.t)
        life.left = ()
        for group in life.groups:
            band = self.bands.get(group)
            if band is not None:
                band.counts[event.kind] += 1
                band.members.pop(id, None)
        self._forget(self.finished.add(life))
        return life

    def _kill_requested(self, event: Event) -> Life | None:
        life = self.lives.get(event.greenlet or 0)
        if life is not None and life.kill_requested is None:
            life.kill_requested = event.t
        return life

    def _grouped(self, event: Event) -> Life | None:
        id, group = event.greenlet or 0, event.group or 0
        band = self.bands.get(group)
        life = self.lives.get(id)
        if band is not None and life is not None and id not in band.members:
            band.join(id)
        if life is not None and group not in life.groups:
            life.groups = (*life.groups, group)
        return life

    def _ungrouped(self, event: Event) -> Life | None:
        id, group = event.greenlet or 0, event.group or 0
        band = self.bands.get(group)
        if band is not None:
            band.members.pop(id, None)
        life = self.lives.get(id)
        if life is not None and group in life.groups:
            life.groups = tuple(other for other in life.groups if other != group)
            life.left = (*life.left[-3:], (group, event.t))
        return life

    def _group_opened(self, event: Event) -> None:
        if event.group_record is not None and event.group_record.id not in self.bands:
            self.bands[event.group_record.id] = Band(event.group_record, event.t)

    def _group_closed(self, event: Event) -> None:
        self._close_band(event.group or 0, event.t)

    def _close_band(self, id: int, t: float) -> None:
        band = self.bands.pop(id, None)
        if band is None:
            return
        band.closed = t
        for member in band.members:
            life = self.lives.get(member)
            if life is not None:
                life.groups = tuple(other for other in life.groups if other != id)
        band.members = {}
        self.closed[id] = band
        while len(self.closed) > self._limits.closed_groups:
            del self.closed[next(iter(self.closed))]

    def _blocked(self, event: Event) -> Life | None:
        life = self.lives.get(event.greenlet or 0)
        if life is not None:
            lasted = (event.detail or {}).get("duration")
            life.blocked = [
                *(life.blocked or [])[-_BLOCKS + 1 :],
                (event.t, lasted if isinstance(lasted, float) else 0.0),
            ]
        return life

    # -- forgetting, and putting right ---------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Forget finished greenlets that are too old."""
        self._forget(self.finished.expire(now))

    def _forget(self, gone: Iterable[Life]) -> None:
        for life in gone:
            parent = None if life.record.parent is None else self.find(life.record.parent)
            if parent is not None and parent.children is not None:
                parent.children.pop(life.record.id, None)

    def look_at_groups(self, samples: Iterable[GroupSample], now: float) -> None:
        """Take over what a look at all groups saw."""
        for sample in samples:
            band = self.bands.get(sample.id)
            if band is None:
                if sample.id in self.closed:
                    continue
                band = self.bands[sample.id] = Band(sample, now)
            band.look(sample)

    def mark_groups(self, now: float, unix: float) -> None:
        """Note each group's figures of a second; the first hundred groups have a history too."""
        for index, band in enumerate(self.bands.values()):
            if band.series is None and index < self._limits.group_series:
                band.series = Series(("active", "waiters", "size"), self._limits.series)
            band.mark(now, unix)

    def compare(self, living: Iterable[int]) -> tuple[set[int], set[int]]:
        """Return the ids that live without being known here, and those known here that do not live."""
        alive = set(living)
        unknown = {id for id in alive.difference(self.lives) if self.finished.get(id) is None}
        return unknown, self.lives.keys() - alive

    def reconcile(self, probe: Probe, births: set[int], ends: set[int]) -> bool:
        """Put right what is still wrong of a comparison before the last drain; tell whether anything was."""
        births = {id for id in births if id not in self.lives and self.finished.get(id) is None}
        ends = ends & self.lives.keys()
        for record in probe.records(sorted(births)) if births else ():
            self._born(record)
        for id in ends:
            life = self.lives.pop(id)
            self._forget([life])
        return bool(births or ends)

    def recover(self, probe: Probe, now: float) -> None:
        """After drops, take from a look what events would have told: memberships, and who has begun."""
        self._regroup(probe.groups(), now)
        unbegun = [id for id, life in self.lives.items() if not life.begun]
        for sample in probe.sample(unbegun):
            self.lives[sample.id].begun = sample.state != "pending"

    def _regroup(self, samples: list[GroupSample], now: float) -> None:
        """Make memberships what a look at all groups says."""
        self.look_at_groups(samples, now)
        existing = {sample.id for sample in samples}
        for id in self.bands.keys() - existing:
            self._close_band(id, now)
        for one in self.lives.values():  # of a group that opened and closed without being told
            if one.groups and not existing.issuperset(one.groups):
                one.groups = tuple(id for id in one.groups if id in existing)
        for sample in samples:
            band = self.bands.get(sample.id)
            if band is None:
                continue
            members = {id: None for id in sample.members if id in self.lives}
            for id in band.members.keys() - members.keys():
                life = self.lives.get(id)
                if life is not None:
                    life.groups = tuple(other for other in life.groups if other != sample.id)
            for id in members.keys() - band.members.keys():
                life = self.lives[id]
                if sample.id not in life.groups:
                    life.groups = (*life.groups, sample.id)
            band.members = members
