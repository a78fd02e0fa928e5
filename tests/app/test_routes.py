"""Every route with every hostile case: a route that is not guarded fails here, also one that is added tomorrow."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.routing import Mount, Route

from greenscope.app.guard import CSP

#: the door: what it shows and takes is open to anybody who is not hostile otherwise
OPEN = {("GET", "/login"), ("GET", "/static/{path:path}"), ("POST", "/api/login")}


@dataclass(frozen=True)
class Case:
    """One hostile request: how it differs from a good one, and what it must be answered."""

    name: str
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""
    method: str = ""
    host: str = "localhost:8484"
    token: bool = True
    on: str = "GET POST"
    but_open: bool = False
    body: bytes = b"{}"
    kind: str = "application/json"


def fetch(site: str, mode: str = "no-cors", dest: str = "empty") -> tuple[tuple[str, str], ...]:
    return (("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest))


CASES = [
    Case("no token", 401, token=False, but_open=True),
    Case("wrong token", 401, (("authorization", "Bearer wrong"),), token=False, but_open=True),
    Case("token in the query", 401, query="token=correct-horse-battery-staple-token"),
    Case("rebinding", 421, host="evil.example:8484"),
    Case("rebinding by nip.io", 421, host="127.0.0.1.nip.io"),
    Case("host with a dot", 421, host="localhost."),
    Case("octal host", 421, host="0177.0.0.1"),
    Case("wildcard host", 421, host="0.0.0.0"),
    Case("host with a path", 400, host="localhost/x"),
    Case("host with a user", 400, host="a@localhost"),
    Case("two hosts", 400, (("host", "localhost:8484"),)),
    Case("forwarded host", 421, (("x-forwarded-host", "localhost"),), host="evil.example"),
    *(Case(f"from {site}", 403, fetch(site)) for site in ("cross-site", "same-site", "bogus")),
    *(
        Case(f"origin {origin}", 403, (("origin", origin),))
        for origin in ("null", "http://localhost:9", "https://localhost:8484", "http://evil.example")
    ),
    Case("cross-site script", 403, fetch("cross-site", "no-cors", "script"), on="GET"),
    Case("framed", 403, fetch("cross-site", "navigate", "iframe"), on="GET"),
    Case("framed by itself", 403, fetch("same-origin", "navigate", "iframe"), on="GET"),
    Case("form that navigates", 403, fetch("cross-site", "navigate", "document"), on="POST"),
    Case("form", 415, kind="application/x-www-form-urlencoded", on="POST"),
    Case("text", 415, kind="text/plain", on="POST"),
    Case("no type", 415, kind="", on="POST"),
    Case("large body", 413, body=b"x" * 65_537, on="POST"),
    *(Case(f"method {name}", 405, method=name) for name in ("PUT", "DELETE", "PATCH", "TRACE", "OPTIONS")),
    Case("preflight from elsewhere", 403, (("origin", "http://evil.example"),), method="OPTIONS"),
    Case("forwarded for", 401, (("x-forwarded-for", "127.0.0.1"),), token=False, but_open=True),
]  # fmt: skip


def walk(app: Any) -> Iterator[tuple[str, str]]:
    """Yield method and path of every route; anything that is not a plain route would need its own cases."""
    for route in app.routes:
        assert isinstance(route, Route), f"{route!r}: how is it guarded?"
        assert not isinstance(route, Mount)
        for method in sorted(route.methods or ()):
            yield method, route.path


def concrete(path: str) -> str:
    return path.replace("{id}", "1").replace("{path:path}", "x/app.css").replace("{name}", "crawl")


def send(board: Any, method: str, path: str, case: Case, query: str = "") -> httpx.Response:
    headers = [("host", case.host), *case.headers]
    if method == "POST" and case.kind:
        headers.append(("content-type", case.kind))
    if case.token:
        headers.append(("authorization", "Bearer correct-horse-battery-staple-token"))
    url = httpx.URL("http://localhost:8484" + concrete(path), query=(query or case.query).encode() or None)
    body = case.body if method == "POST" else b""
    board.client.headers.pop("authorization", None)
    answer: httpx.Response = board.client.request(case.method or method, url, headers=headers, content=body)
    return answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_route_refuses(board: Any, case: Case) -> None:
    walked = 0
    for method, path in walk(board.app):
        if (method if method == "POST" else "GET") not in case.on.split():
            continue
        if case.but_open and (method.replace("HEAD", "GET"), path) in OPEN:
            continue
        board.dashboard.access.limiter._buckets.clear()
        answer = send(board, method, path, case)
        assert answer.status_code == case.status, (method, path, answer.text[:200])
        assert answer.headers["content-security-policy"] == CSP
        walked += 1
    assert walked >= (6 if case.on == "POST" else 20 if case.on == "GET" else 26)
    assert board.probe.is_alive(1)
    assert not any(result == "done" for _, _, result in board.records())


def test_every_route_answers_the_owner(board: Any) -> None:
    good = Case("good", 200)
    for method, path in walk(board.app):
        if path in ("/events", "/wire") and method == "GET":
            continue  # it would never end; the tests of the stream and test_wire show it
        answer = send(board, method, path, good)
        allowed = {200, 404, 409, 422} if method == "POST" else {200, 404}
        assert answer.status_code in allowed, (method, path, answer.text[:300])
        assert answer.headers["content-security-policy"] == CSP
    assert board.dashboard.fault_count == 0, board.dashboard.faults


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_every_post_route_is_405_for_reading(board: Any, method: str) -> None:
    """A link, an image or a prefetch acts on nothing."""
    reading = {path for verb, path in walk(board.app) if verb == "GET"}
    for verb, path in walk(board.app):
        if verb == "POST" and path not in reading:
            assert send(board, "GET", path, Case("get", 405, method=method)).status_code == 405


def test_read_only_refuses_every_post_but_the_door(make_board: Callable[..., Any]) -> None:
    board = make_board(control=False)
    refused = 0
    for method, path in walk(board.app):
        if method == "POST":
            expected = {"/api/login": 422, "/api/logout": 200}.get(path, 403)
            assert send(board, method, path, Case("post", expected)).status_code == expected
            refused += expected == 403
    assert refused >= 4
    assert board.probe.is_alive(1)


def test_names_of_routes_are_unique_and_paths_plain(board: Any) -> None:
    names = [route.name for route in board.app.routes]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", ["/nope", "/api/nope", "/static/", "/static/x", "/greenlets/x/y/z", "/events/"])
def test_unknown_paths_are_404(board: Any, path: str) -> None:
    assert board.client.get(path).status_code == 404


def test_errors_are_pages_for_people_and_json_for_programs(board: Any) -> None:
    page = board.client.get("/nope", headers={"accept": "text/html"})
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    data = board.client.get("/api/nope", headers={"accept": "text/html"})
    assert data.json()["error"] == "not-found"


def test_stranger_gets_the_login_page_everywhere(board: Any) -> None:
    del board.client.headers["authorization"]
    for method, path in walk(board.app):
        if method != "GET" or path.startswith(("/api/", "/static/", "/events")):
            continue
        answer = board.client.get(concrete(path), headers={"accept": "text/html"})
        assert answer.status_code == (200 if path == "/login" else 401)
        assert "crawler" not in answer.text.lower() or path == "/login"
        assert "workers" not in answer.text
        assert "<script>" not in answer.text
