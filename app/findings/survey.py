"""A survey: one look at every live greenlet, spread over ticks, added up as it goes.

Some checks need to have seen everybody: who holds up whom, who is parked where, whose run time grows. They share one
look. It goes through the living in chunks, a few milliseconds per tick whatever their number (ten thousand take some
five seconds, a hundred thousand a minute), keeps sums and no samples, and begins anew ten seconds after it began.

Run time per function in the time between two surveys is what the living have gained plus what the dead had gained: the
sums of two surveys, and the whole run times of those that ended between them. So no time has to be kept per greenlet.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from greenscope.app.history import Entry
from greenscope.app.model import GreenletRecord, GreenletSample, Site
from greenscope.app.watchdog import Job

if TYPE_CHECKING:
    from greenscope.app.feed import Feed

#: seconds from one survey's beginning to the next one's, and to the first one's
EVERY: Final = 10.0
FIRST: Final = 1.0
#: greenlets looked at in one go (fewer than make the garbage collector run), and seconds per tick
CHUNK: Final = 150
BUDGET: Final = 0.006
#: a sample that somebody else has taken is as good when it is this new (seconds)
_FRESH: Final = 1.0
#: sums per kind; what comes beyond is counted as one
MOST_KEYS: Final = 5_000
MOST_IDS: Final = 10
#: who has not moved for so long (seconds) is told of
PARKED_AFTER: Final = 30.0
#: who waits for these will go on by itself
_PASSING: Final = frozenset({"sleep", "ready", "loop"})

#: where greenlets are spawned, and what they run
Origin = tuple[Site | None, str]
#: where greenlets stand, and the kind of what they wait for
Spot = tuple[Site, str]


@dataclass(slots=True)
class Spent:
    """What one job has used: seconds, switches, and its longest slice."""

    run: float = 0.0
    switches: int = 0
    longest: float = 0.0
    greenlets: int = 0

    def add(self, sample: GreenletSample) -> None:
        """Add a greenlet's account."""
        self.run += sample.run_time or 0.0
        self.switches += sample.switches or 0
        self.longest = max(self.longest, sample.longest_run or 0.0)
        self.greenlets += 1


@dataclass(slots=True)
class Parked:
    """Who stands at one place: how many, how many of them for long, and the one who has for longest."""

    count: int = 0
    stale: int = 0
    oldest: float = float("inf")
    oldest_id: int = 0
    name: str = ""
    owner: int | None = None
    ids: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Origins:
    """Who was spawned at one place and lives: how many, and the eldest."""

    place: Site
    function: str
    eldest: int
    born: float
    count: int = 0


@dataclass(slots=True)
class SurveyRecord:
    """What one survey saw; `ended_run` is of those that ended since the survey before."""

    began: float
    number: int
    done: float = 0.0
    seen: int = 0
    live_run: dict[Job, Spent] = field(default_factory=dict)
    ended_run: dict[Job, Spent] = field(default_factory=dict)
    parked: dict[Spot, Parked] = field(default_factory=dict)
    origins: dict[Origin, Origins] = field(default_factory=dict)
    #: who waits for a greenlet, and for which
    blocked_by: dict[int, int] = field(default_factory=dict)
    kill_requested: dict[int, float] = field(default_factory=dict)


