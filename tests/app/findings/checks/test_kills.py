"""Kills that are ignored: found with the line; those that were obeyed are none."""

from tests.app.findings.checks.desk import Desk


def test_killed_but_not_dead_is_told_with_its_line(desk: Desk) -> None:
    id = desk.parked("stubborn")
    desk.probe.swallow_kills(id)
    desk.run(0.5)
    desk.probe.kill(id, 0.1)
    desk.run(1.0)
    assert desk.rows("kill_ignored") == []
    desk.run(5.0)
    row = desk.row("kill_ignored")
    assert (row["severity"], row["greenlet"], row["culprit"]["line"]) == ("warning", str(id), 41)
    assert "stubborn-1 was to be killed" in row["summary"]
    assert "still stands at crunch (jobs.py:41)" in row["summary"]
    desk.probe.succeed(id)
    desk.run(2.5)
    assert desk.rows("kill_ignored") == []


def test_killed_and_dead_is_no_finding(desk: Desk) -> None:
    id = desk.parked("mortal")
    desk.run(0.5)
    desk.probe.kill(id, 0.1)
    desk.run(10)
    assert desk.rows("kill_ignored") == []


def test_kill_whose_event_was_dropped_is_found_by_the_survey(desk: Desk) -> None:
    id = desk.parked("stubborn")
    desk.run(0.5)
    desk.probe.alive[id].kill_requested = desk.now
    desk.run(14)
    assert desk.row("kill_ignored")["greenlet"] == str(id)
