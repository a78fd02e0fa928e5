"""Faults: what must not leave the program, and what a request may not claim."""

import socket
import urllib.parse

import pytest

import greenscope
from greenscope.app.backends.fake import FakeProbe
from greenscope.app.pages import PAGES
from greenscope.runtime import sleep
from greenscope.runtime.pool import Pool
from greenscope.runtime.thread import RuntimeThread
from tests.app.faults.asking import ask, id_of, watching
from tests.patience import wait_for

CANARY = "canary-7d31f0-of-the-program"


def test_arguments_and_locals_are_in_no_page_no_json_no_stream_and_no_log(
    thread: RuntimeThread, capfd: pytest.CaptureFixture[str]
) -> None:
    def handle(password: str, *, key: str) -> None:
        secret = password + key
        sleep(60)
        assert secret

    with greenscope.watch(port=0, backend="native", control=True) as monitor:
        parts = urllib.parse.urlsplit(monitor.url)
        token = parts.fragment.partition("token=")[2]
        pool = thread.call(Pool, 5)
        greenlet = thread.call(lambda: pool.spawn(handle, CANARY, key=CANARY))
        thread.call(sleep, 0)
        id = id_of(greenlet)
        wait_for(lambda: ask(monitor, f"/api/greenlets/{id}")[0] == 200)
        seen = b""
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as stream:
            top = f"GET /events?view=greenlets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
            stream.sendall(top.encode())
            wait_for(lambda: b"event: patch" in stream.recv(1 << 20))
            for route in [page.path for page in PAGES] + ANSWERS:
                number = id_of(pool) if "group" in route else id
                status, body = ask(monitor, route.replace("{id}", str(number)))
                assert status == 200, route
                seen += body
            status, body = ask(monitor, f"/api/greenlets/{id}/kill", {})
            assert status == 200
            stream.settimeout(2)
            stopped = b""
            while b"event: killed" not in stopped:
                stopped += stream.recv(1 << 20)
            seen += body + stopped
        written = capfd.readouterr()
        assert b"handle" in seen
        assert CANARY.encode() not in seen
        assert CANARY not in written.err + written.out
        assert token.encode() not in seen
        assert token not in written.err + written.out


ANSWERS = [f"/api/{name}" for name in (
    "health", "greenlets", "greenlets?format=csv", "greenlets/{id}", "stacks", "tree", "waits", "findings", "groups",
    "groups/{id}", "spawnables", "audit", "openapi.json",
)]  # fmt: skip


def test_forwarded_headers_change_nothing() -> None:
    probe = FakeProbe()
    probe.add("work")
    with watching(probe) as monitor:
        forged = {
            "X-Forwarded-For": "127.0.0.1",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "localhost",
            "X-Forwarded-Prefix": "/elsewhere",
            "Forwarded": "for=127.0.0.1;host=localhost;proto=https",
            "X-Real-IP": "127.0.0.1",
            "X-Original-URL": "/login",
            "X-Rewrite-URL": "/login",
        }
        plain = ask(monitor, "/greenlets")
        assert ask(monitor, "/greenlets", headers=forged)[0] == plain[0] == 200
        assert b"/elsewhere" not in ask(monitor, "/greenlets", headers=forged)[1]
        assert ask(monitor, "/greenlets", headers={**forged, "Authorization": ""})[0] == 401
        assert ask(monitor, "/greenlets", headers={**forged, "Host": "evil.example"})[0] == 421
        answer = ask(monitor, "/api/login", {"token": "t" * 32}, forged)
        assert answer[0] == 200
