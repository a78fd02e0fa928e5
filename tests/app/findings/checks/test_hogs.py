"""Functions that take the processor: found by their share, with the line where they run."""

from collections.abc import Callable

import pytest

from greenscope.app.backends.fake import ALL_CAPABILITIES, FakeProbe
from tests.app.findings.checks.desk import HERE, Desk


def busy_loop(desk: Desk, ids: list[int], lag: float) -> Callable[[], None]:
    """Return what lets these greenlets run by turns, 25 ms each, in every tick."""
    state = {"switches": 0}
    desk.probe.lag = lag

    def step() -> None:
        now = desk.now
        for index in range(10):
            desk.now = now - 0.25 + index * 0.025
            state["switches"] += 1
            desk.probe.run(ids[state["switches"] % len(ids)], HERE)
        desk.now = now

    return step


def test_hog_is_the_function_with_the_share_and_the_line_where_it_runs(desk: Desk) -> None:
    ids = [desk.probe.add("crunch", file="/srv/app/jobs.py", line=40) for _ in range(10)]
    for id in ids:
        desk.probe.start(id)
    desk.run(22, busy_loop(desk, ids, 0.0))
    row = desk.row("hog")
    assert row["severity"] == "info"
    assert row["culprit"]["line"] == 41
    assert row["share"] > 0.9
    assert row["slice"] == pytest.approx(0.025, rel=0.2)
    assert "crunch (jobs.py:41) took" in row["summary"]


def test_hog_is_a_warning_when_the_turns_of_the_hub_are_long(desk: Desk) -> None:
    ids = [desk.probe.add("crunch", file="/srv/app/jobs.py", line=40) for _ in range(10)]
    for id in ids:
        desk.probe.start(id)
    desk.run(22, busy_loop(desk, ids, 0.25))
    assert desk.row("hog")["severity"] == "warning"


def test_run_time_of_those_that_ended_counts(desk: Desk) -> None:
    def live_and_die() -> None:
        now = desk.now
        for index in range(5):
            desk.now = now - 0.25 + index * 0.04
            id = desk.probe.add("brief", file="/srv/app/jobs.py", line=90)
            desk.probe.start(id)
            desk.now += 0.03
            desk.probe.succeed(id)
        desk.now = now

    desk.run(22, live_and_die)
    row = desk.row("hog")
    assert row["culprit"]["function"] == "brief"
    assert row["share"] == pytest.approx(0.6, abs=0.05)


def test_hogs_say_nothing_without_accounting() -> None:
    desk = Desk(lambda **options: FakeProbe(capabilities=ALL_CAPABILITIES - {"accounting"}, **options))
    ids = [desk.probe.add("crunch") for _ in range(3)]
    for id in ids:
        desk.probe.start(id)
    desk.run(22, busy_loop(desk, ids, 0.0))
    assert desk.rows("hog") == []
