"""The event stream's contract, line by line, on real sockets.

1 headers          test_stream_answers_with_its_headers, test_stream_is_not_compressed_by_a_host_app
2 HEAD             test_head_leaves_the_connection_usable
3 ids              test_ids_are_epoch_and_consecutive_numbers,
                   test_epoch_differs_per_process_and_per_forked_child
4 priming          test_stream_primes_at_once
5 snapshot         test_snapshot_carries_the_number_it_is_of, test_snapshot_cut_at_every_byte_still_gives_the_model,
                   test_snapshot_and_later_events_are_the_model_while_greenlets_are_spawned;
                   the property: test_feed_machine
6 resume           test_resume_goes_on_after_the_last_id, test_header_beats_after,
                   test_stream_cut_at_every_byte_loses_nothing
7 gap, reset       test_evicted_resume_point_is_a_gap, test_gap_without_snapshot_goes_on_with_the_oldest,
                   test_foreign_resume_point_is_a_reset
8 framing          test_hostile_names_survive_the_wire;
                   the property: test_sse, test_framing_survives_any_text_in_any_chunks
9 cut event        test_stream_cut_at_every_byte_loses_nothing; test_sse, test_cut_event_is_not_dispatched
10 keep-alive      test_keep_alive_is_a_comment_a_resume_point_and_a_heartbeat
11 slow client     test_slow_reader_gets_one_gap_and_slows_nobody, test_stalled_reader_is_cut,
                   test_stalled_reader_is_cut_behind_middleware
12 honest drops    test_dropped_events_are_counted_and_told
13 disconnect      test_disconnect_frees_everything_within_a_second
14 capacity        test_one_reader_too_many_is_told_when_to_come_back
15 shutdown        test_shutdown_says_bye_within_a_second,
                   test_shutdown_with_a_stalled_reader_takes_three_seconds_at_most
16 hidden tabs     in the browser: tests/browser
17 authorisation   test_stream_ends_when_authorisation_ends, and the guard's own tests
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed, FeedLimits
from greenscope.app.query import QueryError
from greenscope.app.sse import EventParser, MessageRecord
from greenscope.app.stream import EventStream, StreamLimits

T = TypeVar("T")
DEADLINE = 10.0


class Server(uvicorn.Server):
    """uvicorn that says bye to the streams before it waits for them."""

    stream: EventStream

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.stream.close()
        await super().shutdown(sockets)


class House:
    """A feed over a scripted probe, and a real server for its stream.

    The script and the ticks run in its loop.
    """

    def __init__(
        self,
        limits: StreamLimits = StreamLimits(),  # noqa: B008 - frozen
        feed_limits: FeedLimits = FeedLimits(),  # noqa: B008 - frozen
        middleware: tuple[Middleware, ...] = (),
    ) -> None:
        self.probe = FakeProbe()
        self.feed = Feed(self.probe, limits=feed_limits, tick=0.05)
        self.allowed = True
        self.stream = EventStream(self.feed, limits=limits, allowed=lambda scope: self.allowed)
        routes = [Route("/events", self.stream.endpoint, methods=["GET"]), Route("/plain", _plain)]
        app = Starlette(routes=routes, middleware=list(middleware), exception_handlers={QueryError: _unprocessable})
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(1024)
        self.port: int = self.socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        self.server = Server(config)
        self.server.stream = self.stream
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.server.serve(sockets=[self.socket]))
        self.loop.close()

    def call(self, function: Callable[[], T]) -> T:
        """Run a function in the server's loop and return what it returns."""

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(DEADLINE)

    def tick(self) -> None:
        self.call(self.feed.tick)

    def happen(self, count: int = 1, name: str = "") -> None:
        """Let so many greenlets be spawned, and tick."""

        def spawn() -> None:
            for _ in range(count):
                self.probe.add(name=name)
            self.feed.tick()

        self.call(spawn)

    def id(self, seq: int) -> str:
        return f"{self.feed.epoch}-{seq}"

    def stop(self) -> float:
        """Stop the server; return how long it took."""
        begun = time.monotonic()
        self.server.should_exit = True
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()
        return time.monotonic() - begun


