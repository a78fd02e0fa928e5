"""A client of the server over plain sockets: every byte of a request is the test's own."""

import socket
import time

from greenscope.app.server import DashboardServer

TOKEN = "the-token-of-these-tests-0123456789"


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
