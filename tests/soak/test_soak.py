"""An hour's worth of events in fast motion: nothing may grow, and what is known must be right in the end.

    GREENSCOPE_SOAK=600 python -m pytest -o faulthandler_timeout=0 tests/soak    ten minutes each

(A dump of all stacks, which pytest makes of a long test, can crash a process in which greenlets switch meanwhile.)
The suite runs each part for some seconds, which is enough to see a leak per event, per reader or per start. The
environment variable gives the seconds of each part.
"""

import asyncio
import gc
import http.client
import os
import random
import socket
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.requests import Request

import greenscope
from greenscope.app.backends.fake import FakeProbe
from greenscope.app.backends.scenario import Scenario
from greenscope.app.dashboard import build_dashboard
from greenscope.app.feed import Feed, FeedLimits
from greenscope.app.query import GreenletQuery
from greenscope.app.server import DashboardServer
from greenscope.app.stream import EventStream, StreamLimits
from greenscope.runtime import sleep, spawn
from greenscope.runtime.every import every
from greenscope.runtime.instruments import HOOKS, hooks
from greenscope.runtime.pool import Pool
from greenscope.runtime.thread import RuntimeThread
from tests.patience import wait_for

SECONDS = float(os.environ.get("GREENSCOPE_SOAK", "3"))
TOKEN = "the-token-of-the-soak-0123456789abcdef"

pytestmark = pytest.mark.timeout(SECONDS * 4 + 60)


@dataclass(frozen=True)
class Footprint:
    """What this process holds."""

    fds: int
    threads: int
    tasks: int
    hooked: int
    objects: int
    megabytes: float


def look(tasks: int = 0) -> Footprint:
    """Measure after a full collection."""
    for _ in range(3):
        gc.collect()
    with open("/proc/self/statm") as file:
        megabytes = int(file.read().split()[1]) * 4096 / 2**20
    hooked = sum(len(getattr(hooks, name)) for name in HOOKS) + int(every.listening)
    fds, threads = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    return Footprint(fds, threads, tasks, hooked, len(gc.get_objects()), megabytes)


def grew(before: Footprint, after: Footprint, *, objects: int = 12_000, megabytes: float = 25) -> list[str]:
    """Name what grew; some objects and memory may come from caches that fill up to their bounds."""
    found = [
        f"{name}: {getattr(before, name)} -> {getattr(after, name)}"
        for name in ("fds", "threads", "tasks", "hooked")
        if getattr(after, name) > getattr(before, name)
    ]
    if after.objects - before.objects > objects:
        found.append(f"objects: {before.objects} -> {after.objects}")
    if after.megabytes - before.megabytes > megabytes:
        found.append(f"MiB: {before.megabytes:.0f} -> {after.megabytes:.0f}")
    return found


class Reader:
    """A reader without a socket that stays for a while, stalls now and then, and leaves."""

    def __init__(self, stream: EventStream, path: str) -> None:
        self.bytes = 0
        self.gone = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.task = asyncio.create_task(self._run(stream, path))

    async def _run(self, stream: EventStream, query: str) -> None:
        scope = {"type": "http", "method": "GET", "path": "/events", "query_string": query.encode(), "headers": []}

        async def receive() -> dict[str, str]:
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            await self.open.wait()
            self.bytes += len(message.get("body", b""))

        response = await stream.endpoint(Request(scope))
        await response(scope, receive, send)

    async def leave(self) -> None:
        self.gone.set()
        self.open.set()
        await asyncio.wait_for(self.task, 5)


QUERIES = ("kinds=failed,killed", "kinds=none&view=greenlets&rate=0.25", "kinds=none&view=overview&rate=0.25", "")


