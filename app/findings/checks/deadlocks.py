"""A deadlock: greenlets that wait for each other in a circle, each with its line.

Circles are looked for in the edges of a survey. Those were not seen at one moment, so a circle is a suspicion until a
second look, at least two seconds later, finds each member in the very same wait.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from greenscope.app.findings.case import Case, Check, Scene
from greenscope.app.findings.sites import program_site, short, span
from greenscope.app.formatting import site as site_fields
from greenscope.app.model import GreenletSample, Site, WaitRecord
from greenscope.app.waits import find_cycles

#: circles and members told of
MOST: Final = 20
MOST_MEMBERS: Final = 20

_Waits = Mapping[int, tuple[str, float | None, int | None]]


@dataclass(slots=True)
class _Suspect:
    members: tuple[int, ...]
    waits: _Waits
    seen: float
    confirmed: bool = False


class Deadlocks(Check):
    """Greenlets wait for each other in a circle."""

    kind = "deadlock"
    summary = "Greenlets wait for each other in a circle; none of them will ever go on by itself"

    def __init__(self) -> None:
        self._surveyed = 0
        self._suspects: dict[tuple[int, ...], _Suspect] = {}

    def check(self, scene: Scene) -> Iterable[Case]:
        """Return the circles that two looks have seen."""
        if scene.survey is not None and scene.survey.number != self._surveyed:
            self._surveyed = scene.survey.number
            for cycle in find_cycles(prune(scene.survey.blocked_by))[:MOST]:
                key = tuple(cycle)
                if key not in self._suspects and len(self._suspects) < MOST:
                    self._suspects[key] = _Suspect(key, {}, scene.now)
        for key, suspect in list(self._suspects.items()):
            samples = {sample.id: sample for sample in scene.feed.probe.sample(suspect.members)}
            waits = {id: _edge(sample.waiting_on) for id, sample in samples.items()}
            if not _is_circle(suspect.members, waits) or (suspect.waits and waits != suspect.waits):
                del self._suspects[key]
            elif not suspect.waits:
                suspect.waits, suspect.seen = waits, scene.now
            else:
                suspect.confirmed = True
                yield self._case(scene, suspect, samples)

    def _case(self, scene: Scene, suspect: _Suspect, samples: Mapping[int, GreenletSample]) -> Case:
        members: list[dict[str, Any]] = []
        first: tuple[Site, ...] = ()
        culprit: Site | None = None
        names = []
        for id in suspect.members[:MOST_MEMBERS]:
            stack, life, sample = scene.stack(id), scene.feed.life(id), samples[id]
            place = program_site(stack) or sample.place
            name = f"greenlet {id}" if life is None else life.record.name
            if not members:
                first, culprit = stack, place
            wait = sample.waiting_on
            members.append({"greenlet": str(id), "name": name, "place": site_fields(place)})
            names.append(f"{name} at {short(place)}" + (f" ({_what(wait)})" if wait is not None else ""))
        since = [wait[1] for wait in suspect.waits.values() if wait[1] is not None]
        return Case(
            key=suspect.members,
            severity="critical",
            culprit=culprit,
            count=len(suspect.members),
            first=max(since, default=suspect.seen),
            last=scene.now,
            greenlet=suspect.members[0],
            stack=first,
            facts={"members": members, "waits": names, "since": round(scene.now - max(since, default=scene.now), 3)},
        )

    def format(self, case: Case) -> str:
        """Tell each member's line."""
        waits = case.facts["waits"]
        rest = case.count - len(waits)
        more = f" {rest} more, of which the last waits for" if rest > 0 else ""
        if case.count == 1:
            return f"Deadlock for {span(case.facts['since'])}: {waits[0]} waits for itself"
        first = case.facts["members"][0]["name"]
        return (
            f"Deadlock of {case.count} greenlets for {span(case.facts['since'])}: "
            f"{' waits for '.join(waits)} waits for{more} {first}"
        )

    def hint(self, case: Case) -> str:
        """Tell the way out."""
        return "Kill one member to free the others; then take these locks in one order everywhere, or with a time-out."


def prune(blocked_by: dict[int, int]) -> dict[int, int]:
    """Return the edges that can be part of a circle: their waiter is waited for, too. Cheap when few are."""
    while True:
        kept = blocked_by.keys() & set(blocked_by.values())
        if len(kept) > len(blocked_by) // 2:
            return {id: blocked_by[id] for id in kept}
        if not kept:
            return {}
        blocked_by = {id: blocked_by[id] for id in kept}


def _edge(wait: WaitRecord | None) -> tuple[str, float | None, int | None]:
    if wait is None:
        return "", None, None
    return wait.kind, wait.since, wait.target if wait.target is not None else wait.owner


def _is_circle(members: tuple[int, ...], waits: _Waits) -> bool:
    return all(id in waits and waits[id][2] == members[(index + 1) % len(members)] for index, id in enumerate(members))


def _what(wait: WaitRecord) -> str:
    return f"{wait.kind} {wait.name}".strip()
