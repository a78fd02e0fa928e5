"""Greenlets that are parked for long: grouped by place; those that come and go are none."""

from tests.app.findings.checks.desk import HERE, THERE, Desk


def test_parked_greenlets_are_grouped_by_place_with_age_and_what_for(desk: Desk) -> None:
    first = desk.parked(kind="queue.get", name="jobs")
    for _ in range(9):
        desk.parked(kind="queue.get", name="jobs")
    desk.parked(kind="event", place=THERE)
    desk.parked(kind="sleep")
    desk.run(45)
    rows = desk.rows("parked")
    assert [(row["count"], row["culprit"]["line"]) for row in rows] == [(10, 41), (1, 77)]
    assert {row["severity"] for row in rows} == {"info"}
    assert rows[0]["waiting_on"] == "queue.get"
    assert rows[0]["greenlet"] == str(first)
    assert rows[0]["oldest"] > 30
    assert "10 greenlets wait for queue.get jobs at crunch (jobs.py:41)" in rows[0]["summary"]


def test_those_who_come_and_go_are_not_parked_for_long(desk: Desk) -> None:
    ids = [desk.parked() for _ in range(5)]

    def move() -> None:
        for id in ids:
            desk.probe.run(id)
            desk.probe.park(id, "socket.recv", place=HERE)

    desk.run(60, move)
    assert desk.rows("parked") == []


def test_parked_group_that_only_grows_becomes_a_warning(desk: Desk) -> None:
    desk.run(120, lambda: desk.parked())
    row = desk.row("parked")
    assert row["severity"] == "warning"
    assert "more than 60 s ago" in row["summary"]
