"""One owner of all state: events applied on a tick, figures that add up, bounds that hold."""

import asyncio
import json
import time
from collections.abc import Iterable

import pytest

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.backends.scenario import Scenario
from greenscope.app.feed import Feed, FeedLimits
from greenscope.app.model import Drained, Event, Figures, Site
from greenscope.app.query import ROW_FIELDS, GreenletQuery


class Ticker:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Ticker:
    return Ticker()


@pytest.fixture
def probe(clock: Ticker) -> FakeProbe:
    return FakeProbe(clock=clock)


@pytest.fixture
def feed(probe: FakeProbe, clock: Ticker) -> Feed:
    return Feed(probe, clock=clock, wall=lambda: 1_700_000_000.0)


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


def test_detail_tells_family_waits_and_timeline(feed: Feed, probe: FakeProbe, clock: Ticker) -> None:
    root = probe.add("main", name="main")
    probe.start(root)
    group = probe.open_group("stages")
    holder = probe.add(
        "hold", parent=root, group=group, spawn_site=Site("a.py", 3, "main"), thread="hub", file="/srv/a.py"
    )
    waiter = probe.add("wait", parent=root)
    probe.start(waiter)
    probe.park(waiter, "semaphore", "lock", owner=holder, place=Site("a.py", 9, "wait"))
    probe.start(holder)
    clock.now += 1
    probe.swallow_kills(holder)
    probe.kill(holder, 1)
    probe.block(0.5, greenlet=holder)
    feed.tick()
    found = feed.greenlet(holder)
    assert found is not None
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["parent_greenlet"]["name"] == "main"
    assert [one["id"] for one in found["waited_for_by"]] == [str(waiter)]
    assert [one["name"] for one in found["group_rows"]] == ["stages"]
    assert [one["kind"] for one in found["timeline"]] == ["spawned", "started", "kill_requested", "blocked"]
    assert found["timeline"][-1]["duration"] == 0.5
    assert found["kill_requested"] is not None
    assert found["spawn_stack"] == [{"file": "a.py", "line": 3, "function": "main"}]
    parent = feed.greenlet(root)
    assert parent is not None
    assert [child["id"] for child in parent["children"]] == [str(holder), str(waiter)]
    other = feed.greenlet(waiter)
    assert other is not None
    assert [one["id"] for one in other["waits_for"]] == [str(holder)]
    assert [frame["line"] for frame in other["stack"]] == [1, 9]
    assert feed.greenlet(99) is None


def test_detail_of_the_ended_has_its_traceback_and_no_stack(feed: Feed, probe: FakeProbe) -> None:
    id = probe.add()
    probe.fail(id, "E", "m", (Site("a.py", 1, "f"), Site("b.py", 2, "g")))
    feed.tick()
    found = feed.greenlet(id)
    assert found is not None
    assert found["stack"] is None
    assert [frame["function"] for frame in found["traceback"]] == ["f", "g"]
    assert [one["kind"] for one in found["timeline"]] == ["spawned", "failed"]


def test_detail_says_why_something_is_missing(clock: Ticker) -> None:
    probe = FakeProbe(clock=clock, capabilities=frozenset({"events"}))
    feed = Feed(probe, clock=clock)
    probe.add()
    feed.tick()
    found = feed.greenlet(1)
    assert found is not None
    assert set(found["missing"]) == {"stacks", "waiting_on", "owners", "accounting", "spawn_site"}
    assert found["stack"] is None


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


def test_orders_of_a_view_are_shared_for_a_second(feed: Feed, probe: FakeProbe, clock: Ticker) -> None:
    probe.add()
    feed.tick()
    query = GreenletQuery(sort="-run_time")

    async def matched() -> int:
        return (await feed.wait_selection(query, 1.0)).matched

    assert asyncio.run(matched()) == 1
    probe.add()
    clock.now += 0.9
    feed.tick()
    assert asyncio.run(matched()) == 1
    clock.now += 0.2
    assert asyncio.run(matched()) == 2


def test_answer_has_what_happened_before_the_question(feed: Feed, probe: FakeProbe, clock: Ticker) -> None:
    async def ask() -> int:
        return (await feed.wait_query(GreenletQuery())).matched

    feed.tick()
    assert asyncio.run(ask()) == 0
    clock.now += 0.1
    id = probe.add()
    assert asyncio.run(ask()) == 1
    clock.now += 0.1
    other = probe.add(parent=id)
    assert feed.greenlet(other) is not None


def test_tick_within_a_tick_does_nothing(feed: Feed, probe: FakeProbe) -> None:
    for _ in range(600):
        probe.add()
    steps = feed._tick_steps()
    next(steps)
    probe.start(probe.live_ids()[0])
    feed.tick()
    assert feed.recent_events(["started"]) == []
    for _ in steps:
        pass
    feed.tick()
    assert [event["seq"] for event in feed.recent_events(limit=600)] == list(range(601, 1, -1))


