"""Spawn sites that only grow: found with their slope; a busy turnover is no leak."""

import pytest

from tests.app.findings.checks.desk import ABOVE, Desk


def test_leak_names_the_spawn_site_and_its_slope(desk: Desk) -> None:
    desk.run(40, lambda: desk.parked("handle", "socket.recv"))
    assert desk.row("leak")["severity"] == "info"
    desk.run(40, lambda: desk.parked("handle", "socket.recv"))
    row = desk.row("leak")
    assert row["severity"] == "warning"
    assert (row["culprit"]["file"], row["culprit"]["line"]) == (ABOVE.file, ABOVE.line)
    assert row["slope"] == pytest.approx(4.0, rel=0.1)
    assert "+240 a minute" in row["summary"]


def test_busy_turnover_is_no_leak(desk: Desk) -> None:
    alive = [desk.parked("handle") for _ in range(50)]

    def turn_over() -> None:
        desk.probe.succeed(alive.pop(0))
        alive.append(desk.parked("handle"))

    desk.run(90, turn_over)
    assert desk.rows("leak") == []
