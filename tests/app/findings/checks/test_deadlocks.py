"""Deadlocks: found with each member's line; circles that move and long chains are none."""

from tests.app.findings.checks.desk import HERE, THERE, Desk


def test_deadlock_names_each_members_line_and_is_critical(desk: Desk) -> None:
    a = desk.parked("one", "rlock", place=HERE, name="A", owner=2)
    b = desk.parked("two", "rlock", place=THERE, name="B", owner=1)
    desk.run(6)
    row = desk.row("deadlock")
    assert row["severity"] == "critical"
    assert row["count"] == 2
    assert [member["greenlet"] for member in row["members"]] == [str(a), str(b)]
    assert "one-1 at crunch (jobs.py:41) (rlock A) waits for two-2 at collect (jobs.py:77) (rlock B)" in row["summary"]


def test_deadlock_that_is_broken_up_is_resolved(desk: Desk) -> None:
    a = desk.parked("one", "rlock", owner=2)
    desk.parked("two", "rlock", owner=1)
    desk.run(6)
    desk.probe.die(a)
    desk.run(4)
    assert desk.rows("deadlock") == []
    assert len(desk.rows("deadlock", "resolved")) == 1


def test_circle_that_moves_is_no_deadlock(desk: Desk) -> None:
    a, b = desk.parked("one", "rlock", owner=2), desk.parked("two", "rlock", owner=1)

    def move() -> None:
        for id, other in ((a, b), (b, a)):
            desk.probe.run(id)
            desk.probe.park(id, "rlock", owner=other)

    desk.run(30, move)
    assert desk.rows("deadlock") == []


def test_long_chain_of_waiters_is_no_deadlock(desk: Desk) -> None:
    previous = desk.parked("root", "event")
    for _ in range(200):
        previous = desk.parked("next", "join", target=previous)
    desk.run(20)
    assert desk.rows("deadlock") == []