def test_hours_of_events_with_readers_that_come_and_go_grow_nothing() -> None:
    """An hour at 100 events a second is 360,000: the clock of the program runs as fast as we can."""
    now = [1000.0]
    chance = random.Random(3)
    probe = FakeProbe(clock=lambda: now[0], buffer=2_000)
    limits = FeedLimits(events=2_000, finished=1_000)
    feed = Feed(probe, clock=lambda: now[0], limits=limits)
    stream = EventStream(feed, limits=StreamLimits(clients=12, snapshot_rows=100))
    scenario = Scenario(probe)
    scenario.populate(300)
    readers: list[Reader] = []
    seen = 0

    async def fast_hour(seconds: float) -> None:
        nonlocal seen
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for _ in range(chance.choice((1, 5, 20, 400))):  # now and then more than the probe's buffer holds
                scenario.step()
            now[0] += 0.25
            feed.tick()
            feed.query(GreenletQuery(sort=chance.choice(("id", "-run_time", "name")), limit=50))
            for _ in range(4):
                await asyncio.sleep(0)
            act = chance.random()
            if act < 0.2 and len(readers) < 10:
                readers.append(Reader(stream, chance.choice(QUERIES)))
            elif act < 0.4 and readers:
                reader = readers.pop(chance.randrange(len(readers)))
                await reader.leave()
                seen += reader.bytes
            elif act < 0.5 and readers:
                chance.choice(readers).open.clear()
            elif act < 0.7 and readers:
                chance.choice(readers).open.set()
        for reader in readers:
            await reader.leave()
            seen += reader.bytes
        readers.clear()
        await asyncio.sleep(0.05)

    async def soak() -> tuple[Footprint, Footprint, int]:
        await fast_hour(SECONDS)  # until every ring and cache is full
        before, numbered = look(len(asyncio.all_tasks())), feed.seq
        await fast_hour(SECONDS)
        return before, look(len(asyncio.all_tasks())), feed.seq - numbered

    before, after, numbered = asyncio.run(soak())
    assert grew(before, after) == []
    assert numbered > 1_000 * SECONDS
    assert seen > 0
    assert stream.clients == 0
    assert len(feed.ring) <= limits.events
    assert len(feed.population.finished) <= limits.finished
    for _ in range(4):
        now[0] += 11
        feed.tick()
    assert set(feed.population.lives) == set(probe.live_ids())
    ended = feed.population.ended
    assert feed.population.spawned == len(feed.population.lives) + sum(ended.values())


@pytest.fixture
def server() -> Iterator[DashboardServer]:
    probe = FakeProbe()
    Scenario(probe).populate(200)
    server = DashboardServer(build_dashboard(probe, token=TOKEN, control=True), port=0)
    server.start_thread()
    yield server
    assert server.stop(5)
    assert server.error is None


def ask(port: int, path: str, token: str = TOKEN) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_connections_of_every_kind_leave_nothing_in_the_server(server: DashboardServer) -> None:
    chance = random.Random(5)
    top = f"GET /events?view=greenlets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()

    def visit() -> None:
        kind = chance.randrange(5)
        if kind == 0:
            for path in ("/", "/greenlets", "/api/greenlets", "/api/stacks", "/static/none"):
                ask(server.port, path)
            return
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            if kind == 1:
                client.sendall(top)
                assert b"200" in client.recv(1000)
            elif kind == 2:
                client.sendall(top[: chance.randrange(len(top))])
            elif kind == 3:
                client.sendall(b"\x16\x03\x01 not http at all\r\n\r\n")
                client.recv(1000)
            # and those that say nothing

    def for_a_while(seconds: float) -> int:
        count, deadline = 0, time.monotonic() + seconds
        while time.monotonic() < deadline:
            visit()
            count += 1
        wait_for(lambda: server.dashboard.stream.clients == 0)
        wait_for(lambda: not server.server_state.connections)
        return count

    for_a_while(SECONDS * 0.4)
    before = look(len(server.server_state.tasks))
    assert for_a_while(SECONDS * 0.6) > 10
    wait_for(lambda: len(server.server_state.tasks) <= before.tasks)
    assert grew(before, look(len(server.server_state.tasks))) == []
    assert server.dashboard.fault_count == 0, server.dashboard.faults


def test_watching_starting_and_stopping_a_busy_program_leaves_nothing() -> None:
    busy = [True]

    def work() -> None:
        pool = Pool(5)
        while busy[0]:
            pool.map(abs, range(20))
            spawn(sleep, 0.001).join()

    with RuntimeThread("busy") as thread:
        working = [thread.submit(work) for _ in range(3)]

        def once() -> None:
            with greenscope.watch(port=0, backend="native", token=TOKEN) as monitor:
                port = urllib.parse.urlsplit(monitor.url).port or 0
                assert ask(port, "/api/health") == 200
                assert ask(port, "/greenlets") == 200
                time.sleep(0.02)
            assert monitor.closed

        for _ in range(5):
            once()
        before, count = look(), 0
        deadline = time.monotonic() + SECONDS * 0.8
        while time.monotonic() < deadline:
            once()
            count += 1
        after = look()
        busy[0] = False
        for done in working:
            done.result(10)
    assert count >= 5
    assert grew(before, after, objects=200 * count + 3_000) == []
