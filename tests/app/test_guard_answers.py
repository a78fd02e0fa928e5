"""How answers leave the guard, and end: rows 5 and 6 of the table of attacks, faults behind it, sessions that end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse

from greenscope.app.access import Access, Principal
from greenscope.app.guard import CSP
from tests.app.guarding import HOST, TOKEN, Exchange, ask, control, make_guard

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
