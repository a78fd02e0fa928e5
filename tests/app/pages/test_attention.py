"""What is wrong, first: each rule by itself, and the order."""

from typing import Any

from greenscope.app.pages.attention import find_attention

CALM: dict[str, Any] = {"hubs": [], "sample_age": 0.1, "fault": "", "dropped": {}}
STILL = {"10s": {"failed": 0.0}}


def summaries(health: dict[str, Any] | None = None, **given: Any) -> list[tuple[str, str]]:
    items = find_attention(
        {**CALM, **(health or {})},
        given.get("groups", []),
        given.get("counts", {}),
        given.get("rates", STILL),
        given.get("findings", []),
    )
    return [(item["severity"], item["summary"]) for item in items]


def test_healthy_program_needs_no_attention() -> None:
    assert summaries() == []


def test_slow_hub_is_a_warning_and_a_stuck_one_critical() -> None:
    hub = {
        "thread": "main",
        "lag": 0.2,
        "running": "7",
        "blocked_in": [{"file": "/a/b.py", "line": 3, "function": "f"}],
    }
    assert summaries({"hubs": [hub]}) == [("warning", "Hub main has not turned for 200\u202fms")]
    assert summaries({"hubs": [{**hub, "lag": 3.0}]})[0][0] == "critical"
    assert summaries({"hubs": [{**hub, "lag": 0.05}]}) == []
    (item,) = find_attention({**CALM, "hubs": [hub]}, [], {}, STILL)
    assert item["hint"] == "in b.py:3 f"
    assert item["link"] == "/greenlets/7"


def test_full_pool_is_named_only_while_somebody_waits() -> None:
    pool = {"id": "3", "name": "db", "active": 8, "size": 8, "waiters": 2}
    assert summaries(groups=[pool]) == [("warning", "Pool db is full: 2 wait for one of 8 slots")]
    assert summaries(groups=[{**pool, "waiters": 0}, {**pool, "active": 3}]) == []
    assert summaries(groups=[{**pool, "size": None, "waiters": None}]) == []


def test_failures_warn_while_they_happen() -> None:
    assert summaries(counts={"failed": 3}) == [("info", "3 failed so far")]
    assert summaries(counts={"failed": 3}, rates={"10s": {"failed": 0.3}}) == [("warning", "0.3 failures a second")]


def test_worst_comes_first() -> None:
    found = summaries(
        {"fault": "KeyError in the feed", "dropped": {"spawned": 1204}, "sample_age": 9.0},
        findings=[{"severity": "warning", "summary": "leak", "culprit": {"file": "/a.py", "line": 1, "function": "f"}}],
    )
    assert [severity for severity, _ in found] == ["critical", "warning", "warning", "info"]
    assert found[-1][1] == "1,204 events were dropped"
