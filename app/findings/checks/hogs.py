"""Many greenlets hog a little each: functions that take a large share of the loop in small slices.

No single slice is long enough to be a block, so only the sum shows it. That one function uses most of a loop is
no fault; it becomes one when others wait for their turn. So it is a note until the hub's turns are long.
"""

from collections import Counter
from typing import Final

from greenscope.app.findings.case import Case, Scene, SurveyCheck
from greenscope.app.findings.sites import short, span, times
from greenscope.app.findings.survey import Spent, SurveyRecord
from greenscope.app.model import Site
from greenscope.app.watchdog import BLOCKED_AFTER, Job

#: shares of one loop's time
NOTED: Final = 0.25
LARGE: Final = 0.5
#: share of looks with a long turn that says that others wait
CROWDED: Final = 0.2
#: functions told of
MOST: Final = 5


class Hogs(SurveyCheck):
    """A function takes a large part of the loop."""

    kind = "hog"
    summary = "A function takes a large share of a hub's time in many small slices"

    def __init__(self) -> None:
        super().__init__()
        self._since: dict[Job, float] = {}

    def check_survey(self, scene: Scene, survey: SurveyRecord) -> list[Case]:
        """Return the functions with the largest shares between the latest two surveys; none without accounting."""
        previous = scene.previous
        if previous is None or "accounting" not in scene.feed.probe.capabilities:
            return []
        elapsed = max(1e-9, survey.began - previous.began)
        used = gained(survey, previous)
        shares = sorted(((spent.run / elapsed, job) for job, spent in used.items()), reverse=True)
        top = [(min(1.0, share), job) for share, job in shares[:MOST] if share >= NOTED]
        self._since = {job: self._since.get(job, previous.began) for _, job in top}
        return [self._case(scene, share, job, used[job], elapsed) for share, job in top]

    def _case(self, scene: Scene, share: float, job: Job, spent: Spent, elapsed: float) -> Case:
        thread, function, file, line = job
        slice_ = spent.run / max(1, spent.switches)
        waiting = scene.watchdog.lag_share(scene.now - elapsed)
        place = _place_of(scene, job)
        hurts = share >= LARGE and waiting >= CROWDED and slice_ < BLOCKED_AFTER
        return Case(
            key=job,
            severity="warning" if hurts else "info",
            culprit=place or Site(file, line, function),
            count=spent.greenlets,
            first=self._since[job],
            last=scene.now,
            facts={
                "thread": thread,
                "function": function,
                "share": round(share, 3),
                "run_time": round(spent.run, 3),
                "switches": spent.switches,
                "slice": round(slice_, 6),
                "seconds": round(elapsed, 1),
                "crowded": round(waiting, 3),
            },
        )

    def format(self, case: Case) -> str:
        """Tell the share, the slices, the line."""
        facts = case.facts
        hub = f"the hub of {facts['thread']}" if facts["thread"] else "the hub"
        return (
            f"{short(case.culprit)} took {facts['share']:.0%} of {hub} over {span(facts['seconds'])}, "
            f"in {times(facts['switches'], 'slice')} of {span(facts['slice'])}"
        )

    def hint(self, case: Case) -> str:
        """Tell whether it hurts."""
        if case.severity == "info":
            return "Others get their turns. If the hub lag grows, this is where the time goes."
        return "The hub's turns have become long: everybody waits for this. Move it to a thread pool or to processes."


def gained(survey: SurveyRecord, previous: SurveyRecord) -> dict[Job, Spent]:
    """Return what each job has used between two surveys."""
    used: dict[Job, Spent] = {}
    for job in survey.live_run.keys() | survey.ended_run.keys():
        now, ended, before = (
            sums.get(job) or Spent() for sums in (survey.live_run, survey.ended_run, previous.live_run)
        )
        used[job] = Spent(
            max(0.0, now.run + ended.run - before.run),
            max(0, now.switches + ended.switches - before.switches),
            max(now.longest, ended.longest),
            now.greenlets + ended.greenlets,
        )
    return used


def _place_of(scene: Scene, job: Job) -> Site | None:
    """Return the line at which the watchdog has found a job most often (None: never)."""
    seen = Counter(place for _, at, place in scene.watchdog.places if at == job and place is not None)
    return seen.most_common(1)[0][0] if seen else None
