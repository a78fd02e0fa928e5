"""What a check is, what it sees and what it finds.

A `Case` is evidence, not text: ids, places and seconds. Its sentence is made when somebody reads it. The key says what
makes a case this one and no other, from tick to tick; so it never holds a count or a time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from greenscope.app.history import Entry
from greenscope.app.model import Site

if TYPE_CHECKING:
    from greenscope.app.feed import Feed
    from greenscope.app.findings.survey import SurveyRecord
    from greenscope.app.watchdog import Watchdog

Severity = Literal["info", "warning", "critical"]
RANK: Final[dict[str, int]] = {"info": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is wrong. `first` and `last` are monotonic seconds, `stack` has the innermost frame last."""

    key: tuple[object, ...]
    severity: Severity
    culprit: Site | None
    count: int
    first: float
    last: float
    greenlet: int | None = None
    group: int | None = None
    stack: tuple[Site, ...] = ()
    #: numbers and names of this check's own; they go into its row, too
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scene:
    """What checks may look at. `survey` is the latest complete one, `previous` the one before (None: not yet)."""

    feed: "Feed"
    watchdog: "Watchdog"
    now: float
    survey: "SurveyRecord | None" = None
    previous: "SurveyRecord | None" = None

    def stack(self, id: int) -> tuple[Site, ...]:
        """Return the frames of a live greenlet, innermost last; () where there are none, or none can be seen."""
        probe = self.feed.probe
        stack = probe.stack(id) if "stacks" in probe.capabilities else None
        return () if stack is None else stack.frames


class Check:
    """A check; see the package. It runs at most every `every` seconds and hears of the `events` that it names."""

    kind: ClassVar[str]
    summary: ClassVar[str]
    every: ClassVar[float] = 2.0
    events: ClassVar[frozenset[str]] = frozenset()

    def on_event(self, entry: Entry) -> None:
        """Take note of something that happened; called for every event of the kinds in `events`."""

    def check(self, scene: Scene) -> Iterable[Case]:
        """Return what is wrong now. Costs nothing in proportion to the number of greenlets."""
        raise NotImplementedError

    def format(self, case: Case) -> str:
        """Return the sentence, with the line in it."""
        raise NotImplementedError

    def hint(self, case: Case) -> str:
        """Return what it means if this grows, and what to do."""
        return ""


class SurveyCheck(Check):
    """A check of what a survey saw: its cases are made once for each survey, and stand until the next one."""

    def __init__(self) -> None:
        self._seen = 0
        self._cases: list[Case] = []

    def check(self, scene: Scene) -> Iterable[Case]:
        """Return what the latest survey shows."""
        survey = scene.survey
        if survey is not None and survey.number != self._seen:
            self._seen = survey.number
            self._cases = self.check_survey(scene, survey)
        return self._cases

    def check_survey(self, scene: Scene, survey: "SurveyRecord") -> list[Case]:
        """Return what is wrong in a survey that was not seen before."""
        raise NotImplementedError
