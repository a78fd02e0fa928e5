"""Diagnosis: when checks run, and what becomes of what they find.

    new case --> open --(no longer found)--> resolved, for ten minutes --> forgotten
                  ^                              |
                  `------- found again ----------'

On every tick of the feed: hand the new events to the checks that want them, go on with the survey for a few
milliseconds, run the checks that are due. A finding is told as an event when it appears, when its severity rises, and
when its count has grown tenfold; not each tick. A check that fails is a fault of ours: it is reported, and after the
third time it is switched off.
"""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from greenscope.app.backends.frames import source_line
from greenscope.app.findings.case import RANK, Case, Check, Scene, Severity
from greenscope.app.findings.checks import CHECKS
from greenscope.app.findings.ledger import Ledger
from greenscope.app.findings.survey import Surveyor
from greenscope.app.findings.suspects import is_long
from greenscope.app.formatting import Clock, ident, safe_text, safe_value, site, sites
from greenscope.app.watchdog import Watchdog

if TYPE_CHECKING:
    from greenscope.app.feed import Feed

#: seconds for which a resolved finding is remembered
REMEMBERED: Final = 600.0
#: findings kept
MOST: Final = 500
#: innermost frames shown, and those shown with their line of source
STACK: Final = 30
SOURCES: Final = 10
#: longest sentence
SENTENCE: Final = 500
#: one that comes back so soon (seconds) after it was resolved is not told again
FLAPPING: Final = 60.0
#: growth of the count that is worth another event
TENFOLD: Final = 10
#: faults of one check, until it is switched off
MOST_FAULTS: Final = 3

_ENDS: Final = frozenset({"succeeded", "failed", "killed"})


class Finding:
    """A case with a history: open while a check finds it, resolved afterwards."""

    __slots__ = ("_row", "case", "check", "first", "id", "place", "resolved", "told_count", "told_severity", "worst")

    def __init__(self, id: str, check: Check, case: Case) -> None:
        self.id = id
        self.check = check
        self.case = case
        self.first = case.first
        self.worst: Severity = case.severity
        #: among those of its check
        self.place = 0
        self.resolved: float | None = None
        self.told_severity: Severity | None = None
        self.told_count = 0
        self._row: tuple[Case, float | None, dict[str, Any]] | None = None

    def update(self, case: Case, place: int) -> None:
        """Take over what the latest look found."""
        self.case = case
        self.place = place
        self.first = min(self.first, case.first)
        self.resolved = None
        if RANK[case.severity] > RANK[self.worst]:
            self.worst = case.severity

    @property
    def is_news(self) -> bool:
        """Tell whether it is new, or worse than what was told."""
        told = self.told_severity
        return told is None or RANK[self.case.severity] > RANK[told] or self.case.count >= TENFOLD * self.told_count

    def row(self, clock: Clock) -> dict[str, Any]:
        """Return the interface's finding row; what is over is no worse than `info`, `worst_severity` tells what it was.

        Made anew only when the case has changed: its stack's lines are read from files.
        """
        made = self._row
        if made is None or made[0] != self.case or made[1] != self.resolved:
            made = self._row = (self.case, self.resolved, self._make_row(clock))
        return dict(made[2])

    def _make_row(self, clock: Clock) -> dict[str, Any]:
        case = self.case
        stack = case.stack[-STACK:]
        unread = max(0, len(stack) - SOURCES)
        sources = [""] * unread + [source_line(frame.file, frame.line) for frame in stack[unread:]]
        facts = {name: safe_value(value, 5) for name, value in case.facts.items()}
        return {
            **facts,
            "id": self.id,
            "kind": self.check.kind,
            "severity": case.severity if self.resolved is None else "info",
            "state": "open" if self.resolved is None else "resolved",
            "worst_severity": self.worst,
            "title": self.check.summary,
            "summary": safe_text(self.check.format(case), SENTENCE),
            "hint": safe_text(self.check.hint(case), SENTENCE),
            "culprit": _culprit(case),
            "count": case.count,
            "first": clock.rfc3339(self.first),
            "last": clock.rfc3339(case.last),
            "resolved": clock.rfc3339(self.resolved),
            "greenlet": ident(case.greenlet),
            "group": ident(case.group),
            "stack": sites(stack, sources),
        }


