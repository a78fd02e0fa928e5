"""The observer's own losses and faults are notes."""

from tests.app.findings.checks.desk import Desk


def test_drops_and_faults_of_the_observer_are_notes(desk: Desk) -> None:
    desk.probe.lose("spawned", 12)
    desk.probe.faults = ["switch tracing: displaced by another tool"]  # type: ignore[attr-defined]
    desk.run(2.5)
    rows = {row["what"]: row for row in desk.rows("observer")}
    assert rows["dropped"]["count"] == 12
    assert "displaced" in rows["faults"]["summary"]
    assert {row["severity"] for row in rows.values()} == {"info"}
