"""The server on real sockets: requests whose framing is hostile."""

from collections.abc import Callable

import pytest

from greenscope.app.server import DashboardServer
from tests.app.server.client import ask, connect, head, read_answer


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
