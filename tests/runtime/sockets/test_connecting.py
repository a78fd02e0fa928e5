"""Cooperative sockets: connections made, refused, given up; datagrams; a thousand at once."""

import errno
import http.client
import os
import resource
import socket as std
from collections.abc import Iterator
from typing import Any

import pytest

from greenscope.runtime import joinall, sleep, socket, spawn
from tests.runtime.sockets.pairs import IPV6, SHORT, echo_until_end


@pytest.mark.parametrize("family", [std.AF_INET, IPV6])
def test_tcp_client_and_server_in_one_thread(family: int) -> None:
    host = "127.0.0.1" if family == std.AF_INET else "::1"
    try:
        server = socket.create_server((host, 0), family=family)
    except OSError as error:
        pytest.skip(f"no such address: {error}")
    with server:
        serving = spawn(lambda: echo_until_end(server.accept()[0]))
        with socket.create_connection(server.getsockname()[:2], timeout=5) as client:
            for n in range(20):
                client.sendall(b"%d" % n)
                assert client.recv(100) == b"%d" % n
            client.shutdown(std.SHUT_WR)
            assert client.recv(100) == b""
        serving.get(timeout=5)


def test_connect_refused_and_not_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(address)
    with socket.socket() as client:
        assert client.connect_ex(address) == errno.ECONNREFUSED
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    with pytest.raises(ExceptionGroup):
        socket.create_connection(address, all_errors=True)


def test_connect_without_blocking_says_that_it_is_under_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.setblocking(False)
        assert client.connect_ex(server.getsockname()) in (0, errno.EINPROGRESS)


def test_connect_to_a_full_queue_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        others = []
        try:
            for _ in range(4):
                one = socket.socket()
                others.append(one)
                one.settimeout(SHORT)
                one.connect(server.getsockname())
            pytest.fail("the queue never filled")
        except TimeoutError:
            pass
        finally:
            for one in others:
                one.close()


def test_unix_sockets_connect_also_when_the_queue_is_full(tmp_path: Any) -> None:
    path = os.path.join(tmp_path, "s")
    with socket.socket(std.AF_UNIX) as server:
        server.bind(path)
        server.listen(0)

        def client() -> bytes:
            with socket.socket(std.AF_UNIX) as one:
                one.connect(path)
                return one.recv(10)

        clients = [spawn(client) for _ in range(5)]
        sleep(0)
        for _ in clients:
            accepted, _address = server.accept()
            accepted.sendall(b"hi")
            accepted.close()
        joinall(clients, timeout=5, raise_error=True)
        assert [one.value for one in clients] == [b"hi"] * 5


@pytest.mark.parametrize("family", [std.AF_INET, IPV6])
def test_datagrams(family: int) -> None:
    host = "127.0.0.1" if family == std.AF_INET else "::1"
    with socket.socket(family, std.SOCK_DGRAM) as one, socket.socket(family, std.SOCK_DGRAM) as two:
        try:
            one.bind((host, 0))
        except OSError as error:
            pytest.skip(f"no such address: {error}")
        reading = spawn(lambda: [one.recvfrom(100) for _ in range(2)])
        sleep(0)
        two.sendto(b"first", one.getsockname())
        two.sendto(b"second", 0, one.getsockname())
        got = reading.get(timeout=5)
        assert [data for data, _ in got] == [b"first", b"second"]
        assert got[0][1][1] == two.getsockname()[1]


def test_http_client_of_the_standard_library_over_our_socket() -> None:
    body = b"x" * 200_000

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as requests:
            for _ in range(3):
                assert requests.readline().startswith(b"GET /")
                while requests.readline().strip():
                    pass
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with socket.create_server(("127.0.0.1", 0)) as server:
        serving = spawn(serve, server)
        client = http.client.HTTPConnection(*server.getsockname())
        client._create_connection = socket.create_connection  # type: ignore[attr-defined]
        for _ in range(3):
            client.request("GET", "/")
            assert client.getresponse().read() == body
        client.close()
        serving.get(timeout=5)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Room for two descriptors for each of 1,000 connections; the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_a_thousand_connections_are_accepted_and_answered() -> None:
    count = 1000

    def accept(server: socket.socket) -> None:
        for _ in range(count):
            spawn(echo_until_end, server.accept()[0])

    def client(address: Any) -> bytes:
        with socket.create_connection(address) as one:
            one.sendall(b"hello")
            sleep(0)
            return one.recv(10)

    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        accepting = spawn(accept, server)
        clients = [spawn(client, server.getsockname()) for _ in range(count)]
        joinall([accepting, *clients], timeout=20, raise_error=True)
        assert [one.value for one in clients] == [b"hello"] * count
