"""Our long pieces of work let go of the interpreter as they go: each note, event, row and piece of a page asks."""

from typing import Any

import pytest

from greenscope.app import breath
from greenscope.app.backends.native import NativeProbe
from greenscope.app.feed import Feed
from greenscope.app.query import GreenletQuery
from greenscope.runtime import sleep, spawn
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
