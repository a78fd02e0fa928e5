"""What is wrong, first: findings, and what the figures of this moment already tell.

Each item has a severity, one sentence, a hint on what it means, and where to look. `static/js/attention.js` applies the
same rules to the stream's figures.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from greenscope.app.pages.filters import count, duration, place, rate
from greenscope.app.pages.slots import level_of

SLOW_LAG, STUCK_LAG, OLD_SAMPLE = 0.1, 1.0, 5.0
_ORDER = {"critical": 0, "warning": 1, "info": 2}

Item = Mapping[str, str]


def find_attention(
    health: Mapping[str, Any],
    groups: Iterable[Mapping[str, Any]],
    counts: Mapping[str, int],
    rates: Mapping[str, Mapping[str, float]],
    findings: Iterable[Mapping[str, Any]] = (),
) -> Sequence[Item]:
    """Return what deserves a look, worst first."""
    items = [
        *_of_findings(findings),
        *_of_hubs(health),
        *_of_groups(groups),
        *_of_failures(counts, rates),
        *_of_drops(health),
    ]
    return sorted(items, key=lambda item: _ORDER[item["severity"]])


def _item(severity: str, summary: str, hint: str, link: str = "") -> Item:
    return {"severity": severity, "summary": summary, "hint": hint, "link": link}


def _of_findings(findings: Iterable[Mapping[str, Any]]) -> Iterable[Item]:
    for finding in findings:
        severity = str(finding.get("severity", "info"))
        culprit = finding.get("culprit") or {}
        greenlet = culprit.get("greenlet")
        hint = place(culprit) if culprit.get("file") else str(finding.get("kind", ""))
        yield _item(
            severity if severity in _ORDER else "info",
            str(finding.get("summary", "")),
            hint,
            f"/greenlets/{greenlet}" if greenlet else "",
        )


def _of_hubs(health: Mapping[str, Any]) -> Iterable[Item]:
    for hub in health.get("hubs") or ():
        lag = hub.get("lag") or 0.0
        if lag < SLOW_LAG:
            continue
        running = hub.get("running")
        blocked = hub.get("blocked_in") or ()
        hint = f"in {place(blocked[-1])}" if blocked else "All others wait until it gives way."
        yield _item(
            "critical" if lag >= STUCK_LAG else "warning",
            f"Hub {hub.get('thread') or ''} has not turned for {duration(lag)}",
            hint,
            f"/greenlets/{running}" if running else "",
        )
    age = health.get("sample_age")
    if age is not None and age >= OLD_SAMPLE:
        yield _item(
            "warning", f"No sample for {duration(age)}", "Something holds the interpreter; this recovers by itself."
        )
    if health.get("fault"):
        yield _item(
            "critical", f"The watching itself failed: {health['fault']}", "The program goes on; figures may be old."
        )


def _of_groups(groups: Iterable[Mapping[str, Any]]) -> Iterable[Item]:
    for group in groups:
        if level_of(group["active"], group["size"], group["waiters"]) == "bad":
            yield _item(
                "warning",
                f"Pool {group['name'] or group['id']} is full: "
                f"{count(group['waiters'])} wait for one of {count(group['size'])} slots",
                "Resize it, or look at its longest running members.",
                f"/groups/{group['id']}",
            )


def _of_failures(counts: Mapping[str, int], rates: Mapping[str, Mapping[str, float]]) -> Iterable[Item]:
    failed, lately = counts.get("failed", 0), rates.get("10s", {}).get("failed", 0.0)
    if not failed:
        return
    link = "/greenlets?state=failed&sort=-ended"
    if lately >= 0.05:
        yield _item("warning", f"{rate(lately)} failures a second", f"{count(failed)} have failed so far.", link)
    else:
        yield _item("info", f"{count(failed)} failed so far", "None in the last ten seconds.", link)


def _of_drops(health: Mapping[str, Any]) -> Iterable[Item]:
    dropped = sum((health.get("dropped") or {}).values())
    if dropped:
        yield _item(
            "info",
            f"{count(dropped)} events were dropped",
            "They came faster than they could be kept; states are right, the tail has holes.",
        )
