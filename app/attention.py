"""What deserves a look, worst first: the open findings as lines, and which greenlets they name.

The checks are the only rules; pages and live views show what is said here and judge nothing themselves. One rule is
added that no check can have: that the newest sample is old, since checks look at samples.

Findings are made into rows when somebody asks, and that reads source lines; so all who look at one feed share an
`Alerts`, which asks at most once a second.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote
from weakref import WeakKeyDictionary, proxy

from greenscope.app.feed import Feed
from greenscope.app.findings.case import RANK
from greenscope.app.findings.sites import span

#: seconds after which a sample is old
OLD_SAMPLE: Final = 5.0
#: seconds for which rows are kept
KEEP: Final = 1.0
#: facts of a finding that name more greenlets than its own
_NAMING: Final = ("ids", "members")

#: a severity, and what one and several of it are called
_WORDS: Final = (("critical", "critical", "critical"), ("warning", "warning", "warnings"), ("info", "note", "notes"))

#: severity, summary, hint, and a link below the mount point ("" for none)
Item = Mapping[str, str]


def find_attention(findings: Iterable[Mapping[str, Any]], health: Mapping[str, Any]) -> list[Item]:
    """Return what deserves a look, worst first; findings of one severity stay in their order."""
    items = [_of_finding(finding) for finding in findings if finding["state"] == "open"]
    age = health.get("sample_age")
    if age is not None and age >= OLD_SAMPLE:
        items.append(
            {
                "severity": "warning",
                "summary": f"No sample for {span(age)}",
                "hint": "Something holds the interpreter or the hub; this recovers by itself.",
                "link": "",
            }
        )
    return sorted(items, key=lambda item: -RANK[item["severity"]])


def in_words(items: Sequence[Item]) -> str:
    """Count what deserves a look: `1 critical, 3 warnings, 2 notes` ("" for nothing)."""
    parts = []
    for severity, one, many in _WORDS:
        count = sum(item["severity"] == severity for item in items)
        if count:
            parts.append(f"{count} {one if count == 1 else many}")
    return ", ".join(parts)


def _of_finding(finding: Mapping[str, Any]) -> dict[str, str]:
    return {
        "severity": finding["severity"],
        "summary": finding["summary"],
        "hint": finding["hint"],
        "link": link_to(finding["id"]),
    }


def link_to(finding: str) -> str:
    """Return where a finding is told in whole, below the mount point: it is on that page however many there are."""
    return f"/findings?stack={quote(finding)}#{quote(finding)}"


def named_by(finding: Mapping[str, Any]) -> list[str]:
    """Return the ids of the greenlets that a finding names."""
    ids = [finding.get("greenlet")]
    for fact in _NAMING:
        ids += [part.get("id") if isinstance(part, Mapping) else part for part in finding.get(fact) or ()]
    return [str(id) for id in ids if id]


def count_open(findings: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many findings are open, by severity."""
    counts = dict.fromkeys(RANK, 0)
    for finding in findings:
        if finding["state"] == "open":
            counts[finding["severity"]] += 1
    return counts


class Alerts:
    """The findings of one feed as pages need them, asked for at most once a second."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._asked = float("-inf")
        self._rows: list[dict[str, Any]] = []
        self._marks: dict[str, dict[str, str]] = {}

    def rows(self) -> list[dict[str, Any]]:
        """Return the finding rows of now, or of a moment ago."""
        now = self._feed.now
        if now - self._asked >= KEEP:
            self._asked = now
            self._rows = list(self._feed.findings())
            self._marks = _marks(self._rows)
        return self._rows

    def items(self, health: Mapping[str, Any]) -> list[Item]:
        """Return what deserves a look."""
        return find_attention(self.rows(), health)

    def counts(self) -> dict[str, int]:
        """Return how many findings are open, by severity."""
        return count_open(self.rows())

    def marks(self, ids: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return those of these greenlets that an open finding above info names: {id: {severity, summary, finding}}."""
        self.rows()
        return {id: self._marks[id] for id in ids if id in self._marks}


def _marks(findings: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    marks: dict[str, dict[str, str]] = {}
    for finding in findings:
        if finding["state"] != "open" or finding["severity"] == "info":
            continue
        mark = {"severity": finding["severity"], "summary": finding["summary"], "finding": finding["id"]}
        for id in named_by(finding):
            marks.setdefault(id, mark)  # the worst comes first
    return marks


_of_feed: "WeakKeyDictionary[Feed, Alerts]" = WeakKeyDictionary()


def alerts_of(feed: Feed) -> Alerts:
    """Return the alerts of a feed that all its readers share. From the feed's thread."""
    alerts = _of_feed.get(feed)
    if alerts is None:
        # the feed must not be kept alive by what is kept about it
        alerts = _of_feed[feed] = Alerts(proxy(feed))
    return alerts
