"""Which requests the guard takes, from whomever: rows 3, 4, 5, 13, 14 and 15 of the table of attacks."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.asking import MAX_BODY
from greenscope.app.hosts import HostList
from tests.app.guarding import BEARER, HOST, JSON, ask, control, make_guard

# -- rows 3, 4, 5: from where --------------------------------------------------------------------------------


@pytest.mark.parametrize("site", [b"cross-site", b"same-site", b"bogus", b"", b"none,none"])
def test_guard_refuses_other_sites(site: bytes) -> None:
    assert control([(b"sec-fetch-site", site)]).status == 403
    read = ask(headers=[HOST, BEARER, (b"sec-fetch-site", site), (b"sec-fetch-mode", b"no-cors")])
    assert (read.status, read.reached) == (403, False)


@pytest.mark.parametrize(
    "origin",
    [b"null", b"http://localhost:9999", b"https://localhost:8484", b"http://evil.example", b"http://localhost", b"",
     b"http://127.0.0.1:8484", b"http://localhost:8484/", b"http://localhost:8484.evil.example"],
)  # fmt: skip
def test_guard_refuses_other_origins(origin: bytes) -> None:
    assert control([(b"origin", origin)]).status == 403
    assert control([(b"origin", origin), (b"sec-fetch-site", b"same-origin")]).status == 403
    assert ask("OPTIONS", headers=[HOST, (b"origin", origin)]).status == 403


def test_guard_takes_its_own_origin() -> None:
    own = (b"origin", b"http://localhost:8484")
    assert control([own]).status == 200
    assert control([own, (b"sec-fetch-site", b"same-origin")]).status == 200
    assert control([own, own]).status == 403
    assert control([(b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", b"same-origin")]).status == 403
    behind_tls = make_guard(hosts=HostList(["https://dash.example"]))
    headers = [(b"host", b"dash.example"), BEARER, JSON, (b"origin", b"https://dash.example")]
    assert ask("POST", "/api/spawn", headers, [b"{}"], guard=behind_tls).status == 200


def test_guard_lets_a_link_open_a_page_but_not_a_frame_or_a_stream() -> None:
    def go(path: str, dest: bytes, site: bytes = b"cross-site", mode: bytes = b"navigate", method: str = "GET") -> int:
        fetch = [(b"sec-fetch-site", site), (b"sec-fetch-mode", mode), (b"sec-fetch-dest", dest)]
        return ask(method, path, [HOST, BEARER, *fetch]).status

    assert go("/", b"document") == 200
    assert go("/greenlets", b"document", b"same-site") == 200
    assert go("/events", b"document") == 403
    assert go("/", b"document", b"bogus") == 403
    for dest in (b"iframe", b"frame", b"embed", b"object", b"empty"):
        assert go("/", dest) == 403
        assert go("/", dest, b"same-origin") == 403
    assert go("/", b"document", mode=b"no-cors") == 403
    assert go("/api/spawn", b"document", method="POST") == 403


@pytest.mark.parametrize(
    "method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "BREW", "POST ", ""]
)
def test_guard_knows_three_methods(method: str) -> None:
    answer = ask(method, "/api/greenlets/1/kill", [HOST, BEARER, JSON])
    assert (answer.status, answer.reached) == (405, False)
    assert answer.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize(
    "kind",
    [b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"", b"application/jsonx",
     b"application/json; charset=utf-16", b"application/json, text/plain", b"text/plain; application/json"],
)  # fmt: skip
def test_guard_takes_json_only(kind: bytes) -> None:
    answer = ask("POST", "/api/spawn", [HOST, BEARER, (b"content-type", kind)], [b"{}"])
    assert (answer.status, answer.reached) == (415, False)


def test_guard_takes_json_with_its_charset_and_nothing_compressed() -> None:
    def post(*headers: tuple[bytes, bytes]) -> int:
        return ask("POST", "/api/spawn", [HOST, BEARER, *headers], [b"{}"]).status

    assert post((b"content-type", b'Application/JSON; charset="UTF-8"')) == 200
    assert post() == 415
    assert post(JSON, JSON) == 415
    assert post(JSON, (b"content-encoding", b"gzip")) == 415


# -- rows 13, 14: paths --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..", "/..", "/.", "/static/%2e%2e", "/static//etc/passwd", "//evil.example/", "*",
     "http://evil.example/", "/a b", "/a\x00", "/a\\b", "/é", "/a\n", "/a;b", "/a?b", "", "/static/...",
     "/" + "a" * 1025, "/\ud800", "/a%00"],
)  # fmt: skip
def test_guard_knows_plain_paths_only(path: str) -> None:
    answer = ask(path=path)
    assert (answer.status, answer.reached) == (404, False)


def test_guard_judges_the_path_below_the_mount_point() -> None:
    mounted: dict[str, Any] = {"root_path": "/my app"}
    assert ask(path="/my app/static/1/app.css", headers=[HOST], **mounted).status == 200
    assert ask(path="/my app/", **mounted).status == 200
    assert ask(path="/my app", **mounted).status == 200
    assert ask(path="/my app/api/health", headers=[HOST], **mounted).status == 401
    # a path that only looks as if it were below the mount point is judged as a whole
    assert ask(path="/my appstatic/1/app.css", headers=[HOST], **mounted).status == 404


# -- row 15: bodies ------------------------------------------------------------------------------------------


def test_guard_caps_bodies_declared_or_not() -> None:
    declared = control([(b"content-length", str(MAX_BODY + 1).encode())])
    assert (declared.status, declared.reached) == (413, False)
    chunked = control(body=[b"x" * 1024] * 64 + [b"x"])
    assert (chunked.status, chunked.reached) == (413, False)
    assert control(body=[b"x" * 1024] * 64).status == 200
    for wrong in (b"-1", b"x", b"1e3", b"9" * 30, b""):
        assert control([(b"content-length", wrong)]).status == 400
    assert control([(b"content-length", b"2"), (b"content-length", b"2")]).status == 400


def test_guard_gives_up_quietly_when_the_client_leaves_in_the_middle() -> None:
    exchange = control(body=[])
    assert (exchange.status, exchange.reached) == (0, False)


def test_guard_hands_the_body_on_unchanged() -> None:
    bodies: list[bytes] = []

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        bodies.append(await request.body())
        assert await request.is_disconnected()
        await Response(b"ok")(scope, receive, send)

    assert control(body=[b'{"a":', b"1}"], guard=make_guard(echo)).status == 200
    assert bodies == [b'{"a":1}']


def test_guard_limits_the_query() -> None:
    assert ask(query=b"q=" + b"x" * 9000).status == 414
