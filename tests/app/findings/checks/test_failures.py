"""Failures: grouped by exception and raising line, told safely whatever their names."""

from greenscope.app.model import Site
from tests.app.findings.checks.desk import ABOVE, HERE, THERE, Desk


def test_failures_are_grouped_by_exception_and_raising_line(desk: Desk) -> None:
    for number in range(5):
        id = desk.parked("fetch")
        desk.probe.fail(id, "KeyError", f"'{number}'", (ABOVE, HERE))
    id = desk.parked("fetch")
    desk.probe.fail(id, "OSError", "no route", (ABOVE, THERE))
    desk.run(2.5)
    rows = {row["exception"]: row for row in desk.rows("failed")}
    assert (rows["KeyError"]["count"], rows["KeyError"]["culprit"]["line"]) == (5, 41)
    assert (rows["OSError"]["count"], rows["OSError"]["culprit"]["line"]) == (1, 77)
    assert rows["OSError"]["severity"] == "warning"
    assert rows["KeyError"]["spawn_site"]["line"] == ABOVE.line
    assert (
        "5 greenlets died of KeyError raised at crunch (jobs.py:41), spawned at main (main.py:5)"
        in (rows["KeyError"]["summary"])
    )
    desk.run(310)
    assert desk.rows("failed") == []
    assert len(desk.rows("failed", "resolved")) == 2


def test_failures_of_hostile_names_make_safe_sentences(desk: Desk) -> None:
    id = desk.parked("fetch")
    desk.probe.fail(id, "X" * 5_000, "\x00\u202e" * 500, (Site("/srv/\udcff\n.py", 1, "f\u202e"),))
    desk.run(2.5)
    row = desk.row("failed")
    assert len(row["summary"]) <= 500
    assert row["summary"].isprintable()
    assert row["hint"].isprintable()
