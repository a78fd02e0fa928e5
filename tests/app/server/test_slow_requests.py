"""The server on real sockets: deaf to half requests, and to those who do not read."""

import socket
import time
from collections.abc import Callable

from greenscope.app.server import DashboardServer, Limits
from tests.app.server.client import ask, connect, head, read_answer, read_until


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
