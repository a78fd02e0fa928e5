"""Entered, never finished: parked greenlets grouped by identical place, with age and what they wait for.

A server's accept loop is parked for ever, and rightly so; so this is a note, the most numerous places first. It is a
warning when a group of those that have not moved for long grows with every survey for a minute: then greenlets
go in there and do not come out.
"""

from collections import deque
from itertools import pairwise
from typing import Final

from greenscope.app.findings.case import Case, Scene, SurveyCheck
from greenscope.app.findings.sites import program_site, short, span, times
from greenscope.app.findings.survey import PARKED_AFTER, Parked, Spot, SurveyRecord

#: places told of
MOST: Final = 5
#: surveys in which it grew, without a break, that make a warning of it, and by how many
GROWN_SURVEYS: Final = 6
GROWN_BY: Final = 10


class LongParked(SurveyCheck):
    """Greenlets have been parked for long."""

    kind = "parked"
    summary = f"Greenlets have stood at the same place for more than {PARKED_AFTER:.0f} s"

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[Spot, deque[tuple[float, int]]] = {}

    def check_survey(self, scene: Scene, survey: SurveyRecord) -> list[Case]:
        """Return the places where most have been parked for long."""
        stale = {spot: parked for spot, parked in survey.parked.items() if parked.stale}
        self._counts = {spot: self._counts.get(spot) or deque(maxlen=GROWN_SURVEYS + 1) for spot in stale}
        for spot, parked in stale.items():
            self._counts[spot].append((survey.began, parked.stale))
        ordered = sorted(stale.items(), key=lambda item: (not self._grows(item[0]), -item[1].stale, item[1].oldest))
        return [self._case(scene, spot, parked) for spot, parked in ordered[:MOST]]

    def _grows(self, spot: Spot) -> bool:
        counts = [count for _, count in self._counts[spot]]
        return (
            len(counts) > GROWN_SURVEYS
            and counts[-1] - counts[0] >= GROWN_BY
            and all(a < b for a, b in pairwise(counts))
        )

    def _case(self, scene: Scene, spot: Spot, parked: Parked) -> Case:
        place, kind = spot
        stack = scene.stack(parked.oldest_id)
        grows = self._grows(spot)
        (then, before), (now, count) = self._counts[spot][0], self._counts[spot][-1]
        return Case(
            key=(place.file, place.line, place.function, kind),
            severity="warning" if grows else "info",
            culprit=program_site(stack) or place,
            count=parked.stale,
            first=parked.oldest,
            last=scene.now,
            greenlet=parked.oldest_id,
            stack=stack,
            facts={
                "waiting_on": kind,
                "name": parked.name,
                "oldest": round(max(0.0, scene.now - parked.oldest), 3),
                "parked": parked.count,
                "grown": count - before if grows else 0,
                "seconds": round(now - then, 1) if grows else 0.0,
                "ids": [str(id) for id in parked.ids],
            },
        )

    def format(self, case: Case) -> str:
        """Tell who waits where, for what, since when."""
        facts = case.facts
        what = facts["waiting_on"] + (f" {facts['name']}" if facts["name"] else "")
        verb = "waits" if case.count == 1 else "wait"
        grown = f", {facts['grown']:,} more than {span(facts['seconds'])} ago" if facts["grown"] else ""
        who = times(case.count, "greenlet")
        return f"{who} {verb} for {what} at {short(case.culprit)}, the oldest for {span(facts['oldest'])}{grown}"

    def hint(self, case: Case) -> str:
        """Tell what its growth would mean."""
        if case.severity == "info":
            return "Fine for servers and consumers. If the number grows, what they wait for never comes."
        return "More and more come here and none leaves: what they wait for never comes. Give the wait a time-out."