async def _plain(request: Request) -> Response:
    return PlainTextResponse("plain")


async def _unprocessable(request: Request, error: Exception) -> Response:
    assert isinstance(error, QueryError)
    return JSONResponse({"field": error.field, "error": error.message}, 422)


@contextmanager
def a_house(**options: Any) -> Iterator[House]:
    house = House(**options)
    house.thread.start()
    deadline = time.monotonic() + DEADLINE
    while not house.server.started and time.monotonic() < deadline:
        time.sleep(0.005)
    try:
        yield house
    finally:
        if house.thread.is_alive():
            house.stop()


@pytest.fixture
def house() -> Iterator[House]:
    with a_house() as house:
        yield house


class Client:
    """A reader over a plain socket: takes the chunked body apart, parses it, keeps what came."""

    def __init__(
        self,
        house: House,
        path: str = "/events",
        *,
        last_id: str = "",
        method: str = "GET",
        receive_buffer: int = 0,
        headers: str = "",
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", house.port))
        self._raw = b""
        self.body = b""
        self.ended = False
        self.parser = EventParser(last_id)
        self.messages: list[MessageRecord] = []
        self.counts: Counter[str] = Counter()
        self.ask(path, method, headers + (f"Last-Event-ID: {last_id}\r\n" if last_id else ""))

    def ask(self, path: str, method: str = "GET", headers: str = "") -> None:
        """Send a request and read the answer's head."""
        self.socket.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        while b"\r\n\r\n" not in self._raw:
            data = self.socket.recv(65536)
            assert data, "the connection ended before the answer's head"
            self._raw += data
        head, _, self._raw = self._raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}

    def take(self) -> bool:
        """Receive once, and parse; False at the end of the body or of the connection."""
        while (found := re.match(rb"([0-9a-fA-F]+)\r\n", self._raw)) is None or len(self._raw) < found.end() + int(
            found[1], 16
        ) + 2:
            data = self.socket.recv(1 << 16)
            if not data:
                self.ended = True
                return False
            self._raw += data
        size = int(found[1], 16)
        part = self._raw[found.end() : found.end() + size]
        self._raw = self._raw[found.end() + size + 2 :]
        if not size:
            self.ended = True
            return False
        self.body += part
        messages = self.parser.feed(part)
        self.counts.update(message.event for message in messages)
        self.messages += messages
        return True

    def wait(self, event: str, count: int = 1) -> list[MessageRecord]:
        """Read until so many events of a kind have come; return those."""
        deadline = time.monotonic() + DEADLINE
        while self.counts[event] < count:
            assert time.monotonic() < deadline, f"not {count} {event} within {DEADLINE} s, only {dict(self.counts)}"
            assert self.take(), f"the stream ended before {count} {event}, after {dict(self.counts)}"
        return [message for message in self.messages if message.event == event]

    def wait_end(self) -> None:
        """Read until the stream ends."""
        deadline = time.monotonic() + DEADLINE
        while self.take():
            assert time.monotonic() < deadline, "the stream does not end"

    def json(self) -> Any:
        """Read an ordinary JSON answer."""
        length = int(self.headers["content-length"])
        while len(self._raw) < length:
            self._raw += self.socket.recv(65536)
        return json.loads(self._raw[:length])

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wait_until(condition: Callable[[], bool], seconds: float = DEADLINE) -> float:
    """Wait for something that happens in the server's thread; return how long it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "it did not happen in time"
        time.sleep(0.005)
    return time.monotonic() - begun


# -- 1, 2, 3, 4 --------------------------------------------------------------------------------------------


def _check_headers(client: Client) -> None:
    assert client.status == 200
    assert client.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert client.headers["cache-control"] == "no-store, no-transform"
    assert client.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in client.headers


def test_stream_answers_with_its_headers(house: House) -> None:
    with Client(house) as client:
        _check_headers(client)


def test_stream_is_not_compressed_by_a_host_app() -> None:
    with (
        a_house(middleware=(Middleware(GZipMiddleware, minimum_size=1),)) as house,
        Client(house, headers="Accept-Encoding: gzip\r\n") as client,
    ):
        _check_headers(client)
        client.wait("snapshot")
        with Client(house, "/plain", headers="Accept-Encoding: gzip\r\n") as plain:
            assert plain.headers["content-encoding"] == "gzip"


def test_head_leaves_the_connection_usable(house: House) -> None:
    with Client(house, method="HEAD") as client:
        _check_headers(client)
        assert house.stream.clients == 0
        client.ask("/events")
        _check_headers(client)
        client.wait("snapshot")


def test_ids_are_epoch_and_consecutive_numbers(house: House) -> None:
    with Client(house) as client:
        client.wait("snapshot")
        house.happen(3)
        house.happen(2)
        messages = client.wait("spawned", 5)
    assert [message.id for message in messages] == [house.id(seq) for seq in range(1, 6)]
    assert [message.json()["seq"] for message in messages] == [1, 2, 3, 4, 5]


def test_epoch_differs_per_process_and_per_forked_child() -> None:
    script = """if True:
        import os
        from greenscope.app.backends.fake import FakeProbe
        from greenscope.app.feed import Feed
        probe = FakeProbe()
        feed = Feed(probe)
        probe.add()
        feed.tick()
        print(feed.epoch, feed.seq, flush=True)
        if os.fork() == 0:
            print(feed.epoch, feed.seq, flush=True)
            os._exit(0)
        os.wait()
        print(feed.epoch, feed.seq, flush=True)
    """
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True).stdout
        for _ in range(2)
    ]
    (first, child, again), (other, _, _) = (run.splitlines() for run in runs)
    assert first == again
    assert len({first.split()[0], child.split()[0], other.split()[0]}) == 3
    assert (first.split()[1], child.split()[1]) == ("1", "0")


def test_stream_primes_at_once(house: House) -> None:
    house.happen(3)
    with Client(house, "/events?snapshot=none") as client:
        (primed,) = client.wait("message")
        assert (primed.data, primed.id, client.parser.retry) == ("", house.id(3), 2000)
    with Client(house) as client:
        client.take()
        # not before the snapshot is complete has a reader something to resume from
        assert client.messages[0].id == house.id(0)


# -- 5 -----------------------------------------------------------------------------------------------------


class Model:
    """What a reader of the stream makes of it: snapshots replace, later events change."""

    def __init__(self) -> None:
        self.greenlets: dict[str, str] = {}
        self.totals: dict[str, int] = {}
        self._parts: dict[str, str] = {}

    def apply(self, message: MessageRecord) -> None:
        value = json.loads(message.data) if message.data else {}
        if message.event == "snapshot":
            if value["part"] == 1:
                self._parts = {}
                self._totals = value["totals"]
            self._parts |= {id: row["state"] for id, row in value["greenlets"].items()}
            if value["part"] == value["parts"]:
                self.greenlets, self.totals = self._parts, dict(self._totals)
        elif message.event == "spawned":
            self.greenlets[value["greenlet"]] = "pending"
            self.totals["spawned"] += 1
        elif message.event == "started":
            self.greenlets[value["greenlet"]] = "started"
        elif message.event in ("succeeded", "failed", "killed"):
            self.greenlets.pop(value["greenlet"], None)
            self.totals[message.event] += 1


def test_snapshot_carries_the_number_it_is_of(house: House) -> None:
    house.happen(4)
    with Client(house) as client:
        (snapshot,) = client.wait("snapshot")
        assert snapshot.id == house.id(4)
        assert snapshot.json()["seq"] == 4
        assert set(snapshot.json()["greenlets"]) == {"1", "2", "3", "4"}
        house.happen(1)
        (spawned,) = client.wait("spawned")
        assert spawned.id == house.id(5)


def test_snapshot_comes_in_parts_and_only_the_last_has_the_id() -> None:
    with a_house(limits=StreamLimits(snapshot_rows=3)) as house:
        house.happen(8)
        with Client(house) as client:
            parts = client.wait("snapshot", 3)
    assert [len(part.json()["greenlets"]) for part in parts] == [3, 3, 2]
    assert [part.id for part in parts] == [house.id(0), house.id(0), house.id(8)]


def test_snapshot_and_later_events_are_the_model_while_greenlets_are_spawned() -> None:
    with a_house(limits=StreamLimits(snapshot_rows=20)) as house:
        house.happen(500)
        with Client(house) as client:
            model = Model()

            def live() -> None:
                for _ in range(20):
                    id = house.probe.add()
                    house.probe.start(id)
                    house.probe.succeed(house.probe.live_ids()[0])
                house.feed.tick()

            for _ in range(10):
                house.call(live)
                client.take()
            house.call(lambda: house.feed.publish("finding", last=True))
            house.tick()
            client.wait("finding")
    for message in client.messages:
        model.apply(message)
    assert set(model.greenlets) == {str(id) for id in house.probe.live_ids()}
    assert model.totals == {"spawned": 700, "succeeded": 200, "failed": 0, "killed": 0}


def test_snapshot_cut_at_every_byte_still_gives_the_model() -> None:
    with a_house(limits=StreamLimits(snapshot_rows=1)) as house:
        house.happen(2)
        with Client(house) as client:
            client.wait("snapshot", 2)
            house.happen(1)
            client.wait("spawned")
            recorded = client.body
        for end in range(0, len(recorded), 3):
            parser, model = EventParser(), Model()
            for message in parser.feed(recorded[:end]):
                model.apply(message)
            with Client(house, last_id=parser.last_id) as again:
                if parser.last_id in ("", house.id(0)):
                    again.wait("snapshot", 3)
                elif parser.last_id == house.id(2):
                    again.wait("spawned")
                for message in again.messages:
                    model.apply(message)
            assert set(model.greenlets) == {"1", "2", "3"}, recorded[:end]


# -- 6 -----------------------------------------------------------------------------------------------------


def test_resume_goes_on_after_the_last_id(house: House) -> None:
    house.happen(10)
    with Client(house, last_id=house.id(6)) as client:
        messages = client.wait("spawned", 4)
        house.happen(1)
        messages = client.wait("spawned", 5)
    assert [message.id for message in messages] == [house.id(seq) for seq in range(7, 12)]
    assert {message.event for message in client.messages} == {"message", "spawned"}


def test_header_beats_after(house: House) -> None:
    house.happen(10)
    with Client(house, f"/events?after={house.id(2)}", last_id=house.id(8)) as client:
        assert client.wait("spawned")[0].id == house.id(9)
    with Client(house, f"/events?after={house.id(2)}") as client:
        assert client.wait("spawned")[0].id == house.id(3)


def test_stream_cut_at_every_byte_loses_nothing(house: House) -> None:
    house.happen(6)
    with Client(house, last_id=house.id(1)) as client:
        client.wait("spawned", 5)
        recorded, original = client.body, client.messages[1:]
    for end in range(len(recorded) + 1):
        with Client(house, last_id=house.id(1)) as cut:
            while len(cut.body) < end:
                cut.take()
        parser = EventParser(house.id(1))
        seen = [message for message in parser.feed(cut.body[:end]) if message.data]
        with Client(house, last_id=parser.last_id) as again:
            again.wait("message")
            if len(seen) < len(original):
                again.wait("spawned", len(original) - len(seen))
        assert seen + again.messages[1:] == original


# -- 7 -----------------------------------------------------------------------------------------------------


def test_evicted_resume_point_is_a_gap() -> None:
    with a_house(feed_limits=FeedLimits(events=5)) as house:
        house.happen(20)
        with Client(house, last_id=house.id(3)) as client:
            (snapshot,) = client.wait("snapshot")
            (gap,) = client.wait("gap")
    assert gap.json() == {"from": 4, "to": 20, "lost": 17}
    assert snapshot.id == house.id(20)
    assert [message.event for message in client.messages] == ["message", "gap", "snapshot"]


def test_gap_without_snapshot_goes_on_with_the_oldest() -> None:
    with a_house(feed_limits=FeedLimits(events=5)) as house:
        house.happen(20)
        with Client(house, "/events?snapshot=none", last_id=house.id(3)) as client:
            spawned = client.wait("spawned", 5)
            (gap,) = client.wait("gap")
    assert gap.json() == {"from": 4, "to": 15, "lost": 12}
    assert spawned[0].id == house.id(16)


def test_resume_point_just_before_the_oldest_is_no_gap_and_one_more_is() -> None:
    with a_house(feed_limits=FeedLimits(events=5)) as house:
        house.happen(20)
        with Client(house, "/events?snapshot=none", last_id=house.id(15)) as client:
            assert client.wait("spawned", 5)[0].id == house.id(16)
        assert client.counts["gap"] == 0
        with Client(house, "/events?snapshot=none", last_id=house.id(14)) as client:
            assert client.wait("spawned", 5)[0].id == house.id(16)
        (gap,) = client.wait("gap")
        assert gap.json() == {"from": 15, "to": 15, "lost": 1}


@pytest.mark.parametrize(
    "last_id",
    ["0123456789ab-3", "{epoch}-21", "{epoch}-99999999999999999999", "{epoch}--1", "{epoch}-", "x", "ÿ", "-", "1"],
)
@pytest.mark.parametrize("where", ["header", "query"])
def test_foreign_resume_point_is_a_reset(house: House, last_id: str, where: str) -> None:
    house.happen(20)
    last_id = last_id.format(epoch=house.feed.epoch)
    if where == "header":
        client = Client(house, headers=f"Last-Event-ID: {last_id}\r\n")
    else:
        client = Client(house, f"/events?after={quote(last_id)}")
    with client:
        _check_headers(client)
        (snapshot,) = client.wait("snapshot")
    assert snapshot.id == house.id(20)
    assert [message.event for message in client.messages] == ["message", "reset", "snapshot"]
    assert client.messages[1].json()["epoch"] == house.feed.epoch


def test_resume_point_of_an_idle_stream_needs_no_snapshot(house: House) -> None:
    house.happen(2)
    with Client(house, last_id=house.id(2)) as client:
        client.wait("message")
        house.happen(1)
        assert client.wait("spawned")[0].id == house.id(3)
    assert [message.event for message in client.messages] == ["message", "spawned"]


# -- 8, 10 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a\r\nid: stolen\n\ndata: x", "\ud83d", "\ufeff\u2028", "\0", "x" * 1_000_000])
def test_hostile_names_survive_the_wire(house: House, name: str) -> None:
    with Client(house) as client:
        client.wait("snapshot")
        house.happen(1, name)
        (spawned,) = client.wait("spawned")
    assert spawned.id == house.id(1)
    assert spawned.json()["greenlet"] == "1"
    assert 0 < len(spawned.json()["name"]) <= 200


def test_keep_alive_is_a_comment_a_resume_point_and_a_heartbeat() -> None:
    with a_house(limits=StreamLimits(keep_alive=0.1)) as house:
        house.happen(3)
        with Client(house, "/events?kinds=finding&snapshot=none") as client:
            client.wait("hb")
            house.happen(2)
            beats = client.wait("hb", 3)
    assert client.body.count(b": keep-alive\n\n") >= 3
    assert re.search(rb"\n\nevent: hb\ndata: {", client.body)
    assert beats[-1].json()["seq"] == 5
    # nothing of what happened concerned this reader, and yet it resumes from where it is
    assert client.parser.last_id == house.id(5)


# -- 11, 12 ------------------------------------------------------------------------------------------------


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


def _stall(house: House, path: str = "/events") -> Client:
    """Let a reader stop reading until its stream cannot be written any more."""
    client = Client(house, path, receive_buffer=4096)

    def blocked() -> bool:
        house.happen(200, "x" * 150)
        return house.call(lambda: any(reader.sending is not None for reader in house.stream._readers))

    client.take()
    wait_until(lambda: blocked() and blocked() and blocked())
    return client


def test_stalled_reader_is_cut() -> None:
    with a_house(limits=StreamLimits(send=0.3)) as house, _stall(house) as client:
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
    with a_house(limits=StreamLimits(send=0.3), middleware=middleware) as house, _stall(house):
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


# -- 13, 14, 15, 17 ----------------------------------------------------------------------------------------


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_disconnect_frees_everything_within_a_second(house: House) -> None:
    with Client(house, "/plain"):
        pass

    def quiet() -> bool:
        return house.call(lambda: len(house.server.server_state.connections)) == 0

    wait_until(quiet)
    tasks, descriptors = house.call(lambda: len(asyncio.all_tasks())), _descriptors()
    clients = [Client(house, "/events?view=overview") for _ in range(10)]
    for client in clients:
        client.wait("message")
    assert house.stream.clients == 10
    for client in clients:
        client.close()
    assert wait_until(lambda: house.stream.clients == 0) < 1.0
    assert wait_until(lambda: _descriptors() == descriptors) < 1.0
    assert wait_until(lambda: house.call(lambda: len(asyncio.all_tasks())) == tasks) < 1.0
    assert house.stream._unsubscribe is None
    assert not house.stream._views


def test_one_reader_too_many_is_told_when_to_come_back() -> None:
    with a_house(limits=StreamLimits(clients=2)) as house, Client(house) as first, Client(house) as second:
        first.wait("snapshot")
        second.wait("snapshot")
        with Client(house) as third:
            assert third.status == 503
            assert third.headers["retry-after"] == "5"
            assert "limit" in third.json()["error"]
        first.close()
        wait_until(lambda: house.stream.clients == 1)
        with Client(house) as third:
            assert third.status == 200


def test_shutdown_says_bye_within_a_second(house: House) -> None:
    with Client(house) as client, Client(house, "/events?view=overview") as viewer:
        client.wait("snapshot")
        viewer.wait("message")
        assert house.stop() < 1.0
        for reader in (client, viewer):
            reader.wait_end()
            assert reader.messages[-1].event == "bye"
            assert reader.socket.recv(1) == b""


def test_shutdown_with_a_stalled_reader_takes_three_seconds_at_most(house: House) -> None:
    with _stall(house), Client(house) as healthy:
        healthy.wait("snapshot")
        begun = time.monotonic()
        stopping = threading.Thread(target=house.stop)
        stopping.start()
        healthy.wait_end()
        assert time.monotonic() - begun < 1.0
        stopping.join(DEADLINE)
        assert time.monotonic() - begun < 3.0
    assert healthy.messages[-1].event == "bye"


def test_stream_ends_when_authorisation_ends(house: House) -> None:
    with Client(house) as client:
        client.wait("snapshot")
        house.allowed = False
        house.tick()
        time.sleep(1.0)
        house.tick()
        client.wait_end()
        assert client.messages[-1].event == "bye"
        assert house.stream.clients == 0


# -- parameters --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("kinds=spawned,born", "kinds"),
        ("rate=0.1", "rate"),
        ("rate=6", "rate"),
        ("rate=nan", "rate"),
        ("view=windows", "view"),
        ("view=greenlets&sort=colour", "sort"),
        ("view=greenlet", "id"),
        ("view=group&id=x", "id"),
        ("view=overview&limit=0", "limit"),
        ("snapshot=all", "snapshot"),
        ("colour=1", "colour"),
    ],
)
def test_senseless_parameters_are_named(house: House, query: str, field: str) -> None:
    with Client(house, f"/events?{query}") as client:
        assert client.status == 422
        assert client.json()["field"] == field


def test_kinds_choose_events_and_keep_their_numbers(house: House) -> None:
    with Client(house, "/events?kinds=failed,started&snapshot=none") as client:
        client.wait("message")

        def happen() -> None:
            id = house.probe.add()
            house.probe.start(id)
            house.probe.fail(id)
            house.feed.tick()

        house.call(happen)
        (failed,) = client.wait("failed")
    assert [(message.event, message.id) for message in client.messages[1:]] == [
        ("started", house.id(2)),
        ("failed", house.id(3)),
    ]
    assert failed.json()["exception"] == {"type": "ValueError", "message": "bad value"}


def test_published_events_enter_the_stream(house: House) -> None:
    with Client(house, "/events?kinds=audit") as client:
        client.wait("snapshot")
        house.call(lambda: house.feed.publish("audit", action="kill", target="7", note="a\nb"))
        house.tick()
        (audit,) = client.wait("audit")
    assert audit.json()["note"] == "a\\nb"
    assert (audit.json()["action"], audit.json()["seq"]) == ("kill", 1)


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
