"""Connected sockets, and what the tests of sockets say of families and times."""

import socket as std

import pytest

from greenscope.runtime import socket, spawn

SHORT = 0.01
IPV6 = pytest.param(std.AF_INET6, marks=pytest.mark.skipif(not std.has_ipv6, reason="no IPv6 here"))
Pair = tuple[socket.socket, socket.socket]


def tcp_pair() -> Pair:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = spawn(socket.create_connection, server.getsockname())
        accepted, _ = server.accept()
        return client.get(), accepted


def echo_until_end(connection: socket.socket) -> None:
    with connection:
        while data := connection.recv(1000):
            connection.sendall(data)
