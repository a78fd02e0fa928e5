"""Greenlets leak: more and more of one origin are alive.

Counted by spawn site at every survey. Growth is told when it goes on without a break while the eldest stay, and is a
warning when that lasted for a minute and has made it half as many again.
"""

from collections import deque
from typing import Final

from greenscope.app.findings.case import Case, Scene, SurveyCheck
from greenscope.app.findings.sites import short, span
from greenscope.app.findings.survey import Origin, Origins, SurveyRecord

#: surveys kept per origin, surveys that are told of, and those that make a warning
KEPT: Final = 7
NOTED: Final = 4
SURE: Final = 7
#: least growth, and for a warning least factor
GROWN_BY: Final = 10
FACTOR: Final = 1.5
#: origins told of
MOST: Final = 5

_Point = tuple[float, int, int]


class Leaks(SurveyCheck):
    """The number of live greenlets of one origin grows and grows."""

    kind = "leak"
    summary = "More and more greenlets spawned at one place are alive"

    def __init__(self) -> None:
        super().__init__()
        self._points: dict[Origin, deque[_Point]] = {}

    def check_survey(self, scene: Scene, survey: SurveyRecord) -> list[Case]:
        """Return the origins that have grown with every survey."""
        self._points = {origin: self._points.get(origin) or deque(maxlen=KEPT) for origin in survey.origins}
        for origin, seen in survey.origins.items():
            points = self._points[origin]
            if points and (seen.count <= points[-1][1] or seen.eldest != points[-1][2]):
                points.clear()
            points.append((survey.began, seen.count, seen.eldest))
        grown = [origin for origin, points in self._points.items() if _grown(points) and len(points) >= NOTED]
        grown.sort(key=lambda origin: -_slope(self._points[origin]))
        return [self._case(survey, origin, survey.origins[origin]) for origin in grown[:MOST]]

    def _case(self, survey: SurveyRecord, origin: Origin, seen: Origins) -> Case:
        points = self._points[origin]
        sure = len(points) >= SURE and points[-1][1] >= FACTOR * points[0][1]
        return Case(
            key=(seen.place.file, seen.place.line, seen.place.function, seen.function),
            severity="warning" if sure else "info",
            culprit=seen.place,
            count=seen.count,
            first=points[0][0],
            last=survey.done,
            greenlet=seen.eldest,
            facts={
                "function": seen.function,
                "slope": round(_slope(points), 3),
                "from": points[0][1],
                "seconds": round(points[-1][0] - points[0][0], 1),
                "eldest": round(survey.done - seen.born, 3),
            },
        )

    def format(self, case: Case) -> str:
        """Tell how many, how fast, from where."""
        facts = case.facts
        return (
            f"{case.count:,} {facts['function']} spawned at {short(case.culprit)} are alive, {facts['from']:,} were "
            f"{span(facts['seconds'])} ago: {facts['slope'] * 60:+,.0f} a minute"
        )

    def hint(self, case: Case) -> str:
        """Tell what to do."""
        return (
            f"The eldest is {span(case.facts['eldest'])} old and has not ended. "
            "If this goes on, memory goes with it: look where they are parked, bound them with a Pool."
        )


def _grown(points: deque[_Point]) -> bool:
    return len(points) > 1 and points[-1][1] - points[0][1] >= GROWN_BY


def _slope(points: deque[_Point]) -> float:
    """Return the growth per second."""
    return (points[-1][1] - points[0][1]) / max(1e-9, points[-1][0] - points[0][0])
