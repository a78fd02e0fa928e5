"""One owner of all state: events applied on a tick, figures that add up, bounds that hold."""

import pytest

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed, FeedLimits
from greenscope.app.model import Event, Site
from greenscope.app.query import ROW_FIELDS, GreenletQuery
from tests.app.feed.clock import Ticker


def test_feed_knows_nothing_before_the_first_tick(feed: Feed) -> None:
    result = feed.query(GreenletQuery())
    assert (result.total, result.matched, result.rows) == (0, 0, [])
    assert feed.rates()["1s"]["spawned"] == 0.0
    assert feed.health()["hub_lag"] is None


def test_rows_are_those_of_the_interface_and_of_now(feed: Feed, probe: FakeProbe, clock: Ticker) -> None:
    id = probe.add("fetch", name="fetch-1")
    probe.start(id)
    feed.tick()
    clock.now += 2
    (row,) = feed.query(GreenletQuery()).rows
    assert tuple(row) == ROW_FIELDS
    assert (row["id"], row["state"], row["run_time"], row["age"]) == ("1", "running", 2.0, 2.0)
    probe.park(id, "event", "done")
    clock.now += 1
    (row,) = feed.query(GreenletQuery()).rows
    assert (row["state"], row["wait_time"], row["waiting_on"]["kind"]) == ("waiting", 1.0, "event")


def test_ended_greenlets_stay_with_their_accounting(feed: Feed, probe: FakeProbe, clock: Ticker) -> None:
    id = probe.add()
    probe.start(id)
    clock.now += 3
    probe.fail(id, "OSError", "no\nspace")
    feed.tick()
    clock.now += 100
    (row,) = feed.query(GreenletQuery(state="failed")).rows
    assert (row["run_time"], row["age"], row["exception"]) == (3.0, 3.0, {"type": "OSError", "message": "no\\nspace"})
    assert feed.counts()["failed"] == 1


def test_groups_count_what_they_have_seen(feed: Feed, probe: FakeProbe) -> None:
    pool = probe.open_group("pool", size=3)
    ids = [probe.add(group=pool) for _ in range(3)]
    stray = probe.add()
    probe.enter(pool, stray)
    probe.leave(pool, stray)
    probe.succeed(ids[0])
    probe.fail(ids[1])
    probe.die(ids[2])
    probe.add(group=pool)
    feed.tick()
    (row,) = feed.groups()
    assert {name: row[name] for name in ("spawned", "succeeded", "failed", "killed", "peak", "active", "free")} == {
        "spawned": 5,
        "succeeded": 1,
        "failed": 1,
        "killed": 1,
        "peak": 4,
        "active": 1,
        "free": 2,
    }


def test_an_end_long_after_leaving_is_not_the_groups(feed: Feed, probe: FakeProbe, clock: Ticker) -> None:
    group = probe.open_group("stages")
    id = probe.add(group=group)
    probe.leave(group, id)
    clock.now += 10
    probe.succeed(id)
    feed.tick()
    assert feed.groups()[0]["succeeded"] == 0


def test_closed_group_is_remembered_with_its_figures(feed: Feed, probe: FakeProbe) -> None:
    group = probe.open_group("stages")
    id = probe.add(group=group)
    probe.close_group(group)
    feed.tick()
    assert feed.groups() == []
    found = feed.group(group)
    assert found is not None
    assert (found["spawned"], found["active"], found["closed"] is None) == (1, 0, False)
    row = feed.greenlet(id)
    assert row is not None
    assert row["groups"] == []
    assert feed.group(99) is None


def test_rates_and_series_follow_what_happens(feed: Feed, probe: FakeProbe, clock: Ticker) -> None:
    feed.tick()
    for _ in range(48):
        clock.now += 0.25
        for _ in range(5):
            id = probe.add()
            probe.start(id)
        probe.fail(id)
        feed.tick()
    assert feed.rates()["1s"] == {"spawned": 20.0, "finished": 4.0, "failed": 4.0, "switches": 20.0}
    assert feed.rates()["10s"]["spawned"] == 20.0
    series = feed.series()
    assert len(series["t"]) == 12
    assert series["spawned"] == [20.0] * 12
    assert series["ready"][-1] == 5 * 48 - 48
    assert feed.newest_point() == {name: column[-1] for name, column in series.items()}


