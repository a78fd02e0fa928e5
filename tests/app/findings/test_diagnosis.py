"""Diagnosis as a whole: ids, ageing, events, faults of checks; and the parts that checks stand on."""

import asyncio
import dataclasses
import os
import time
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import greenscope.app
from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed
from greenscope.app.findings.case import Case, Check, Scene, Severity
from greenscope.app.findings.checks import CHECKS
from greenscope.app.findings.checks.deadlocks import prune
from greenscope.app.findings.diagnosis import FLAPPING, MOST, REMEMBERED, Diagnosis
from greenscope.app.findings.ledger import MOST_SITES, Block, Ledger
from greenscope.app.findings.sites import program_site, short, span, times
from greenscope.app.findings.survey import EVERY
from greenscope.app.model import Site
from greenscope.app.waits import find_cycles

HERE = Site("/srv/app/jobs.py", 41, "crunch")


class Scripted(Check):
    """Finds what the test says."""

    kind = "scripted"
    summary = "For tests"
    every = 1.0
    cases: list[Case] = []
    runs = 0
    broken = False

    def check(self, scene: Scene) -> Iterable[Case]:
        type(self).runs += 1
        if self.broken:
            raise RuntimeError("a bug of ours")
        return self.cases

    def format(self, case: Case) -> str:
        return f"found {case.count} at {short(case.culprit)}"


class Desk:
    """A feed with one scripted check."""

    def __init__(self) -> None:
        Scripted.cases, Scripted.runs, Scripted.broken = [], 0, False
        self.now = 100.0
        self.probe = FakeProbe(clock=lambda: self.now)
        self.feed = Feed(self.probe, clock=lambda: self.now, wall=lambda: 1_700_000_000.0)
        self.feed.diagnosis = Diagnosis(self.feed, (Scripted,))

    def find(self, *cases: Case, seconds: float = 1.0) -> list[dict[str, Any]]:
        """Let the check find these for so many seconds, one second at a time; return the rows then."""
        Scripted.cases = list(cases)
        for _ in range(round(seconds)):
            self.now += 1.0
            self.feed.tick()
        return self.feed.findings()

    def told(self) -> list[dict[str, Any]]:
        return self.feed.recent_events(["finding"])[::-1]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def case(severity: Severity = "warning", count: int = 1, key: object = "one", **options: Any) -> Case:
    return Case((key,), severity, HERE, count, 99.0, 100.0, **options)


def test_row_has_the_interfaces_fields(desk: Desk) -> None:
    (row,) = desk.find(case(greenlet=7, group=3, stack=(HERE,), facts={"extra": 1.5, "count": 99}))
    assert row["kind"] == "scripted"
    assert row["severity"] == "warning"
    assert row["summary"] == "found 1 at crunch (jobs.py:41)"
    assert row["culprit"] == {
        "file": "/srv/app/jobs.py", "line": 41, "function": "crunch", "greenlet": "7", "source": "",
    }  # fmt: skip
    assert (row["count"], row["extra"], row["greenlet"], row["group"]) == (1, 1.5, "7", "3")
    assert row["first"] == "2023-11-14T22:13:19.000Z"
    assert row["last"] == "2023-11-14T22:13:20.000Z"
    assert row["stack"] == [{"file": "/srv/app/jobs.py", "line": 41, "function": "crunch", "source": ""}]


def test_source_of_the_culprit_is_shown_where_it_can_be_read(desk: Desk) -> None:
    here = Site(__file__, 1, "<module>")
    (row,) = desk.find(dataclasses.replace(case(), culprit=here))
    assert row["culprit"]["source"].startswith('"""Diagnosis as a whole')


def test_id_is_the_same_for_the_same_thing(desk: Desk) -> None:
    (first,) = desk.find(case())
    (second,) = desk.find(case("critical", count=50))
    assert first["id"] == second["id"]
    assert Desk().find(case())[0]["id"] == first["id"]
    assert desk.find(case(key="other"))[0]["id"] != first["id"]


def test_finding_that_no_longer_holds_is_resolved_then_forgotten(desk: Desk) -> None:
    desk.find(case("critical"))
    (row,) = desk.find(seconds=2)
    assert (row["state"], row["severity"], row["worst_severity"]) == ("resolved", "info", "critical")
    assert row["resolved"] is not None
    assert len(desk.find(seconds=REMEMBERED - 5)) == 1
    assert desk.find(seconds=10) == []


def test_finding_that_comes_back_is_open_again(desk: Desk) -> None:
    desk.find(case())
    desk.find(seconds=2)
    (row,) = desk.find(case())
    assert (row["state"], row["resolved"]) == ("open", None)


def test_finding_is_told_once_and_again_when_it_gets_worse(desk: Desk) -> None:
    desk.find(case("info"), seconds=10)
    assert [(event["phase"], event["severity"]) for event in desk.told()] == [("new", "info")]
    desk.find(case("critical"), seconds=10)
    desk.find(case("warning"), seconds=10)
    desk.find(case("critical", count=9), seconds=10)
    desk.find(case("critical", count=10), seconds=10)
    assert [(event["phase"], event["severity"], event["count"]) for event in desk.told()[1:]] == [
        ("worse", "critical", 1),
        ("worse", "critical", 10),
    ]
    assert desk.told()[0]["finding"] == "scripted"
    assert desk.told()[0]["culprit"]["line"] == 41


