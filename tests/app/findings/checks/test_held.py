"""An interpreter that is held, and a process that stands still."""

import pytest

from tests.app.findings.checks.desk import Desk


def test_interpreter_held_while_hubs_idle_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.feed.diagnosis.watchdog, "_process_time", lambda: desk.now)
    desk.run(0.5, look=0.02)
    desk.now += 1.5
    desk.run(2.5, look=0.02)
    row = desk.row("interpreter_held")
    assert row["severity"] == "warning"
    assert "held the interpreter for 1.4 s" in row["summary"]


def test_process_that_stood_still_is_a_note(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.feed.diagnosis.watchdog, "_process_time", lambda: 0.0)
    desk.run(0.5, look=0.02)
    desk.now += 5
    desk.run(2.5, look=0.02)
    row = desk.row("interpreter_held")
    assert row["severity"] == "info"
    assert "thread did not run for 4.9 s, nor did any other" in row["summary"]
