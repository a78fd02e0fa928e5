"""A feed over a scripted probe, and a real server for its stream."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed, FeedLimits
from greenscope.app.query import QueryError
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


def wait_until(condition: Callable[[], bool], seconds: float = DEADLINE) -> float:
    """Wait for something that happens in the server's thread; return how long it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "it did not happen in time"
        time.sleep(0.005)
    return time.monotonic() - begun
