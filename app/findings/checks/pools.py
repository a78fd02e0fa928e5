"""A pool has run dry: all slots are taken and others wait for one.

A full pool with somebody waiting is how a pipeline throttles itself, and so a note as long as members come and go. When
none has left for a while it is a warning: the longest holder, and the line where it stands, is the one to look at.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from greenscope.app.findings.case import Case, Check, Scene
from greenscope.app.findings.sites import program_site, short, span, times
from greenscope.app.lives import Band, Life
from greenscope.app.model import Site

#: seconds for which a pool has to be dry, and without anybody leaving
DRY_AFTER: Final = 2.0
STALLED_AFTER: Final = 5.0


@dataclass(slots=True)
class _Dry:
    since: float
    #: how many have ever come out, and when the latest did
    ended: int
    left: float


class DryPools(Check):
    """A pool has no slot left and somebody waits for one."""

    kind = "pool_dry"
    summary = "A pool has been full, with others waiting for a slot, for more than 2 s"
    every = 1.0

    def __init__(self) -> None:
        self._dry: dict[int, _Dry] = {}

    def check(self, scene: Scene) -> Iterable[Case]:
        """Return the pools that are dry. Looks at the groups only if one of them seems to be full."""
        bands = scene.feed.population.bands
        full = [band for band in bands.values() if band.size and len(band.members) >= band.size]
        if not full:
            self._dry.clear()
            return
        scene.feed.look_at_groups()
        dry = {band.id: band for band in full if (seen := band.sample) is not None and seen.waiters and not seen.free}
        self._dry = {id: self._dry.get(id) or _Dry(scene.now, _ended(band), scene.now) for id, band in dry.items()}
        for id, band in dry.items():
            state = self._dry[id]
            if state.ended != _ended(band):
                state.ended, state.left = _ended(band), scene.now
            if scene.now - state.since >= DRY_AFTER:
                yield self._case(scene, band, state)

    def _case(self, scene: Scene, band: Band, dry: _Dry) -> Case:
        holder = _longest_holder(scene, band)
        stalled = scene.now - dry.left
        stack: tuple[Site, ...] = ()
        place: Site | None = None
        if holder is not None:
            stack = scene.stack(holder.record.id)
            place = program_site(stack) or Site(holder.record.file, holder.record.line, holder.record.function)
        waiters = band.sample.waiters if band.sample is not None else 0
        return Case(
            key=(band.id,),
            severity="warning" if stalled >= STALLED_AFTER else "info",
            culprit=place,
            count=waiters or 0,
            first=dry.since,
            last=scene.now,
            greenlet=None if holder is None else holder.record.id,
            group=band.id,
            stack=stack,
            facts={
                "name": band.name,
                "size": band.size,
                "waiters": waiters,
                "holder": "" if holder is None else holder.record.name,
                "holds": 0.0 if holder is None else round(scene.now - _since(holder), 3),
                "stalled": round(stalled, 3) if stalled >= STALLED_AFTER else 0.0,
            },
        )

    def format(self, case: Case) -> str:
        """Tell the pool, its waiters, its longest holder and its line."""
        facts = case.facts
        verb = "waits" if case.count == 1 else "wait"
        sentence = (
            f"Pool {facts['name']} is full: {case.count:,} {verb} for one of {times(facts['size'], 'slot')}; "
            f"{facts['holder'] or 'a member'} has held one for {span(facts['holds'])} at {short(case.culprit)}"
        )
        return sentence + (f"; nobody has left for {span(facts['stalled'])}" if facts["stalled"] else "")

    def hint(self, case: Case) -> str:
        """Tell what to do."""
        if case.severity == "info":
            return "Members come and go: this is how a pool throttles. If waiters grow, the pool is too small."
        return "Look at the longest holder's line: a missing time-out, or a member that waits for its own pool."


def _since(life: Life) -> float:
    return life.record.created if life.started is None else life.started


def _ended(band: Band) -> int:
    return sum(band.counts.values())


def _longest_holder(scene: Scene, band: Band) -> Life | None:
    lives = scene.feed.population.lives
    members = [life for life in map(lives.get, band.members) if life is not None]
    return min(members, key=_since, default=None)