def test_dropped_events_still_count_and_the_state_is_put_right(probe: FakeProbe, clock: Ticker) -> None:
    feed = Feed(probe, clock=clock)
    probe._buffer = 2
    group = probe.open_group("pool", size=5)
    ids = [probe.add(group=group) for _ in range(10)]
    for id in ids[:4]:
        probe.start(id)
        probe.succeed(id)
    probe._buffer = 1000
    for _ in range(3):
        feed.tick()
        clock.now += 2.0
    assert feed.counts()["succeeded"] == 4
    assert feed.query(GreenletQuery(state="live")).matched == 6
    assert feed.groups()[0]["active"] == 6
    assert sum(feed.health()["dropped"].values()) == 33 - 2
    assert feed.recent_events()[0]["kind"] == "gap"
    assert feed.recent_events(["gap"])[0]["lost"] == 31


def test_membership_in_a_group_of_which_only_that_was_told_is_forgotten(probe: FakeProbe, clock: Ticker) -> None:
    feed = Feed(probe, clock=clock)
    probe._buffer = 0
    group = probe.open_group("pool", size=5)
    probe._buffer = 1000
    probe.add(group=group)
    probe.close_group(group)
    for _ in range(3):
        feed.tick()
        clock.now += 2.0
    assert feed.query(GreenletQuery(state="live")).rows[0]["groups"] == []


def test_events_are_numbered_and_tell_names(feed: Feed, probe: FakeProbe) -> None:
    id = probe.add("fetch", name="fetch-1")
    probe.start(id)
    feed.tick()
    assert feed.publish("audit", action="kill") == 3
    newest = feed.recent_events()
    assert [(event["seq"], event["kind"]) for event in newest] == [(3, "audit"), (2, "started"), (1, "spawned")]
    assert newest[1]["name"] == "fetch-1"
    assert [event["seq"] for event in feed.recent_events(["started"])] == [2]
    assert len(feed.recent_events(limit=1)) == 1
    with pytest.raises(ValueError, match="kind"):
        feed.publish("rumour")


def test_events_of_the_unknown_change_nothing_and_failures_are_kept(feed: Feed, probe: FakeProbe) -> None:
    for kind in ("started", "succeeded", "killed", "failed", "kill_requested", "grouped", "ungrouped", "blocked"):
        probe.emit(Event(kind, 1000.0, greenlet=77, group=88))
    probe.emit(Event("group_closed", 1000.0, group=88))
    feed.tick()
    assert [row["state"] for row in feed.query(GreenletQuery()).rows] == ["failed"]
    assert feed.counts()["succeeded"] == 1


def test_finished_greenlets_are_forgotten_in_time(feed: Feed, probe: FakeProbe, clock: Ticker) -> None:
    parent = probe.add()
    child = probe.add(parent=parent)
    probe.succeed(child)
    feed.tick()
    clock.now += 3601
    feed.tick()
    assert feed.greenlet(child) is None
    found = feed.greenlet(parent)
    assert found is not None
    assert found["children"] == []


def test_burst_grows_nothing_without_bound(clock: Ticker) -> None:
    probe = FakeProbe(clock=clock)
    feed = Feed(probe, clock=clock, limits=FeedLimits(events=1000, finished=500))
    for _ in range(20_000):
        probe.succeed(probe.add())
    feed.tick()
    assert len(feed.ring) == 1000
    assert len(feed.population.finished) == 500
    assert feed.counts()["succeeded"] == 20_000
    assert not feed.population.lives


def test_health_tells_how_old_the_newest_look_is(feed: Feed, probe: FakeProbe, clock: Ticker) -> None:
    probe.block(0.75, (Site("a.py", 3, "spin"),))
    feed.tick()
    clock.now += 4
    health = feed.health()
    assert (health["hub_lag"], health["sample_age"]) == (0.75, 4.0)
    assert health["hubs"][0]["blocked_in"][0]["function"] == "spin"
    assert health["uptime"] == 4.0


def test_each_dropped_event_is_told_in_one_gap(probe: FakeProbe, clock: Ticker) -> None:
    feed = Feed(probe, clock=clock)
    feed.tick()
    for number in (3, 4, 0, 5, 0, 0, 0):
        if number:
            probe.lose("started", number)
        clock.now += 2.0
        feed.tick()
    gaps = feed.recent_events(["gap"])
    assert sum(gap["lost"] for gap in gaps) == 12
    assert gaps[0]["dropped"] == {"started": 12}
