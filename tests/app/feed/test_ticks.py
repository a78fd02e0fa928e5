"""Ticks: one at a time, survived when they fail, told once."""

import asyncio

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed
from greenscope.app.model import Drained


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


class BrokenProbe(FakeProbe):
    """A probe whose drain fails while it is told to."""

    broken = True

    def drain(self, prompt: bool = False) -> Drained:
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