def test_flapping_finding_is_not_told_each_time(desk: Desk) -> None:
    for _ in range(10):
        desk.find(case(), seconds=2)
        desk.find(seconds=2)
    assert len(desk.told()) == 1
    desk.find(seconds=FLAPPING + 2)
    desk.find(case())
    assert len(desk.told()) == 2


def test_worst_come_first_and_what_is_over_last(desk: Desk) -> None:
    desk.find(case("critical", key="over"))
    rows = desk.find(
        case("info", key="a"), case("warning", key="b"), case("critical", key="c"), case("warning", key="d")
    )
    assert [row["severity"] for row in rows] == ["critical", "warning", "warning", "info", "info"]
    assert [row["state"] for row in rows] == ["open"] * 4 + ["resolved"]


def test_findings_are_bounded(desk: Desk) -> None:
    assert len(desk.find(*(case(key=number) for number in range(MOST + 100)))) == MOST


def test_checks_run_no_more_often_than_they_say(desk: Desk) -> None:
    for _ in range(40):
        desk.now += 0.25
        desk.feed.tick()
    assert Scripted.runs == 10


def test_check_that_fails_is_reported_and_then_switched_off(desk: Desk) -> None:
    Scripted.broken = True
    desk.find(seconds=10)
    assert Scripted.runs == 3
    assert "check scripted" in desk.feed.fault
    assert desk.feed.counts()


def test_hostile_facts_make_a_row_all_the_same(desk: Desk) -> None:
    facts = {"text": "\x00" * 10_000, "number": float("inf"), "deep": [[[[[[["x"]]]]]]], "site": HERE}
    (row,) = desk.find(case(facts=facts))
    assert len(row["text"]) <= 200
    assert row["number"] is None
    assert row["site"]["line"] == 41


def test_every_check_says_what_it_is_for() -> None:
    kinds = [check.kind for check in CHECKS]
    assert len(set(kinds)) == len(kinds) >= 9
    assert all(check.summary for check in CHECKS)


# -- surveys


def test_survey_of_a_hundred_thousand_is_spread_over_ticks() -> None:
    now = 100.0
    probe = FakeProbe(clock=lambda: now)
    feed = Feed(probe, clock=lambda: now)
    for _ in range(100_000):
        probe.add("idle", created=now)
    feed.tick()
    surveyor = feed.diagnosis.surveyor
    slowest, ticks = 0.0, 0
    while surveyor.latest is None:
        now += 0.25
        begun = time.perf_counter()
        surveyor.advance(now)
        slowest = max(slowest, time.perf_counter() - begun)
        ticks += 1
        assert ticks < 2_000
    assert ticks > 10
    assert slowest < 0.1
    assert surveyor.latest.seen == 100_000


def test_surveys_begin_ten_seconds_apart() -> None:
    now = 100.0
    probe = FakeProbe(clock=lambda: now)
    feed = Feed(probe, clock=lambda: now)
    probe.add("idle")
    for _ in range(240):
        now += 0.25
        feed.tick()
    latest, previous = feed.diagnosis.surveyor.latest, feed.diagnosis.surveyor.previous
    assert latest is not None
    assert previous is not None
    assert latest.began - previous.began == pytest.approx(EVERY, abs=0.3)
    assert latest.number == 6


# -- the culprit's line


def test_program_site_is_the_innermost_of_the_programs_own() -> None:
    app = Site("/srv/app/jobs.py", 41, "crunch")
    installed = Site("/srv/venv/lib/python3.11/site-packages/lib/x.py", 3, "get")
    standard = Site(asyncio.__file__, 4, "run")
    gevent = Site("/srv/venv/lib/python3.11/site-packages/gevent/hub.py", 5, "switch")
    runtime = Site(os.path.join(os.path.dirname(os.path.dirname(greenscope.app.__file__)), "runtime/x.py"), 6, "park")
    assert program_site((app, installed, standard)) == app
    assert program_site((standard, installed, gevent)) == installed
    assert program_site((app, installed, runtime)) == app
    assert program_site((standard, gevent)) == gevent
    assert program_site(()) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.00012, "0.12 ms"), (0.31, "0.31 s"), (4.26, "4.3 s"), (75.2, "75 s"), (125, "2 min 5 s"), (7300, "2 h 1 min")],
)
def test_span_is_readable(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_times_knows_one_and_many() -> None:
    assert (times(1, "slot"), times(2_000, "slot")) == ("1 slot", "2,000 slots")


# -- the ledger


def test_ledger_is_bounded_and_keeps_what_is_open() -> None:
    ledger = Ledger()
    ledger.show(Block("hub", 0.0, 0.5, Site("/a.py", 0, "open"), {0: 1}))
    for line in range(MOST_SITES + 50):
        ledger.book(Block("hub", float(line), 0.2, Site("/a.py", line, f"f{line}"), {line: 1}))
    assert len(ledger) == MOST_SITES
    assert any(entry.open is not None for entry in ledger.entries())


def test_two_calls_of_one_function_are_two_sites() -> None:
    ledger = Ledger()
    for line in (10, 20, 10):
        ledger.book(Block("hub", 0.0, 0.2, Site("/a.py", line, "f"), {line: 200}))
    assert sorted(entry.count for entry in ledger.entries()) == [1, 2]


# -- circles


@given(st.dictionaries(st.integers(1, 15), st.integers(1, 15)))
def test_pruning_keeps_every_circle(links: dict[int, int]) -> None:
    assert find_cycles(prune(links)) == find_cycles(links) or {tuple(c) for c in find_cycles(prune(links))} == {
        tuple(c) for c in find_cycles(links)
    }