class Surveyor:
    """Makes surveys of a feed's population."""

    def __init__(self, feed: "Feed") -> None:
        self._feed = feed
        self._next = feed.now + FIRST
        self._running: SurveyRecord | None = None
        self._cursor = 0
        self._ids: list[int] = []
        self._position = 0
        self._ended: dict[Job, Spent] = {}
        self._ended_later: dict[Job, Spent] = {}
        #: the latest that is complete, and the one before
        self.latest: SurveyRecord | None = None
        self.previous: SurveyRecord | None = None

    def on_end(self, entry: Entry) -> None:
        """Add up the run time of a greenlet that has ended."""
        event, record = entry.event, entry.record
        if event is None or record is None or event.sample is None or not event.sample.run_time:
            return
        seen = self._running is not None and record.id <= self._cursor
        _spent(self._ended_later if seen else self._ended, _job(record)).add(event.sample)

    def advance(self, now: float) -> None:
        """Go on with the survey for at most a few milliseconds; begin one if it is time."""
        if self._running is None:
            if now < self._next:
                return
            self._running = SurveyRecord(now, 1 if self.latest is None else self.latest.number + 1)
            self._next = now + EVERY
            self._ids, self._position, self._cursor = list(self._feed.population.lives), 0, 0
        begun = time.perf_counter()
        survey = self._running
        while self._position < len(self._ids) and time.perf_counter() - begun < BUDGET:
            chunk = self._ids[self._position : self._position + CHUNK]
            self._position += len(chunk)
            for record, sample in self._look(chunk, now):
                _add(survey, record, sample)
            self._cursor = chunk[-1]
        if self._position >= len(self._ids):
            self._finish(survey, now)

    def _look(self, ids: list[int], now: float) -> Iterator[tuple[GreenletRecord, GreenletSample]]:
        """Look at greenlets, unless somebody else just did."""
        lives = self._feed.population.lives
        due = []
        for id in ids:
            life = lives.get(id)
            if life is None:
                continue
            if life.sample is not None and now - life.sampled < _FRESH:
                yield life.record, life.sample
            else:
                due.append(id)
        for sample in self._feed.probe.sample(due):
            life = lives.get(sample.id)
            if life is not None:
                yield life.record, sample

    def _finish(self, survey: SurveyRecord, now: float) -> None:
        survey.done = now
        survey.ended_run, self._ended, self._ended_later = self._ended, self._ended_later, {}
        self.previous, self.latest = self.latest, survey
        self._running = None
        self._ids = []


def _job(record: GreenletRecord) -> Job:
    return record.thread, record.function, record.file, record.line


def _spent(sums: dict[Job, Spent], job: Job) -> Spent:
    found = sums.get(job)
    if found is None:
        if len(sums) >= MOST_KEYS:
            job = (job[0], "", "", 0)
        found = sums.setdefault(job, Spent())
    return found


def _add(survey: SurveyRecord, record: GreenletRecord, sample: GreenletSample) -> None:
    survey.seen += 1
    if record.function == "<main>":
        _add_edge(survey, sample)
        return
    origin = (record.spawn_site, record.function)
    origins = survey.origins.get(origin)
    if origins is None and len(survey.origins) < MOST_KEYS:
        place = record.spawn_site or Site(record.file, record.line, record.function)
        origins = Origins(place, record.function, record.id, record.created)
        survey.origins[origin] = origins
    if origins is not None:
        origins.count += 1
        if record.id < origins.eldest:
            origins.eldest, origins.born = record.id, record.created
    if sample.run_time:
        _spent(survey.live_run, _job(record)).add(sample)
    if sample.kill_requested is not None:
        survey.kill_requested[sample.id] = sample.kill_requested
    if sample.state == "waiting" and sample.waiting_on is not None:
        _add_edge(survey, sample)
        _add_parked(survey, record, sample)


def _add_edge(survey: SurveyRecord, sample: GreenletSample) -> None:
    wait = sample.waiting_on
    if wait is not None:
        blocker = wait.target if wait.target is not None else wait.owner
        if blocker is not None:
            survey.blocked_by[sample.id] = blocker


def _add_parked(survey: SurveyRecord, record: GreenletRecord, sample: GreenletSample) -> None:
    wait = sample.waiting_on
    if wait is None or wait.kind in _PASSING or wait.since is None:
        return
    place = sample.place or Site(record.file, record.line, record.function)
    spot = (place, wait.kind)
    parked = survey.parked.get(spot)
    if parked is None:
        if len(survey.parked) >= MOST_KEYS:
            return
        parked = survey.parked[spot] = Parked()
    parked.count += 1
    if survey.began - wait.since >= PARKED_AFTER:
        parked.stale += 1
    if wait.since < parked.oldest:
        parked.oldest, parked.oldest_id, parked.name, parked.owner = wait.since, sample.id, wait.name, wait.owner
    if len(parked.ids) < MOST_IDS:
        parked.ids.append(sample.id)
