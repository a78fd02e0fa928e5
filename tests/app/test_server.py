"""The server on real sockets: a good guest, and deaf to half requests."""

import gc
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.dashboard import build_dashboard
from greenscope.app.server import DashboardServer, InsecureBind, Limits, PortInUse

TOKEN = "the-token-of-these-tests-0123456789"


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


def connect(server: DashboardServer) -> socket.socket:
    if server.uds is not None:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5)
        client.connect(str(server.uds))
        return client
    return socket.create_connection(("127.0.0.1", server.port), timeout=5)


def head(
    method: str = "GET", path: str = "/api/health", *extra: str, host: str = "localhost", token: str = TOKEN
) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        *([f"Host: {host}"] if host else []),
        f"Authorization: Bearer {token}",
        *extra,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def read_answer(client: socket.socket) -> tuple[int, bytes]:
    """Read one answer that has a length, or all until the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = client.recv(65536)
        if not chunk:
            break
        data += chunk
    top, _, body = data.partition(b"\r\n\r\n")
    if not top:
        return 0, b""
    for line in top.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
            while len(body) < length and (chunk := client.recv(65536)):
                body += chunk
    return int(top.split()[1]), body


def ask(server: DashboardServer, request: bytes | None = None) -> tuple[int, bytes]:
    with connect(server) as client:
        client.sendall(request if request is not None else head())
        return read_answer(client)


def read_until(client: socket.socket, text: bytes, seconds: float = 5.0) -> bytes:
    data, deadline = b"", time.monotonic() + seconds
    while text not in data and time.monotonic() < deadline:
        chunk = client.recv(65536)
        if not chunk:
            break
        data += chunk
    return data


# -- starting ------------------------------------------------------------------------------------------------


def test_server_answers_as_soon_as_it_is_started(serve: Callable[..., DashboardServer]) -> None:
    server = serve()
    assert server.url == f"http://127.0.0.1:{server.port}/#token={TOKEN}"
    status, body = ask(server)
    assert status == 200
    assert json.loads(body)["pid"] == os.getpid()
    assert ask(server, head(token="wrong"))[0] == 401


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


# -- hostile framing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (head("GET", "/api/health", "Host: localhost"), 400),
        (head(host=""), 400),
        (head(host="evil.example"), 421),
        (head(host="localhost/x"), 400),
        (head(host="a@localhost"), 400),
        (head("GET", "/static/..%2f..%2fpyproject.toml"), 404),
        (head("GET", "/static/%00"), 404),
        (head("GET", "/static//etc/passwd"), 404),
        (head("GET", "/static/../../pyproject.toml"), 404),
        (head("GET", "http://evil.example/api/health"), 404),
        (head("OPTIONS", "*"), 404),
        (head("BREW", "/"), 405),
        (b"GET / HTTP/1.0\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (head("GET", "/", "X: a\x00b"), 400),
        (head("POST", "/api/spawn", "Content-Type: application/json", "Content-Length: 65537"), 413),
        (head("POST", "/api/spawn", "Content-Type: application/json", "Content-Length: 2", "Content-Length: 3"), 400),
        (head("POST", "/api/spawn", "Content-Type: application/json", "Content-Length: x"), 400),
        (head("GET", "/api/health", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: evil.example"), 200),
    ],
)  # fmt: skip
def test_framing_and_hosts_on_the_wire(serve: Callable[..., DashboardServer], request_: bytes, status: int) -> None:
    server = serve()
    assert ask(server, request_)[0] == status
    assert ask(server)[0] == 200


def test_chunked_body_beyond_the_cap_is_413(serve: Callable[..., DashboardServer]) -> None:
    server = serve()
    request = head("POST", "/api/spawn", "Content-Type: application/json", "Transfer-Encoding: chunked")
    with connect(server) as client:
        client.sendall(request)
        chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
        for _ in range(16):
            client.sendall(chunk)
        client.sendall(b"1\r\n \r\n")
        assert read_answer(client)[0] == 413


def test_giant_header_is_refused(serve: Callable[..., DashboardServer]) -> None:
    server = serve()
    with connect(server) as client:
        try:
            for _ in range(64):
                client.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000)
            status, _ = read_answer(client)
        except ConnectionError:
            status = 400
        assert status in (400, 0)
    assert ask(server)[0] == 200


# -- slow requests -------------------------------------------------------------------------------------------


def test_two_hundred_half_open_requests_do_not_keep_a_healthy_one_waiting(
    serve: Callable[..., DashboardServer],
) -> None:
    server = serve(limits=Limits(request=0.5))
    halves = [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: local", head("POST", "/api/spawn", "Content-Length: 9")]
    halves[3] += b"{"
    clients = [connect(server) for _ in range(200)]
    try:
        for index, client in enumerate(clients):
            client.sendall(halves[index % 4])
        begun = time.monotonic()
        assert ask(server)[0] == 200
        assert time.monotonic() - begun < 1.0
        ends = {read_answer(client)[0] for client in clients}
        assert ends <= {0, 408, 415}
        assert server.deadlines.reaped >= 150
    finally:
        for client in clients:
            client.close()


def test_dripping_does_not_extend_the_time_of_a_request(serve: Callable[..., DashboardServer]) -> None:
    server = serve(limits=Limits(request=0.4))
    begun = time.monotonic()
    with connect(server) as client:
        client.settimeout(0.05)
        data = b""
        for byte in head("GET", "/api/health", "X: " + "a" * 500):
            try:
                client.sendall(bytes([byte]))
                data += client.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                break
            break
    assert 0.3 < time.monotonic() - begun < 3
    assert b"408" in data


def test_slow_body_is_cut_and_a_quick_one_is_not(serve: Callable[..., DashboardServer]) -> None:
    server = serve(limits=Limits(request=0.4))
    request = head("POST", "/api/greenlets/1/kill", "Content-Type: application/json", "Content-Length: 2")
    with connect(server) as client:
        client.sendall(request + b"{")
        assert read_answer(client)[0] == 408
    with connect(server) as client:
        client.sendall(request + b"{")
        time.sleep(0.1)
        client.sendall(b"}")
        assert read_answer(client)[0] == 200


def test_kept_alive_connection_outlives_the_request_time(serve: Callable[..., DashboardServer]) -> None:
    server = serve(limits=Limits(request=0.3))
    with connect(server) as client:
        for _ in range(4):
            client.sendall(head())
            assert read_answer(client)[0] == 200
            time.sleep(0.15)
    assert server.deadlines.reaped == 0


def test_stream_outlives_the_request_time(serve: Callable[..., DashboardServer]) -> None:
    server = serve(limits=Limits(request=0.3))
    with connect(server) as client:
        client.sendall(head("GET", "/events"))
        assert b"200" in read_until(client, b"retry")
        time.sleep(0.5)
        server.dashboard.probe.add("late")  # type: ignore[attr-defined]
        assert b"late" in read_until(client, b"late")


def test_too_many_incomplete_requests_push_out_the_oldest(serve: Callable[..., DashboardServer]) -> None:
    server = serve(limits=Limits(request=60, incomplete=10))
    clients = [connect(server) for _ in range(30)]
    try:
        assert ask(server)[0] == 200
        assert read_answer(clients[0])[0] in (0, 408)
        assert server.deadlines.reaped >= 20
    finally:
        for client in clients:
            client.close()


def test_connections_are_bounded(serve: Callable[..., DashboardServer]) -> None:
    server = serve(limits=Limits(connections=20, incomplete=15))
    clients = [connect(server) for _ in range(100)]
    try:
        assert ask(server)[0] == 200
        assert len(server.server_state.connections) <= 21
    finally:
        for client in clients:
            client.close()


def test_reader_that_stalls_is_cut(serve: Callable[..., DashboardServer]) -> None:
    server = serve(limits=Limits(send=0.4))
    for _ in range(2000):
        server.dashboard.probe.add("x" * 100)  # type: ignore[attr-defined]
    time.sleep(0.1)
    with connect(server) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(head("GET", "/api/greenlets?limit=1000") * 8)
        assert client.recv(10)
        deadline = time.monotonic() + 5
        while server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not server.server_state.connections


# -- ending --------------------------------------------------------------------------------------------------


def test_stop_says_bye_to_streams_and_frees_the_port(serve: Callable[..., DashboardServer]) -> None:
    server = serve()
    clients = [connect(server) for _ in range(5)]
    for client in clients:
        client.sendall(head("GET", "/events"))
        read_until(client, b"retry")
    begun = time.monotonic()
    assert server.stop()
    assert time.monotonic() - begun < 1.0
    for client in clients:
        data = read_until(client, b"\0")
        assert b"event: bye" in data
        client.close()
    assert server.stop()
    serve(port=server.port)


def test_stop_with_stalled_readers_takes_at_most_three_seconds(serve: Callable[..., DashboardServer]) -> None:
    server = serve()
    clients = [connect(server) for _ in range(3)]
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(head("GET", "/events"))
        client.recv(10)
    for _ in range(5000):
        server.dashboard.probe.add("x" * 200)  # type: ignore[attr-defined]
    time.sleep(0.6)
    begun = time.monotonic()
    assert server.stop()
    assert time.monotonic() - begun < 3.0
    assert not server.server_state.connections
    for client in clients:
        client.close()


def test_logout_ends_the_open_stream_of_its_session(serve: Callable[..., DashboardServer]) -> None:
    server = serve()
    cookie = f"greenscope-default={server.dashboard.access.issue()}"
    with connect(server) as stream, connect(server) as other:
        stream.sendall(f"GET /events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
        read_until(stream, b"retry")
        request = f"POST /api/logout HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n"
        other.sendall(f"{request}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        assert read_answer(other)[0] == 200
        begun = time.monotonic()
        read_until(stream, b"\0never\0")
        assert time.monotonic() - begun < 1.0


def test_disconnected_stream_frees_its_place_within_a_second(serve: Callable[..., DashboardServer]) -> None:
    server = serve()
    client = connect(server)
    client.sendall(head("GET", "/events"))
    read_until(client, b"retry")
    assert server.dashboard.stream.clients == 1
    client.close()
    deadline = time.monotonic() + 1.0
    while server.dashboard.stream.clients and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.dashboard.stream.clients == 0


def count_resources() -> tuple[int, int]:
    gc.collect()
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def test_start_and_stop_a_hundred_times_leaves_nothing(serve: Callable[..., DashboardServer]) -> None:
    def once() -> None:
        server = serve()
        with connect(server) as client:
            client.sendall(head("GET", "/events"))
            read_until(client, b"retry")
            assert server.stop()

    once()
    before = count_resources()
    for _ in range(100):
        once()
    deadline = time.monotonic() + 2
    while count_resources()[1] > before[1] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert count_resources() == before


def test_stop_while_a_connection_is_being_accepted_closes_it(serve: Callable[..., DashboardServer]) -> None:
    for _ in range(30):
        server = serve()
        clients = [connect(server) for _ in range(3)]
        assert server.stop()
        for client in clients:
            try:
                assert client.recv(1) == b""
            except ConnectionResetError:
                pass  # it was never accepted
            client.close()
    gc.collect()  # an unclosed transport is a warning, and so a failure


def test_stop_before_start_frees_the_port(serve: Callable[..., DashboardServer]) -> None:
    server = DashboardServer(build_dashboard(FakeProbe(), token=TOKEN), port=0)
    server.bind()
    port = server.port
    assert server.stop()
    assert server.finished
    serve(port=port)


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


def test_run_in_a_thread_of_the_caller_ends_with_stop() -> None:
    server = DashboardServer(build_dashboard(FakeProbe(), token=TOKEN), port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 5
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ask(server)[0] == 200
    assert server.stop()
    thread.join(2)
    assert not thread.is_alive()
    assert server.signal is None
