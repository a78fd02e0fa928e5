"""Pools that run dry: found with who holds them; full ones without waiters are fine."""

from tests.app.findings.checks.desk import Desk


def fill_pool(desk: Desk, size: int = 2) -> tuple[int, list[int]]:
    pool = desk.probe.open_group("fetchers", size)
    members = []
    for _ in range(size):
        id = desk.parked("fetch", "socket.recv")
        desk.probe.enter(pool, id)
        members.append(id)
        desk.run(0.25)
    desk.probe.set_waiters(pool, 3)
    return pool, members


def test_dry_pool_names_the_longest_holder_and_its_line(desk: Desk) -> None:
    pool, members = fill_pool(desk)
    desk.run(4)
    row = desk.row("pool_dry")
    assert (row["severity"], row["group"], row["greenlet"]) == ("info", str(pool), str(members[0]))
    assert row["culprit"]["line"] == 41
    assert "Pool fetchers is full: 3 wait for one of 2 slots" in row["summary"]
    assert "at crunch (jobs.py:41)" in row["summary"]


def test_dry_pool_is_a_warning_when_nobody_leaves(desk: Desk) -> None:
    fill_pool(desk)
    desk.run(8)
    row = desk.row("pool_dry")
    assert row["severity"] == "warning"
    assert "nobody has left for" in row["summary"]


def test_dry_pool_that_turns_over_stays_a_note(desk: Desk) -> None:
    pool, members = fill_pool(desk)

    def turn_over() -> None:
        desk.probe.succeed(members.pop(0))
        members.append(desk.parked("fetch", "socket.recv"))
        desk.probe.enter(pool, members[-1])

    desk.run(20, turn_over)
    assert desk.row("pool_dry")["severity"] == "info"


def test_full_pool_without_waiters_is_fine(desk: Desk) -> None:
    pool, _ = fill_pool(desk)
    desk.probe.set_waiters(pool, 0)
    desk.run(8)
    assert desk.rows("pool_dry") == []
