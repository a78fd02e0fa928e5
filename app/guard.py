"""The guard: what stands before every route, embedded or not.

Plain ASGI, outermost in the dashboard's app, so that no page, route or static file can be added that goes around it.
It allow-lists and never enumerates what is bad. In order, and each step may only refuse:

    one Host header, well-formed (400) and ours (421)          DNS rebinding
    a plain path (404)                                         traversal, encodings that routers disagree about
    Sec-Fetch-*, Origin (403)                                  CSRF, cross-site reads, framing
    GET, HEAD, or POST (405)                                   every other method is nobody's
    no token in the address (401); who is it (401, 429)        token, cookie, Unix socket
    POST: JSON only (415), not read-only (403), 64 KiB (413)   a POST that is not login or logout is control

What a refusal means is told in JSON; a browser that navigates without being logged in gets the login page. Every
answer, also of the app behind, leaves with the security headers. A login session that ends takes its open
streams along. What escapes from the app behind becomes a plain 500 here and is reported to `on_fault`, never to the
program that hosts us.

Fetch metadata: W3C Fetch Metadata Request Headers; Origin: RFC 6454; 421: RFC 9110 section 15.5.20.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from greenscope.app.access import Access, Denied, Principal, cookie_name
from greenscope.app.asking import (
    SAFE_METHODS,
    Asking,
    Refusal,
    denial,
    judge_content,
    judge_method,
    judge_path,
    judge_query,
    read_asking,
    read_bearer,
    read_body,
    read_cookies,
)
from greenscope.app.hosts import HostList, parse_host
from greenscope.app.limiter import peer_key

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CSP.encode("ascii")),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)


class Guard:
    """ASGI middleware that decides before the app is asked, and dresses what it answers."""

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        hosts: HostList,
        *,
        control: bool = False,
        login_page: Callable[[Request], Awaitable[Response]] | None = None,
        on_request: Callable[[], None] | None = None,
        on_refused: Callable[[str, str, str, str], None] | None = None,
        on_fault: Callable[[Exception], None] | None = None,
    ) -> None:
        self.app = app
        self.access = access
        self.hosts = hosts
        self.control = control
        self.login_page = login_page
        self.on_request = on_request
        self.on_refused = on_refused
        self.on_fault = on_fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one connection; lifespan passes, WebSockets are closed, HTTP is judged."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        asking = read_asking(scope)
        reply = _Reply(send, asking)
        refusal = self.judge(asking)
        if refusal is None and asking.method == "POST":
            body = await read_body(asking, receive)
            if isinstance(body, Refusal):
                refusal = body
            elif body is None:
                return  # the client went away before its request was complete
            else:
                receive = replay(body, receive)
        if refusal is not None:
            self._note(asking, refusal)
            await self._refuse(asking, refusal, reply)
            return
        if self.on_request is not None:
            self.on_request()
        scope["greenscope.principal"] = asking.principal
        scope["greenscope.host"] = asking.host
        await self._pass(scope, receive, reply, asking)

    def judge(self, asking: Asking) -> Refusal | None:
        """Decide on everything but the body; sets `asking.principal` when the request may go on."""
        return (
            self._judge_host(asking)
            or judge_path(asking)
            or self._judge_origin(asking)
            or judge_method(asking)
            or judge_query(asking)
            or self._judge_principal(asking)
            or (judge_content(asking) if asking.method == "POST" else None)
            or self._judge_control(asking)
        )

    def _judge_host(self, asking: Asking) -> Refusal | None:
        value = asking.only(b"host")
        asking.host = parse_host(value) if value else None
        if asking.host is None:
            return Refusal(400, "host", "a request needs exactly one well-formed Host header")
        if not self.hosts.knows(asking.host, asking.scope.get("server")):
            return Refusal(
                421, "host", "this dashboard does not answer to that name; name it with hosts= if it is yours"
            )
        return None

    def _judge_origin(self, asking: Asking) -> Refusal | None:
        site = asking.only(b"sec-fetch-site")
        mode = asking.only(b"sec-fetch-mode")
        dest = asking.only(b"sec-fetch-dest")
        origin = asking.only(b"origin")
        foreign = Refusal(403, "cross-site", "requests from other sites are refused")
        assert asking.host is not None
        if origin is not None and origin.lower() != self.hosts.origin(asking.host, asking.scheme).encode("ascii"):
            return foreign
        if mode == b"navigate" and dest not in (b"document", None):
            return Refusal(403, "framed", "this dashboard cannot be shown inside another page")
        if site in (None, b"same-origin", b"none"):
            return None
        is_link = mode == b"navigate" and dest == b"document" and asking.method in SAFE_METHODS
        return None if is_link and asking.path != "/events" and site in (b"cross-site", b"same-site") else foreign

    def _judge_principal(self, asking: Asking) -> Refusal | None:
        if asking.is_open:
            return None
        server = asking.scope.get("server")
        assert asking.host is not None
        found = self.access.identify(
            bearer=read_bearer(asking),
            cookies=read_cookies(asking.headers.get(b"cookie", []), cookie_name(asking.host.port)),
            peer=peer_key(asking.scope.get("client")),
            local_socket=server is not None and server[1] is None,
        )
        if isinstance(found, Principal) and asking.is_control and not found.trusted:
            found = Denied(401, "control needs the token")
        if isinstance(found, Denied):
            return denial(found)
        asking.principal = found
        return None

    def _judge_control(self, asking: Asking) -> Refusal | None:
        if asking.is_control and not self.control:
            return Refusal(403, "read-only", "this dashboard is read-only; start it with control to act")
        return None

    def _note(self, asking: Asking, refusal: Refusal) -> None:
        """Report a refused control or login attempt, for the audit."""
        if self.on_refused is not None and asking.method not in SAFE_METHODS:
            action = f"{asking.method} {asking.path}"
            self.on_refused(action, asking.path, asking.principal.name, f"{refusal.status} {refusal.error}")

    async def _refuse(self, asking: Asking, refusal: Refusal, reply: "_Reply") -> None:
        if refusal.status == 401 and asking.wants_page and self.login_page is not None:
            page = await self.login_page(Request(asking.scope))
            await reply.whole(401, b"text/html; charset=utf-8", bytes(page.body), refusal.headers)
            return
        body = json.dumps({"error": refusal.error, "message": refusal.message}).encode("ascii")
        await reply.whole(refusal.status, b"application/json", body, refusal.headers)

    async def _pass(self, scope: Scope, receive: Receive, reply: "_Reply", asking: Asking) -> None:
        """Run the app; end what is still open when the session that asked for it ends."""
        session = asking.principal.session
        unwatch: Callable[[], None] | None = None
        if session and asking.method == "GET":
            ended = asyncio.Event()

            def end_session() -> None:
                reply.revoked = True
                ended.set()

            unwatch = self.access.watch(session, end_session)
            receive = until(ended, receive)
        try:
            await self.app(scope, receive, reply.send)
        except SessionEnded:
            pass
        except Exception as error:
            if self.on_fault is not None:
                self.on_fault(error)
            if not reply.started:
                body = (
                    b'{"error": "internal", "message": "the dashboard failed to answer; the program is not affected"}'
                )
                await reply.whole(500, b"application/json", body)
        finally:
            if unwatch is not None:
                unwatch()
        await reply.finish()


class SessionEnded(OSError):
    """The login session of an open response was ended (an OSError, which is how ASGI tells a lost client)."""


class _Reply:
    """The sending side: adds the security headers and knows how far the answer got."""

    def __init__(self, send: Send, asking: Asking) -> None:
        self._send = send
        self._asking = asking
        self.started = False
        self.complete = False
        self.revoked = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": dress(message.get("headers", []))}
        elif message["type"] == "http.response.body":
            if self.revoked:
                raise SessionEnded("the login session has ended")
            self.complete = not message.get("more_body", False)
        await self._send(message)

    async def whole(
        self, status: int, content_type: bytes, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Send a complete answer."""
        length = (b"content-length", str(len(body)).encode("ascii"))
        start = [(b"content-type", content_type), length, *headers]
        await self.send({"type": "http.response.start", "status": status, "headers": start})
        await self.send({"type": "http.response.body", "body": b"" if self._asking.method == "HEAD" else body})

    async def finish(self) -> None:
        """End a response that its app left open, so that the client sees an end and not a silence."""
        if self.started and not self.complete:
            self.complete = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def dress(headers: Any) -> list[tuple[bytes, bytes]]:
    """Return response headers with ours in place of what the app may have set; not cached unless it says so."""
    ours = {name for name, _ in SECURITY_HEADERS}
    kept = [(bytes(name).lower(), bytes(value)) for name, value in headers]
    kept = [(name, value) for name, value in kept if name not in ours]
    if not any(name == b"cache-control" for name, _ in kept):
        kept.append((b"cache-control", b"no-store"))
    return [*kept, *SECURITY_HEADERS]


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a receive that gives `body` once, then what really happens."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def until(ended: asyncio.Event, receive: Receive) -> Receive:
    """Return a receive that tells a disconnect as soon as `ended` is set."""

    async def watched() -> Message:
        pending: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(_await(receive)),
            asyncio.ensure_future(ended.wait()),
        ]
        try:
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            return {"type": "http.disconnect"} if ended.is_set() else pending[0].result()
        finally:
            for future in pending:
                future.cancel()

    return watched


async def _await(receive: Callable[[], Awaitable[Message]]) -> Message:
    return await receive()
