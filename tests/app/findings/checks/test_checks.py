"""All checks over a program that is busy and healthy: they keep quiet."""

from greenscope.app.backends.scenario import Scenario
from tests.app.findings.checks.desk import Desk


def test_busy_healthy_program_has_nothing_above_info_but_its_honest_failures(desk: Desk) -> None:
    scenario = Scenario(desk.probe)
    scenario.populate(300)
    desk.run(90, scenario.step)
    loud = {row["kind"] for row in desk.feed.findings() if row["severity"] != "info"}
    assert loud <= {"failed"}
