"""The guard alone, before an app that would answer everything."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from greenscope.app.access import Access, make_token
from greenscope.app.guard import Guard
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
