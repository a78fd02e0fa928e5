"""Killed, but not dead: who was asked to die a while ago and lives on, and at which line."""

from collections.abc import Iterable
from typing import Final

from greenscope.app.findings.case import Case, Check, Scene
from greenscope.app.findings.sites import program_site, short, span, times
from greenscope.app.history import Entry
from greenscope.app.model import GreenletSample, Site

#: seconds after the request
TOLD_AFTER: Final = 2.0
#: requests kept, and looked at each time
MOST: Final = 10_000
LOOKED_AT: Final = 200
#: lines told of
MOST_PLACES: Final = 20


class Kills(Check):
    """A greenlet was to be killed and lives on."""

    kind = "kill_ignored"
    summary = "A greenlet was asked to die more than 2 s ago and lives on"
    events = frozenset({"kill_requested", "succeeded", "failed", "killed"})

    def __init__(self) -> None:
        self._asked: dict[int, float] = {}
        self._surveyed = 0

    def on_event(self, entry: Entry) -> None:
        """Note a request, and an end."""
        id = entry.event.greenlet if entry.event is not None else None
        if id is None or entry.event is None:
            return
        if entry.kind != "kill_requested":
            if self._asked:
                self._asked.pop(id, None)
        elif len(self._asked) < MOST:
            self._asked.setdefault(id, entry.event.t)

    def check(self, scene: Scene) -> Iterable[Case]:
        """Return who lives on, grouped by line."""
        lives = scene.feed.population.lives
        if scene.survey is not None and scene.survey.number != self._surveyed:
            self._surveyed = scene.survey.number  # requests whose events were dropped
            self._asked = {**scene.survey.kill_requested, **self._asked}
        for id in [id for id in self._asked if id not in lives]:
            del self._asked[id]
        due = [id for id, asked in self._asked.items() if scene.now - asked >= TOLD_AFTER][:LOOKED_AT]
        places: dict[tuple[Site, str], list[GreenletSample]] = {}
        for sample in scene.feed.probe.sample(due) if due else ():
            life = lives.get(sample.id)
            if life is not None:
                record = life.record
                place = sample.place or Site(record.file, record.line, record.function)
                places.setdefault((place, record.function), []).append(sample)
        for (place, function), samples in list(places.items())[:MOST_PLACES]:
            yield self._case(scene, place, function, samples)

    def _case(self, scene: Scene, place: Site, function: str, samples: list[GreenletSample]) -> Case:
        eldest = min(samples, key=lambda sample: self._asked[sample.id])
        stack = scene.stack(eldest.id)
        life = scene.feed.life(eldest.id)
        culprit = program_site(stack) or place
        return Case(
            key=(culprit.file, culprit.line, culprit.function, function),
            severity="warning",
            culprit=culprit,
            count=len(samples),
            first=self._asked[eldest.id],
            last=scene.now,
            greenlet=eldest.id,
            stack=stack,
            facts={
                "name": "" if life is None else life.record.name,
                "greenlet_state": eldest.state,
                "since": round(scene.now - self._asked[eldest.id], 3),
                "waiting_on": None if eldest.waiting_on is None else eldest.waiting_on.kind,
            },
        )

    def format(self, case: Case) -> str:
        """Tell who, since when, where."""
        facts = case.facts
        who = facts["name"] or f"Greenlet {case.greenlet}"
        if case.count > 1:
            who = f"{times(case.count, 'greenlet')}, {who} the first of them,"
        verb = "were" if case.count > 1 else "was"
        stands = "stands" if facts["greenlet_state"] == "waiting" else "is"
        return f"{who} {verb} to be killed {span(facts['since'])} ago and still {stands} at {short(case.culprit)}"

    def hint(self, case: Case) -> str:
        """Tell why that can be."""
        if case.facts["greenlet_state"] == "waiting":
            return "It has caught GreenletExit and gone on: an `except BaseException` or a `finally` that waits."
        return "A kill is delivered when the hub switches to it; one that runs on, or a busy hub, delays it."
