"""Lines 11 and 12 of the stream's contract: slow readers slow nobody, stalled ones are cut, losses are told."""

import asyncio
import time
from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed, FeedLimits
from greenscope.app.sse import EventParser
from greenscope.app.stream import EventStream, StreamLimits
from tests.app.stream.house import DEADLINE, a_house, wait_until
from tests.app.stream.reader import Client, Model, stall


def test_slow_reader_gets_one_gap_and_slows_nobody() -> None:
    with (
        a_house(feed_limits=FeedLimits(events=1000)) as house,
        Client(house, receive_buffer=4096) as slow,
        Client(house) as quick,
    ):
        slow.wait("snapshot")
        quick.wait("snapshot")
        slowest = 0.0
        for count in range(40):
            begun = time.monotonic()
            house.happen(200, "x" * 150)
            slowest = max(slowest, time.monotonic() - begun)
            quick.wait("spawned", 200 * (count + 1))
        assert [message.json()["seq"] for message in quick.wait("spawned", 8000)] == list(range(1, 8001))
        assert slowest < 1.0
        (gap,) = slow.wait("gap")
        slow.wait("snapshot", 2)
        house.happen(1)
        wait_until(lambda: bool(slow.take() and slow.messages[-1].id == house.id(8001)))
        received = {message.json()["seq"] for message in slow.messages if message.event == "spawned"}
        assert len([message for message in slow.messages if message.event == "gap"]) == 1
        lost = range(gap.json()["from"], gap.json()["to"] + 1)
        assert len(lost) == gap.json()["lost"] == house.stream.missed
        assert received.isdisjoint(lost)
        assert received | set(lost) == set(range(1, 8002))


def test_stalled_reader_is_cut() -> None:
    with a_house(limits=StreamLimits(send=0.3)) as house, stall(house) as client:
        time.sleep(0.35)
        house.tick()
        assert wait_until(lambda: house.stream.clients == 0) < 1.0
        with pytest.raises((ConnectionError, AssertionError)):
            client.wait("never")


class _Wrap:
    """A middleware that hides the server's `send` in a closure, as host apps do."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def wrapped(message: Any) -> None:
            await send(message)

        await self.app(scope, receive, wrapped)


def test_stalled_reader_is_cut_behind_middleware() -> None:
    middleware = (Middleware(_Wrap), Middleware(GZipMiddleware))
    with a_house(limits=StreamLimits(send=0.3), middleware=middleware) as house, stall(house):
        connections = house.call(lambda: len(house.server.server_state.connections))
        time.sleep(0.35)
        house.tick()
        wait_until(lambda: house.stream.clients == 0)
        wait_until(lambda: len(house.server.server_state.connections) == connections - 1, 1.0)


def test_dropped_events_are_counted_and_told() -> None:
    with a_house(feed_limits=FeedLimits(reconcile=0.0)) as house, Client(house) as client:
        client.wait("snapshot")

        def burst() -> None:
            house.probe._buffer = 10
            for _ in range(30):
                house.probe.start(house.probe.add())
            house.probe._buffer = 1000
            for _ in range(3):
                house.feed.tick()

        house.call(burst)
        (gap,) = client.wait("gap")
        client.wait("snapshot", 2)
        model = Model()
        for message in client.messages:
            model.apply(message)
        health = house.call(house.feed.health)
    assert set(model.greenlets) == {str(id) for id in range(1, 31)}
    assert gap.json()["lost"] == 50
    assert health["dropped"] == {"spawned": 25, "started": 25} == gap.json()["dropped"]
    assert model.totals["spawned"] == 30


def test_burst_beyond_the_ring_reaches_a_reader_that_takes_everything() -> None:
    probe = FakeProbe()
    feed = Feed(probe, limits=FeedLimits(events=2000), tick=0.01)
    stream = EventStream(feed)
    parser, seen = EventParser(), list[int]()

    async def send(message: Any) -> None:
        for event in parser.feed(message.get("body", b"")):
            if event.event == "spawned":
                seen.append(event.json()["seq"])

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def read() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"kinds=spawned", "headers": []}
        response = await stream.endpoint(Request(scope))
        reading = asyncio.ensure_future(response(scope, receive, send))
        await asyncio.sleep(0.01)
        for _ in range(6_000):
            probe.add()
        running = asyncio.ensure_future(feed.run())
        deadline = time.monotonic() + DEADLINE
        while len(seen) < 6_000 and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        stream.close()
        feed.close()
        await asyncio.wait_for(asyncio.gather(reading, running), DEADLINE)

    asyncio.run(read())
    assert seen == list(range(1, 6_001))
    assert stream.missed == 0
