"""A snapshot is the state of one moment, whatever happens while it is read, and is made once for many."""

import json
from typing import Any

from greenscope.app import snapshots
from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed
from greenscope.app.snapshots import Snapshots, snapshot_parts
from greenscope.app.sse import EventParser


def _feed(count: int) -> tuple[Feed, FakeProbe]:
    probe = FakeProbe()
    group = probe.open_group("pool", size=5)
    for _ in range(count):
        probe.add(group=group)
    feed = Feed(probe)
    feed.tick()
    return feed, probe


def _greenlets(parts: list[Any]) -> set[str]:
    return {id for part in parts for id in part["greenlets"]}


def test_snapshot_is_of_one_moment_though_it_is_read_later() -> None:
    feed, probe = _feed(10)
    parts = snapshot_parts(feed, "full", 3)
    first, _ = next(parts)
    for id in range(1, 8):
        probe.succeed(id)
    probe.add()
    feed.tick()
    rest = [part for part, _ in parts]
    assert _greenlets([first, *rest]) == {str(id) for id in range(1, 11)}
    assert first["totals"]["spawned"] == 10
    assert {part["seq"] for part in rest} == {first["seq"]}


def test_summary_has_totals_and_groups_only() -> None:
    feed, _ = _feed(10)
    ((part, is_last),) = snapshot_parts(feed, "summary", 3)
    assert is_last
    assert part["greenlets"] == {}
    assert part["groups"] == {"1": {"name": "pool", "kind": "pool", "size": 5}}


def test_snapshot_is_made_once_for_those_who_begin_at_the_same_number() -> None:
    feed, probe = _feed(10)
    shared = Snapshots(feed, 3)
    one, other = shared.frames("full"), shared.frames("full")
    pairs = [(next(one), next(other)) for _ in range(4)]
    assert all(a is b for a, b in pairs)
    assert next(one, None) is next(other, None) is None
    probe.add()
    feed.tick()
    assert b'"11"' in b"".join(shared.frames("full"))


def test_large_snapshot_is_not_kept(monkeypatch: Any) -> None:
    monkeypatch.setattr(snapshots, "SHARED_ROWS", 5)
    feed, _ = _feed(10)
    shared = Snapshots(feed, 3)
    frames = list(shared.frames("full"))
    assert not shared._kept
    messages = EventParser().feed(b"".join(frames))
    assert _greenlets([json.loads(message.data) for message in messages]) == {str(id) for id in range(1, 11)}
    assert [bool(message.id) for message in messages] == [False, False, False, True]
