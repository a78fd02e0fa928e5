"""The server on real sockets: it ends in time, frees what it had, and so do its streams."""

import gc
import os
import socket
import threading
import time
from collections.abc import Callable

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.dashboard import build_dashboard
from greenscope.app.server import DashboardServer
from tests.app.server.client import TOKEN, ask, connect, head, read_answer, read_until


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