def test_orders_kept_are_bounded(probe: FakeProbe, clock: Ticker) -> None:
    feed = Feed(probe, clock=clock, limits=FeedLimits(orders=3))
    for number in range(10):
        feed.query(GreenletQuery(q=f"w{number}"))
    assert len(feed._orders) == 3


def test_wait_query_answers_as_query_does_and_shares_the_work(feed: Feed, probe: FakeProbe) -> None:
    Scenario(probe).populate(300)
    feed.tick()
    query = GreenletQuery(sort="-wait_time", limit=20)

    async def ask() -> None:
        answers = await asyncio.gather(*(feed.wait_query(query) for _ in range(10)))
        assert all(answer.rows == answers[0].rows for answer in answers)
        assert answers[0].rows == feed.query(query).rows

    asyncio.run(ask())
    # one survey of all and the looks at the window, not one survey for each who asked
    assert probe.sampled < 2 * 300


def test_wait_query_shows_a_slow_old_order_while_the_next_is_made(probe: FakeProbe, clock: Ticker) -> None:
    feed = Feed(probe, clock=clock, limits=FeedLimits(slow_order=-1.0))
    probe.add()
    feed.tick()

    async def ask() -> list[int]:
        query = GreenletQuery(sort="name")
        found = [(await feed.wait_query(query)).matched]
        probe.add()
        clock.now += 2
        found.append((await feed.wait_query(query)).matched)
        await asyncio.gather(*feed._orders.making.values())
        found.append((await feed.wait_query(query)).matched)
        return found

    assert asyncio.run(ask()) == [1, 1, 2]


class SlowProbe(FakeProbe):
    """A probe that takes 0.5 ms for figures."""

    def figures(self, ids: Iterable[int]) -> list[Figures]:
        time.sleep(0.0005)
        return super().figures(ids)


def test_order_that_nobody_waits_for_leaves_the_loop_to_others(clock: Ticker) -> None:
    probe = SlowProbe(clock=clock)
    for _ in range(50):
        probe.add()
    feed = Feed(probe, clock=clock, limits=FeedLimits(slow_order=-1.0, survey_chunk=1, order_age=0.0))
    feed.tick()
    query = GreenletQuery(sort="-run_time")

    async def ask() -> tuple[int, int]:
        first, turns = await feed.wait_selection(query), 0
        clock.now += 1.0
        again = await feed.wait_selection(query, 0.0)
        while feed._orders.making:
            await asyncio.sleep(0)
            turns += 1
        return int(again is first), turns

    shown, turns = asyncio.run(ask())
    assert shown
    assert turns > 150, "others had more turns than the order took"


def test_wait_query_of_100000_keeps_the_loop_responsive() -> None:
    probe = FakeProbe()
    for number in range(100_000):
        probe.add(name=f"worker {number * 7919 % 100_000}")
    feed = Feed(probe)
    feed.tick()

    async def ask(query: GreenletQuery) -> float:
        asked = asyncio.ensure_future(feed.wait_query(query))
        turns = []
        while not asked.done():
            begun = time.thread_time()  # of this thread alone: what else the machine does is not the loop's fault
            await asyncio.sleep(0)
            turns.append(time.thread_time() - begun)
        assert (await asked).matched == 100_000
        return sorted(turns)[int(len(turns) * 0.95)]

    for sort in ("name", "-run_time", "-age"):
        assert asyncio.run(ask(GreenletQuery(sort=sort))) < 0.05


class BrokenProbe(FakeProbe):
    """A probe whose drain fails while it is told to."""

    broken = True

    def drain(self) -> Drained:
        if self.broken:
            raise RuntimeError("drained dry")
        return super().drain()


def test_run_survives_a_fault_and_tells_of_it() -> None:
    probe = BrokenProbe()
    feed = Feed(probe, tick=0.001)

    async def run() -> None:
        running = asyncio.ensure_future(feed.run())
        for _ in range(1000):
            await asyncio.sleep(0.001)
            if feed.fault:
                break
        assert feed.health()["fault"] == "RuntimeError in the feed: drained dry"
        probe.broken = False
        probe.add()
        for _ in range(1000):
            await asyncio.sleep(0.001)
            if feed.population.spawned:
                break
        assert feed.population.spawned == 1
        feed.close()
        await asyncio.wait_for(running, 1.0)

    asyncio.run(run())
    assert probe.attached == 1


def test_subscribers_are_told_once_per_tick_until_they_end_it(feed: Feed, probe: FakeProbe) -> None:
    calls: list[int] = []
    end = feed.subscribe(lambda: calls.append(feed.seq))
    for _ in range(5):
        probe.add()
    feed.tick()
    feed.tick()
    end()
    end()
    feed.tick()
    assert calls == [5, 5]


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
