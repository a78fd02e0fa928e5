"""All about one greenlet: its family, its waits, its timeline, and why something is missing."""

import json

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed
from greenscope.app.model import Site
from tests.app.feed.clock import Ticker


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
