"""The guard alone, before an app that would answer everything: each row of the security table."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse

from greenscope.app.access import Access, Principal, make_token
from greenscope.app.asking import MAX_BODY
from greenscope.app.guard import CSP, Guard
from greenscope.app.hosts import HostList

TOKEN = make_token()
BEARER = (b"authorization", b"Bearer " + TOKEN.encode())
HOST = (b"host", b"localhost:8484")
JSON = (b"content-type", b"application/json")
Headers = Iterable[tuple[bytes, bytes]]


@dataclass
class Exchange:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reached: bool = False
    ended: bool = False

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])


def make_guard(app: Any = None, **options: Any) -> Guard:
    async def page(request: Request) -> Response:
        return HTMLResponse("<h1>log in</h1>")

    settings: dict[str, Any] = {"control": True, "login_page": page, **options}
    access = settings.pop("access", None) or Access(TOKEN)
    return Guard(app, access, settings.pop("hosts", None) or HostList(), **settings)


def ask(
    method: str = "GET",
    path: str = "/api/health",
    headers: Headers = (HOST, BEARER),
    body: Iterable[bytes] = (b"",),
    guard: Guard | None = None,
    query: bytes = b"",
    **scope: Any,
) -> Exchange:
    """Send one request through a guard before an app that answers 200 to everything."""
    exchange = Exchange()
    guard = guard or make_guard()
    chunks = list(body)

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        exchange.reached = True
        await PlainTextResponse("hello")(scope, receive, send)

    async def receive() -> dict[str, Any]:
        if chunks:
            chunk = chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            exchange.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            exchange.body += message.get("body", b"")
            exchange.ended = not message.get("more_body", False)

    if guard.app is None:
        guard.app = inner
    request = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": query,
        "root_path": "",
        "scheme": "http",
        "headers": list(headers),
        "server": ("127.0.0.1", 8484),
        "client": ("127.0.0.1", 40000),
        **scope,
    }
    asyncio.run(guard(request, receive, send))
    return exchange


def control(headers: Headers = (), body: Iterable[bytes] = (b"{}",), **options: Any) -> Exchange:
    return ask("POST", "/api/greenlets/1/kill", (HOST, BEARER, JSON, *headers), body, **options)


# -- rows 1, 7, 8: who ---------------------------------------------------------------------------------------


def test_guard_needs_the_token() -> None:
    assert ask().status == 200
    nobody = ask(headers=[HOST])
    assert (nobody.status, nobody.error, nobody.reached) == (401, "unauthorized", False)
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    wrong = [
        (b"authorization", value) for value in (b"Bearer x", b"Bearer", b"Basic " + TOKEN.encode(), TOKEN.encode())
    ]
    for header in wrong:
        assert ask(headers=[HOST, header]).status == 401
    assert ask(headers=[HOST, BEARER, BEARER]).status == 401


def test_guard_takes_the_cookie_of_its_port_only() -> None:
    access = Access(TOKEN)
    cookie = access.issue()

    def with_cookie(value: str) -> int:
        return ask(headers=[HOST, (b"cookie", value.encode())], guard=make_guard(access=access)).status

    assert with_cookie(f"greenscope-8484={cookie}") == 200
    assert with_cookie(f"a=b; greenscope-8484=junk; greenscope-8484={cookie}") == 200
    assert with_cookie(f"greenscope-8485={cookie}") == 401
    assert with_cookie(f"greenscope-8484={TOKEN}") == 401
    assert with_cookie("greenscope-8484") == 401


@pytest.mark.parametrize(
    "query", [b"token=%s", b"a=b&token=%s", b"%%74oken=%s", b"TOKEN=%s", b"a;token=%s", b"token%.0s"]
)
def test_guard_refuses_a_token_in_the_query_even_beside_a_right_one(query: bytes) -> None:
    answer = ask(query=query % TOKEN.encode())
    assert (answer.status, answer.reached) == (401, False)


def test_guard_answers_the_eleventh_bad_try_with_429() -> None:
    guard = make_guard()
    bad = [HOST, (b"authorization", b"Bearer wrong")]
    assert [ask(headers=bad, guard=guard).status for _ in range(11)] == [401] * 10 + [429]
    assert int(ask(headers=bad, guard=guard).headers["retry-after"]) >= 1
    assert ask(guard=guard).status == 200
    forwarded = [*bad, (b"x-forwarded-for", b"10.0.0.9"), (b"forwarded", b"for=10.0.0.9"), (b"x-real-ip", b"10.0.0.9")]
    assert ask(headers=forwarded, guard=guard).status == 429
    assert ask(headers=bad, guard=guard, client=("10.0.0.9", 1)).status == 401


def test_guard_shows_a_person_the_login_page() -> None:
    browser = [HOST, (b"accept", b"text/html,*/*"), (b"sec-fetch-site", b"none")]
    page = ask(path="/greenlets", headers=browser)
    assert (page.status, page.body) == (401, b"<h1>log in</h1>")
    assert page.headers["content-type"].startswith("text/html")
    for data in ("/api/health", "/events"):
        assert ask(path=data, headers=browser).error == "unauthorized"


def test_guard_leaves_the_door_open_and_nothing_else() -> None:
    for path in ("/login", "/static/1/app.css"):
        assert ask(path=path, headers=[HOST]).status == 200
    assert ask("POST", "/api/login", [HOST, JSON], [b"{}"]).status == 200
    for path in ("/login/x", "/api/login/x", "/static", "/api/loginx", "/xstatic/a", "/api/logout"):
        assert ask("POST", path, [HOST, JSON], [b"{}"]).status == 401
        assert ask("GET", path, [HOST]).status == 401
    assert ask("GET", "/api/login", [HOST]).status == 401
    assert ask("POST", "/login", [HOST, JSON], [b"{}"]).status == 401


def test_guard_without_authentication_reads_but_does_not_act() -> None:
    access = Access(TOKEN, "none")
    assert ask(headers=[HOST], guard=make_guard(access=access)).status == 200
    kill = ask("POST", "/api/greenlets/1/kill", [HOST, JSON], [b"{}"], guard=make_guard(access=access))
    assert (kill.status, kill.reached) == (401, False)
    assert control(guard=make_guard(access=access)).status == 200


def test_guard_trusts_the_unix_socket_not_the_port() -> None:
    access = Access(None, "uds")
    local: dict[str, Any] = {"server": ("/run/x.sock", None), "client": None}
    assert ask(headers=[HOST], guard=make_guard(access=access), **local).status == 200
    assert ask(headers=[HOST], guard=make_guard(access=access)).status == 401


# -- row 2: Host ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"evil.example", 421), (b"localhost6", 421), (b"0177.0.0.1", 421), (b"127.0.0.555", 421), (b"0.0.0.0", 421),
        (b"127.0.0.1.nip.io", 421), (b"localhost.", 421), (b"localhost/x", 400), (b"a@localhost", 400), (b"", 400),
        (b"LOCALHOST:8484", 200), (b"[::1]:8484", 200), (b"127.0.0.1", 200), (b"localhost:9999", 200),
    ],
)  # fmt: skip
def test_guard_answers_to_its_own_names(host: bytes, status: int) -> None:
    answer = ask(headers=[(b"host", host), BEARER])
    assert answer.status == status
    assert answer.reached is (status == 200)


def test_guard_wants_exactly_one_host() -> None:
    assert ask(headers=[HOST, HOST, BEARER]).status == 400
    assert ask(headers=[HOST, (b"host", b"evil.example"), BEARER]).status == 400
    assert ask(headers=[BEARER]).status == 400
    forwarded = [(b"host", b"evil.example"), (b"x-forwarded-host", b"localhost"), BEARER]
    assert ask(headers=forwarded).status == 421


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


# -- row 9: read-only ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api/spawn", "/api/greenlets/1/kill", "/api/groups/1/resize", "/", "/api/new", "/login"]
)
def test_read_only_refuses_every_post_but_login_and_logout(path: str) -> None:
    refused: list[tuple[str, ...]] = []
    guard = make_guard(control=False, on_refused=lambda *fields: refused.append(fields))
    answer = ask("POST", path, [HOST, BEARER, JSON], [b"{}"], guard=guard)
    assert (answer.status, answer.error, answer.reached) == (403, "read-only", False)
    assert refused == [(f"POST {path}", path, "token", "403 read-only")]
    for door in ("/api/login", "/api/logout"):
        assert ask("POST", door, [HOST, BEARER, JSON], [b"{}"], guard=make_guard(control=False)).status == 200


# -- row 12: refusals are told -------------------------------------------------------------------------------


def test_guard_reports_refused_control_and_not_refused_reading() -> None:
    refused: list[tuple[str, ...]] = []
    guard = make_guard(on_refused=lambda *fields: refused.append(fields))
    ask("POST", "/api/greenlets/7/kill", [HOST, JSON], [b"{}"], guard=guard)
    ask("DELETE", "/api/greenlets/7", [HOST, BEARER], guard=guard)
    ask(headers=[HOST], guard=guard)
    assert [(fields[0], fields[2], fields[3]) for fields in refused] == [
        ("POST /api/greenlets/7/kill", "anonymous", "401 unauthorized"),
        ("DELETE /api/greenlets/7", "anonymous", "405 method"),
    ]


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


# -- rows 5, 6: how answers leave ----------------------------------------------------------------------------


def test_every_answer_carries_the_security_headers() -> None:
    async def careless(scope: Any, receive: Any, send: Any) -> None:
        headers = {"Content-Security-Policy": "default-src *", "X-Frame-Options": "ALLOW", "Cache-Control": "public"}
        await Response(b"x", headers=headers)(scope, receive, send)

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("a bug")

    answers = [
        ask(), ask(guard=make_guard(careless)), ask(guard=make_guard(broken)), ask(headers=[HOST]), ask("PUT"),
        ask(headers=[(b"host", b"evil.example")]), ask(path="//"), control(guard=make_guard(control=False)),
        ask(headers=[HOST, (b"accept", b"text/html")], path="/"), ask("HEAD"),
    ]  # fmt: skip
    for answer in answers:
        assert answer.headers["content-security-policy"] == CSP
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] in ("no-store", "public")
        assert "access-control-allow-origin" not in answer.headers
    assert answers[0].headers["cache-control"] == "no-store"


def test_refusals_of_head_have_no_body() -> None:
    answer = ask("HEAD", headers=[HOST])
    assert (answer.status, answer.body) == (401, b"")


# -- faults and ends -----------------------------------------------------------------------------------------


def test_fault_behind_the_guard_is_a_plain_500_and_goes_no_further() -> None:
    faults: list[Exception] = []

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("the secret of the program")

    answer = ask(guard=make_guard(broken, on_fault=faults.append))
    assert (answer.status, answer.error) == (500, "internal")
    assert b"secret" not in answer.body
    assert isinstance(faults[0], RuntimeError)


def test_fault_in_the_middle_of_an_answer_ends_it() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("a bug")

    answer = ask(guard=make_guard(broken))
    assert (answer.status, answer.body, answer.ended) == (200, b"half", True)


def test_guard_closes_websockets_and_passes_lifespan() -> None:
    sent: list[str] = []
    reached: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["type"])

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def work() -> None:
        guard = make_guard(inner)
        for kind in ("websocket", "lifespan", "unknown"):
            await guard({"type": kind, "headers": [], "path": "/"}, receive, send)

    asyncio.run(work())
    assert sent == ["websocket.close"]
    assert reached == ["lifespan"]


async def _stream(access: Access, make: Callable[[Any], Any]) -> tuple[Exchange, Callable[[], Awaitable[None]]]:
    """Open a stream under a cookie session; returns what arrived and what logs out and waits for its end."""
    cookie = access.issue()
    exchange = Exchange()

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: Any) -> None:
        exchange.body += message.get("body", b"")
        exchange.ended = message["type"] == "http.response.body" and not message.get("more_body", False)

    scope = {
        "type": "http", "asgi": {"spec_version": "2.3"}, "method": "GET", "path": "/events", "query_string": b"",
        "root_path": "", "scheme": "http", "server": ("127.0.0.1", 8484), "client": None,
        "headers": [HOST, (b"cookie", f"greenscope-8484={cookie}".encode())],
    }  # fmt: skip
    task = asyncio.ensure_future(make_guard(make(scope), access=access)(scope, receive, send))
    while not exchange.body:
        await asyncio.sleep(0)

    async def log_out() -> None:
        principal = access.identify(bearer=None, cookies=[cookie], peer="x", local_socket=False)
        assert isinstance(principal, Principal)
        access.revoke(principal.session)
        await asyncio.wait_for(task, 2)

    return exchange, log_out


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
def test_stream_ends_when_its_session_ends(spec_version: str) -> None:
    async def events() -> Any:
        while True:
            yield b"data: x\n\n"
            await asyncio.sleep(0.01)

    def make(scope: Any) -> Any:
        scope["asgi"]["spec_version"] = spec_version
        return StreamingResponse(events())

    async def work() -> None:
        access = Access(TOKEN)
        exchange, log_out = await _stream(access, make)
        assert not exchange.ended
        await log_out()
        assert exchange.ended
        assert access._watchers == {}

    asyncio.run(work())
