"""Our long pieces of work let go of the interpreter as they go: each note, event, row and piece of a page asks."""

from typing import Any

import pytest

from greenscope.app import breath
from greenscope.app.backends.native import NativeProbe
from greenscope.app.feed import Feed, FeedLimits
from greenscope.app.query import GreenletQuery
from greenscope.runtime import sleep, spawn
from greenscope.runtime.pool import Group
from greenscope.runtime.thread import RuntimeThread

MANY = 200


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses, with a clock by which every look is a hold later."""
    taken: list[float] = []
    moment = iter(range(1, 10**9))
    monkeypatch.setattr(breath, "_since", 0.0)
    monkeypatch.setattr(breath, "perf_counter", lambda: next(moment) * 1.0)
    monkeypatch.setattr(breath, "native_sleep", taken.append)
    return taken


def test_breath_is_taken_only_after_a_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    now, taken = [100.0], []
    monkeypatch.setattr(breath, "_since", 0.0)
    monkeypatch.setattr(breath, "perf_counter", lambda: now[0])
    monkeypatch.setattr(breath, "native_sleep", taken.append)
    breath.breathe()
    assert taken == [breath.PAUSE]
    for passed, expected in ((0.0, 1), (breath.HOLD / 2, 1), (breath.HOLD, 2), (breath.HOLD / 2, 2)):
        now[0] += passed
        breath.breathe()
        assert len(taken) == expected


def test_long_looks_at_the_native_runtime_ask_for_each_of_many(pauses: list[float]) -> None:
    with RuntimeThread("watched") as thread:
        probe = NativeProbe()
        probe.attach()
        thread.call(lambda: [spawn(sleep, 60) for _ in range(MANY)])
        probe.drain()
        assert len(pauses) >= MANY
        pauses.clear()
        probe.sample(probe.live_ids())
        assert len(pauses) >= MANY
        probe.close()


def test_long_work_of_feed_and_pages_asks_for_each_of_many(pauses: list[float], board: Any) -> None:
    for number in range(MANY):
        board.probe.add(f"job-{number}")
    feed: Feed = board.dashboard.feed
    feed.tick()
    assert len(pauses) >= MANY
    pauses.clear()
    feed.query(GreenletQuery(limit=MANY))
    assert len(pauses) >= MANY
    pauses.clear()
    answer = board.client.get("/greenlets?limit=200", headers={"accept": "text/html"})
    shown = answer.text.count("<tr data-id=")
    assert shown > MANY / 2
    assert len(pauses) >= MANY + shown, "rows, and pieces of the page"


def test_short_looks_at_all_ask_for_each_portion(pauses: list[float]) -> None:
    with RuntimeThread("watched") as thread:
        probe = NativeProbe()
        probe.attach()

        def fill() -> Group:
            group = Group()
            for _ in range(3 * breath.PORTION):
                group.spawn(sleep, 60)
            return group

        group = thread.call(fill)
        probe.drain()
        for look in (probe.count_states, probe.groups, lambda: probe.waiters_of(1)):
            pauses.clear()
            look()
            assert len(pauses) >= 3
        thread.call(group.kill)
        probe.close()


def test_look_that_takes_long_serves_for_longer() -> None:
    limits = FeedLimits(sample_age=0.2)
    assert [limits.age_of(cost) for cost in (0.0, 0.01, 0.05, 60.0)] == [0.2, 0.2, 0.5, 2.0]


def test_group_that_opens_is_looked_at_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with RuntimeThread("watched") as thread:
        probe = NativeProbe()
        probe.attach()
        first = thread.call(Group)
        probe.drain()
        looked: list[Any] = []
        look = probe.view.group
        monkeypatch.setattr(probe.view, "group", lambda id, group: (looked.append(group), look(id, group))[1])
        second = thread.call(Group)
        opened = [event for event in probe.drain().events if event.kind == "group_opened"]
        assert [event.group_record is not None for event in opened] == [True]
        assert looked == [second], f"{first} was told before"
        probe.close()
