"""Patches lead from any version to the newest, are made once for all, and say nothing when nothing changed."""

import asyncio
import json
from typing import Any

import pytest

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.backends.scenario import Scenario
from greenscope.app.feed import Feed, FeedLimits
from greenscope.app.model import Site
from greenscope.app.query import GreenletQuery, QueryError
from greenscope.app.views import LiveView, ViewQuery, calm, parse_view

OWN = ("view", "rate", "kinds")


class Ticker:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """A feed on a standing clock, one view of it, and a page that applies its patches."""

    def __init__(self, wanted: ViewQuery) -> None:
        self.clock = Ticker()
        self.probe = FakeProbe(clock=self.clock)
        limits = FeedLimits(order_age=0.0, survey_age=-1.0, stale_order=0.0, sample_age=0.0)
        self.feed = Feed(self.probe, clock=self.clock, limits=limits)
        self.view = LiveView(self.feed, wanted)
        self.version = 0

    def patch(self, held: set[int] | None = None) -> dict[str, Any] | None:
        """Tick, and return the patch for a page that got the last one."""
        self.clock.now += 1
        self.feed.tick()
        asyncio.run(self.view.refresh({self.version} if held is None else held))
        data = self.view.patch(self.version)
        self.version = self.view.version
        return None if data is None else json.loads(data)


def _apply(page: dict[str, Any], patch: dict[str, Any]) -> None:
    if patch.get("full"):
        page.clear()
        page["rows"] = {}
    for id, fields in patch.get("rows", {}).items():
        page["rows"].setdefault(id, {}).update(fields)
    for id in patch.get("gone", ()):
        del page["rows"][id]
    page.update({name: value for name, value in patch.items() if name not in ("rows", "gone", "full", "t")})


def test_first_patch_is_full_and_the_next_has_only_what_changed() -> None:
    stage = Stage(ViewQuery("greenlets", GreenletQuery(limit=10)))
    ids = [stage.probe.add() for _ in range(3)]
    first = stage.patch()
    assert first is not None
    assert first["full"] is True
    assert first["order"] == ["1", "2", "3"]
    assert (first["total"], first["matched"]) == (3, 3)
    assert first["rows"]["1"]["age"] == 1.0
    stage.probe.start(ids[1], Site("a.py", 7, "f"))
    second = stage.patch()
    assert second is not None
    assert "full" not in second
    assert set(second["rows"]) == {"2"}
    assert set(second["rows"]["2"]) == {"state", "place", "started", "run_time", "switches", "longest_run"}
    assert "order" not in second
    assert "total" not in second


def test_nothing_is_sent_when_only_time_has_passed() -> None:
    stage = Stage(ViewQuery("greenlets", GreenletQuery(limit=10)))
    stage.probe.add()
    for _ in range(15):
        stage.patch()
    assert stage.patch() is None


def test_patches_lead_to_the_same_page_as_a_full_one() -> None:
    stage = Stage(ViewQuery("greenlets", GreenletQuery(sort="-id", limit=20)))
    scenario = Scenario(stage.probe)
    scenario.populate(60)
    page: dict[str, Any] = {}
    for _ in range(30):
        scenario.step()
        patch = stage.patch()
        if patch is not None:
            _apply(page, patch)
    whole: dict[str, Any] = {}
    full = stage.view.patch(0)
    assert full is not None
    _apply(whole, json.loads(full))
    for rows in (page["rows"], whole["rows"]):
        for row in rows.values():
            if row["ended"] is None:
                del row["age"]
    assert page == whole
    assert list(whole["rows"]) == whole["order"]


def test_reader_that_skipped_versions_gets_one_patch_over_all() -> None:
    stage = Stage(ViewQuery("greenlets", GreenletQuery(limit=10)))
    stage.probe.add()
    stage.patch()
    old = stage.version
    for _ in range(3):
        stage.probe.add()
        stage.patch(held={old, stage.version})
    data = stage.view.patch(old)
    assert data is not None
    patch = json.loads(data)
    assert set(patch["rows"]) == {"2", "3", "4"}
    assert "full" not in patch


def test_version_that_nobody_holds_is_forgotten() -> None:
    stage = Stage(ViewQuery("greenlets", GreenletQuery(limit=10)))
    for _ in range(20):
        stage.probe.add()
        stage.patch()
    assert len(stage.view._states) <= 2
    data = stage.view.patch(1)
    assert data is not None
    assert json.loads(data)["full"] is True


def test_equal_patches_are_encoded_once() -> None:
    stage = Stage(ViewQuery("overview"))
    stage.patch()
    version = stage.version
    stage.probe.add()
    stage.patch()
    assert stage.view.patch(version) is stage.view.patch(version)


