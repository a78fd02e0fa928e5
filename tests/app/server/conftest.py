"""What the tests of the server share: servers in threads, which must stop without an error."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.dashboard import build_dashboard
from greenscope.app.server import DashboardServer
from tests.app.server.client import TOKEN


@pytest.fixture
def serve() -> Iterator[Callable[..., DashboardServer]]:
    """Start servers in threads; all are stopped in the end."""
    servers: list[DashboardServer] = []

    def start(*, board: dict[str, Any] | None = None, **options: Any) -> DashboardServer:
        probe = FakeProbe()
        for _ in range(3):
            probe.add("work")
        app = build_dashboard(probe, **{"token": TOKEN, "control": True, **(board or {})})
        server = DashboardServer(app, **{"port": 0, **options})
        servers.append(server)
        server.start_thread()
        return server

    yield start
    for server in servers:
        assert server.stop(5)
        assert server.error is None
