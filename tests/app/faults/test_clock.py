"""Faults: a wall clock that is set back."""

import pytest

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed
from greenscope.app.query import GreenletQuery


def test_clock_set_back_an_hour_changes_no_duration_and_no_order() -> None:
    wall, now = [1.7e9], [500.0]
    probe = FakeProbe(clock=lambda: now[0])
    feed = Feed(probe, clock=lambda: now[0], wall=lambda: wall[0])
    first = probe.add("before")
    probe.start(first)
    feed.tick()
    before = feed.query(GreenletQuery()).rows[0]
    now[0] += 2
    wall[0] += 2 - 3600
    second = probe.add("after")
    probe.start(second)
    probe.succeed(first)
    feed.tick()
    rows = {row["function"]: row for row in feed.query(GreenletQuery(sort="id")).rows}
    assert rows["before"]["created"] == before["created"]
    assert rows["before"]["created"] < rows["before"]["ended"] <= rows["after"]["created"]
    assert rows["before"]["age"] == pytest.approx(2.0)
    times = [event["t"] for event in feed.recent_events()]
    assert times == sorted(times, reverse=True)
    health = feed.health()
    assert health["uptime"] >= 0
    assert health["sample_age"] is None or health["sample_age"] >= 0
    assert all(value >= 0 for rate in feed.rates().values() for value in rate.values())