def test_row_that_leaves_the_window_is_gone() -> None:
    stage = Stage(ViewQuery("greenlets", GreenletQuery(state="live", limit=2)))
    ids = [stage.probe.add() for _ in range(3)]
    stage.patch()
    stage.probe.succeed(ids[0])
    patch = stage.patch()
    assert patch is not None
    assert (patch["gone"], patch["order"], set(patch["rows"])) == (["1"], ["2", "3"], {"3"})
    assert "age" in patch["rows"]["3"]


def test_ended_row_tells_its_final_age() -> None:
    stage = Stage(ViewQuery("greenlets", GreenletQuery(limit=5)))
    id = stage.probe.add()
    stage.patch()
    stage.probe.fail(id)
    patch = stage.patch()
    assert patch is not None
    assert patch["rows"]["1"]["state"] == "failed"
    assert patch["rows"]["1"]["age"] == 1.0


def test_overview_has_groups_hubs_and_the_newest_point() -> None:
    stage = Stage(ViewQuery("overview"))
    stage.probe.open_group("pool", size=3)
    first = stage.patch()
    assert first is not None
    assert {"counts", "rates", "health", "groups", "hubs", "point"} <= set(first)
    assert first["groups"][0]["name"] == "pool"
    assert first["health"]["hub_lag"] == 0.0
    stage.probe.lose("spawned", 4)
    second = stage.patch()
    assert second is not None
    assert second["health"]["dropped"] == {"spawned": 4}
    assert "groups" not in second


def test_every_view_tells_the_longest_turn_of_the_last_second_and_the_readers() -> None:
    stage = Stage(ViewQuery("events"))
    readers = [3]
    stage.view = LiveView(stage.feed, ViewQuery("events"), lambda: readers[0])
    stage.probe.block(0.25)
    first = stage.patch()
    assert first is not None
    assert (first["health"]["longest_turn"], first["health"]["clients"]) == (0.25, 3)
    stage.probe.block(0.0)
    readers[0] = 2
    second = stage.patch()
    assert second is not None
    assert (second["health"]["longest_turn"], second["health"]["clients"]) == (0.0, 2)


def test_greenlet_view_sends_the_fields_that_changed() -> None:
    stage = Stage(ViewQuery("greenlet", id=1))
    empty = stage.patch()
    assert empty is not None
    assert empty["greenlet"] is None
    id = stage.probe.add()
    born = stage.patch()
    assert born is not None
    assert born["greenlet"]["name"] == "work-1"
    stage.probe.fail(id, "OSError", "gone")
    ended = stage.patch()
    assert ended is not None
    assert ended["greenlet"]["exception"] == {"type": "OSError", "message": "gone"}
    assert "name" not in ended["greenlet"]
    assert stage.patch() is None or "greenlet" not in (stage.patch() or {})


def test_group_view_sends_the_fields_that_changed() -> None:
    stage = Stage(ViewQuery("group", id=1))
    group = stage.probe.open_group("pool", size=3)
    first = stage.patch()
    assert first is not None
    assert first["group"]["name"] == "pool"
    stage.probe.add(group=group)
    second = stage.patch()
    assert second is not None
    assert second["group"]["active"] == 1
    assert "name" not in second["group"]


def test_events_view_has_figures_only() -> None:
    stage = Stage(ViewQuery("events"))
    first = stage.patch()
    assert first is not None
    assert set(first) == {"full", "t", "counts", "rates", "health", "alerts"}


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.1234, 0.12), (1.26, 1.3), (9.94, 9.9), (12.4, 12), (612.4, 612), (None, None), (0.0, 0.0)]
)
def test_waits_are_rounded_to_what_a_person_can_tell_apart(seconds: float | None, shown: float | None) -> None:
    row = calm({"run_time": seconds, "ready_time": None, "wait_time": seconds})
    assert row["wait_time"] == shown


@pytest.mark.parametrize(
    ("name", "parameters", "field"),
    [
        ("windows", {}, "view"),
        ("greenlets", {"sort": "colour"}, "sort"),
        ("greenlet", {}, "id"),
        ("greenlet", {"id": "٣"}, "id"),
        ("group", {"id": "1" * 16}, "id"),
        ("overview", {"colour": "red"}, "colour"),
    ],
)
def test_senseless_view_is_named(name: str, parameters: dict[str, str], field: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_view(name, parameters, OWN)
    assert caught.value.field == field


def test_equal_questions_are_one_view() -> None:
    first = parse_view("greenlets", {"view": "greenlets", "q": "a", "rate": "1"}, OWN)
    second = parse_view("greenlets", {"q": "a", "limit": "100", "kinds": "none"}, OWN)
    assert first == second
    assert hash(first) == hash(second)