class Diagnosis:
    """The findings about one feed's process. Used from the feed's thread only."""

    def __init__(self, feed: "Feed", checks: tuple[type[Check], ...] = CHECKS) -> None:
        self._feed = feed
        self.ledger = Ledger()
        self.watchdog = Watchdog(feed, self.ledger)
        self.surveyor = Surveyor(feed)
        self._checks = [check() for check in checks]
        self._due = {check: feed.now + check.every for check in self._checks}
        self._faults = dict.fromkeys(self._checks, 0)
        self._listeners: dict[str, list[Check]] = {}
        for check in self._checks:
            for kind in check.events:
                self._listeners.setdefault(kind, []).append(check)
        self._read = feed.seq
        self._findings: dict[str, Finding] = {}

    async def watch(self) -> None:
        """Let the watchdog look, until cancelled."""
        await self.watchdog.run()

    # -- on the tick

    def read(self) -> None:
        """Hand what has happened since the last call to those who want to know."""
        ring, surveyor = self._feed.ring, self.surveyor
        for entry in ring.after(self._read):
            if entry.kind in _ENDS:
                surveyor.on_end(entry)
                if is_long(entry):
                    self.watchdog.on_end(entry)
            for check in self._listeners.get(entry.kind, ()):
                try:
                    check.on_event(entry)
                except Exception as error:
                    self._fail(check, error)
        self._read = ring.last_seq

    def steps(self) -> Iterator[None]:
        """Do what is due on a tick, in short steps."""
        self.read()
        feed = self._feed
        self.surveyor.advance(feed.now)
        yield
        for check in list(self._checks):
            now = feed.now
            if now < self._due[check]:
                continue
            self._due[check] = now + check.every
            scene = Scene(feed, self.watchdog, now, self.surveyor.latest, self.surveyor.previous)
            try:
                self._enter(check, list(check.check(scene)), now)
            except Exception as error:
                self._fail(check, error)
            yield
        self._age(feed.now)

    def _enter(self, check: Check, cases: list[Case], now: float) -> None:
        """Open, update and resolve the findings of one check."""
        seen = set()
        for case in cases:
            id = _id(check.kind, case.key)
            if id in seen:
                continue
            seen.add(id)
            finding = self._findings.get(id)
            if finding is None:
                finding = self._findings[id] = Finding(id, check, case)
            elif finding.resolved is not None and now - finding.resolved > FLAPPING:
                finding.told_severity, finding.worst = None, case.severity
            finding.update(case, len(seen))
            if finding.is_news:
                self._tell(finding)
        for finding in self._findings.values():
            if finding.check is check and finding.id not in seen and finding.resolved is None:
                finding.resolved = now

    def _tell(self, finding: Finding) -> None:
        case, check = finding.case, finding.check
        phase = "new" if finding.told_severity is None else "worse"
        finding.told_severity, finding.told_count = case.severity, case.count
        fields: dict[str, Any] = {
            "id": finding.id,
            "finding": check.kind,
            "phase": phase,
            "severity": case.severity,
            "summary": safe_text(check.format(case), SENTENCE),
            "culprit": _culprit(case),
            "count": case.count,
        }
        if case.greenlet is not None:
            fields["greenlet"] = str(case.greenlet)
        if case.group is not None:
            fields["group"] = str(case.group)
        self._feed.publish("finding", **fields)

    def _age(self, now: float) -> None:
        """Forget what was resolved long ago, and the oldest when there are too many."""
        findings = self._findings
        for id in [f.id for f in findings.values() if f.resolved is not None and now - f.resolved > REMEMBERED]:
            del findings[id]
        while len(findings) > MOST:
            least = min(findings.values(), key=lambda f: (f.resolved is None, f.case.last))
            del findings[least.id]

    def _fail(self, check: Check, error: Exception) -> None:
        self._feed.report_fault(f"check {check.kind}", error)
        self._faults[check] += 1
        if self._faults[check] >= MOST_FAULTS and check in self._checks:
            self._checks.remove(check)
            for listeners in self._listeners.values():
                if check in listeners:
                    listeners.remove(check)

    # -- questions

    def rows(self) -> list[dict[str, Any]]:
        """Return all findings: the open ones first, worst first, in the order of the checks; then what is over."""
        order = {check: place for place, check in enumerate(self._checks)}
        ordered = sorted(
            self._findings.values(),
            key=lambda f: (f.resolved or 0.0, -RANK[f.case.severity], order.get(f.check, len(order)), f.place),
        )
        return [finding.row(self._feed.clock) for finding in ordered]

    def cost(self) -> dict[str, float]:
        """Return what the watchdog costs; see `Watchdog.cost`."""
        return self.watchdog.cost()


def _id(kind: str, key: tuple[object, ...]) -> str:
    """Return the same id for the same kind and key, in every process."""
    digest = hashlib.blake2s(repr((kind, key)).encode("utf-8", "backslashreplace"), digest_size=6)
    return f"{kind}-{digest.hexdigest()}"


def _culprit(case: Case) -> dict[str, Any]:
    """Return `{file, line, function, greenlet}` and the line's source; Nones where it is not known."""
    place = site(case.culprit) or {"file": None, "line": None, "function": None}
    source = "" if case.culprit is None else safe_text(source_line(case.culprit.file, case.culprit.line))
    return {**place, "greenlet": ident(case.greenlet), "source": source}
