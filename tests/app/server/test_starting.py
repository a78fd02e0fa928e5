"""The server on real sockets: where it may listen, and that it is a good guest in its process."""

import json
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from greenscope.app import loop
from greenscope.app.backends.fake import FakeProbe
from greenscope.app.dashboard import build_dashboard
from greenscope.app.server import DashboardServer, InsecureBind, PortInUse
from tests.app.server.client import TOKEN, ask, head


def test_server_answers_as_soon_as_it_is_started(serve: Callable[..., DashboardServer]) -> None:
    server = serve()
    assert server.url == f"http://127.0.0.1:{server.port}/#token={TOKEN}"
    status, body = ask(server)
    assert status == 200
    assert json.loads(body)["pid"] == os.getpid()
    assert ask(server, head(token="wrong"))[0] == 401


def test_servers_own_loop_tells_of_its_rests(
    serve: Callable[..., DashboardServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    rested = threading.Event()
    monkeypatch.setattr(loop, "rested", rested.set)
    serve()
    assert rested.wait(5)


def test_busy_port_is_an_exception_in_the_callers_thread(serve: Callable[..., DashboardServer]) -> None:
    server = serve()
    for _ in range(3):
        with pytest.raises(PortInUse, match=str(server.port)):
            serve(port=server.port)
    assert ask(server)[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_address_that_others_can_reach_needs_a_token(host: str) -> None:
    app = build_dashboard(FakeProbe(), authentication="none")
    with pytest.raises(InsecureBind, match="needs a token"):
        DashboardServer(app, host=host)
    local = build_dashboard(FakeProbe(), authentication="uds")
    for any_host in (host, "127.0.0.1"):
        with pytest.raises(InsecureBind):
            DashboardServer(local, host=any_host)


def test_wildcard_bind_with_a_token_asks_for_it_and_answers_to_its_addresses(
    serve: Callable[..., DashboardServer],
) -> None:
    server = serve(host="0.0.0.0")
    assert server.url.startswith(f"http://127.0.0.1:{server.port}/")
    assert ask(server)[0] == 200
    assert ask(server, head(token="x"))[0] == 401
    assert ask(server, head(host="127.0.0.1"))[0] == 200
    for host in ("evil.example", "0.0.0.0", "10.1.2.3"):
        assert ask(server, head(host=host))[0] == 421


def test_unix_socket_is_its_own_authentication(serve: Callable[..., DashboardServer], tmp_path: Path) -> None:
    path = tmp_path / "own" / "1.sock"
    server = serve(uds=path, board={"token": None, "authentication": "uds"})
    assert server.url == f"unix:{path}"
    status, _ = ask(server, b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert status == 200
    kill = b"POST /api/greenlets/1/kill HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert ask(server, kill + b"Content-Length: 2\r\n\r\n{}")[0] == 200
    assert path.stat().st_mode & 0o777 == 0o600
    assert server.stop()
    assert not path.exists()


def test_unix_socket_of_a_successor_is_not_removed(serve: Callable[..., DashboardServer], tmp_path: Path) -> None:
    path = tmp_path / "1.sock"
    board = {"token": None, "authentication": "uds"}
    first = serve(uds=path, board=board)
    path.unlink()
    second = serve(uds=path, board=board)
    assert first.stop()
    assert path.exists()
    assert ask(second, b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 200


def test_server_in_a_thread_touches_no_signal_and_no_log(
    serve: Callable[..., DashboardServer], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    threads = threading.active_count()
    with caplog.at_level(logging.DEBUG):
        server = serve()
        ask(server)
        ask(server, b"nonsense\r\n\r\n")
        ask(server, head("GET", f"/?token={TOKEN}"))
        ask(server, head("GET", "/", "Upgrade: websocket", "Connection: upgrade"))
        server.stop()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers
    assert threading.active_count() <= threads + 1
    assert [record for record in caplog.records if record.name != "asyncio"] == []
    output = capfd.readouterr()
    assert TOKEN not in output.out + output.err + caplog.text
    assert output.err == ""
