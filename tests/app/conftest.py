"""A dashboard over a scripted probe, asked through its ASGI face: what the web tests share."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.dashboard import Dashboard, DashboardApp, build_dashboard
from greenscope.app.spawnables import Spawnables

TOKEN = "correct-horse-battery-staple-token"


def crawl(url: str, depth: int = 2) -> None:
    """Crawl a site."""


class Client:
    """httpx over ASGI, driven from plain tests: one event loop for as long as it lives."""

    def __init__(self, app: Any, base: str = "http://localhost:8484", token: str = TOKEN) -> None:
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 40000))
        self._client = httpx.AsyncClient(transport=transport, base_url=base)
        if token:
            self.headers["authorization"] = f"Bearer {token}"

    @property
    def headers(self) -> httpx.Headers:
        return self._client.headers

    @property
    def cookies(self) -> httpx.Cookies:
        return self._client.cookies

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(asyncio.wait_for(self._client.request(method, path, **options), 20))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


@dataclass
class Board:
    """An app over a scripted probe, and a client that is logged in by token."""

    probe: FakeProbe
    app: DashboardApp
    client: Client
    ids: list[int] = field(default_factory=list)

    @property
    def dashboard(self) -> Dashboard:
        return self.app.dashboard

    def get(self, path: str, **options: Any) -> Any:
        """Read JSON that must be answered 200."""
        self.dashboard.feed.tick()
        answer = self.client.get(path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """Post JSON; returns the response."""
        self.dashboard.feed.tick()
        headers = {"content-type": "application/json", **options.pop("headers", {})}
        return self.client.post(path, content=json.dumps(body or {}), headers=headers, **options)

    def records(self) -> list[tuple[str, str, str]]:
        return [(record.action, record.target, record.result) for record in self.dashboard.audit.records]


@pytest.fixture
def make_board() -> Iterator[Callable[..., Board]]:
    """Make boards; each has a pool with two parked members, one running and one failed greenlet."""
    clients: list[Client] = []

    def make(**options: Any) -> Board:
        probe = options.pop("probe", None) or FakeProbe()
        spawnables = Spawnables()
        spawnables.add(crawl)
        settings = {"token": TOKEN, "control": True, "name": "crawler", "spawnables": spawnables, **options}
        app = build_dashboard(probe, **settings)
        client = Client(app)
        clients.append(client)
        board = Board(probe, app, client)
        pool = probe.open_group("workers", 4)
        root = probe.add("main")
        probe.start(root)
        parked = [probe.add("fetch", parent=root, group=pool) for _ in range(2)]
        for id in parked:
            probe.start(id)
            probe.park(id, "socket.recv", "10.0.0.1:80")
        failed = probe.add("parse", parent=root)
        probe.start(failed)
        probe.fail(failed, "ValueError", "bad <b>html</b>")
        probe.run(root)
        board.ids = [root, *parked, failed]
        return board

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def board(make_board: Callable[..., Board]) -> Board:
    """Return a dashboard with control."""
    return make_board()
