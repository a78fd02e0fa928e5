"""Hubs that are blocked: found while it lasts and afterwards, with the line."""

import pytest

from greenscope.app.model import HubSample, Site
from tests.app.findings.checks.desk import ABOVE, HERE, THERE, Desk, hold, hold_on


def test_block_is_critical_while_it_lasts_a_warning_afterwards_and_then_resolved(desk: Desk) -> None:
    desk.run(0.5)
    hold_on(desk, desk.now)
    desk.run(1.5, look=0.05)
    row = desk.row("blocked")
    assert row["severity"] == "critical"
    assert "crunch (jobs.py:41) has held the hub of watched for 1.5" in row["summary"]
    assert row["culprit"]["line"] == 41
    assert row["culprit"]["greenlet"] == "1"
    desk.probe.hubs = list  # type: ignore[method-assign]
    desk.run(1.0, look=0.05)
    row = desk.row("blocked")
    assert row["severity"] == "warning"
    assert "crunch (jobs.py:41) blocked the hub of watched for 1.5 s" in row["summary"]
    desk.run(125)
    (row,) = desk.rows("blocked", "resolved")
    assert (row["severity"], row["worst_severity"]) == ("info", "critical")


def test_blocks_are_a_ledger_by_call_site(desk: Desk) -> None:
    for seconds in (0.5, 0.25, 0.75):
        hold(desk, seconds)
    hold(desk, 0.5, site=THERE)
    first, second = sorted(desk.rows("blocked"), key=lambda row: -row["count"])
    assert (first["count"], first["culprit"]["line"]) == (3, 41)
    assert first["total"] == pytest.approx(1.5, abs=0.1)
    assert first["worst"] == pytest.approx(0.75, abs=0.05)
    assert (second["count"], second["culprit"]["line"]) == (1, 77)
    assert [frame["line"] for frame in first["stack"]] == [5, 41]
    assert first["first"] < first["last"]


def test_short_rare_block_is_a_note_and_a_frequent_one_a_warning(desk: Desk) -> None:
    hold(desk, 0.15)
    assert desk.row("blocked")["severity"] == "info"
    for _ in range(9):
        hold(desk, 0.15)
    assert desk.row("blocked")["severity"] == "warning"


def test_held_interpreter_is_told_with_the_culprit_afterwards(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.feed.diagnosis.watchdog, "_process_time", lambda: desk.now)
    desk.run(0.5, look=0.02)
    hold(desk, 1.25, held=1.0)
    row = desk.row("blocked")
    assert row["summary"].startswith("The interpreter was held for 1.0 s")
    assert "culprit afterwards: crunch (jobs.py:41)" in row["summary"]
    assert row["severity"] == "warning"


def test_slow_import_is_a_note_when_it_is_over(desk: Desk) -> None:
    begun = desk.now
    stack = (
        ABOVE,
        HERE,
        Site("<frozen importlib._bootstrap>", 1, "_find_and_load"),
        Site("/srv/app/big.py", 3, "<module>"),
    )
    desk.probe.hubs = lambda: [  # type: ignore[method-assign]
        HubSample("watched", 1, desk.now - begun, 1, None, desk.now, 1, blocked_in=stack)
    ]
    desk.run(0.75, look=0.05)
    desk.probe.hubs = list  # type: ignore[method-assign]
    desk.run(0.5)
    row = desk.row("blocked")
    assert row["severity"] == "info"
    assert row["hint"].startswith("It imports a module")


def test_crowded_turns_are_notes_until_they_come_again_and_again(desk: Desk) -> None:
    hold(desk, 1.0, running=tuple(range(1, 20)))
    assert desk.row("blocked")["severity"] == "info"
    assert "many greenlets" in desk.row("blocked")["summary"]
    for _ in range(2):
        hold(desk, 1.0, running=tuple(range(1, 20)))
    assert desk.row("blocked")["severity"] == "warning"
