"""What the guard reads of a request, and the checks that need nothing else.

An `Asking` is taken from the raw ASGI scope once; the checks are pure functions from it to a `Refusal` or None, so
that each row of the guard's table can be read, and tested, by itself. Nothing from a forwarded header is read, and
nothing but the path below the mount point, as the router will see it, decides which route is meant.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from greenscope.app.access import Denied, Principal
from greenscope.app.hosts import Host

MAX_BODY = 64 * 1024
MAX_QUERY = 8 * 1024
MAX_PATH = 1024
SAFE_METHODS = frozenset({"GET", "HEAD"})
LOGIN = "/api/login"
LOGOUT = "/api/logout"

#: all that our own paths are made of, decoded; a segment of dots only is refused beside it
_PATH = re.compile(r"/[A-Za-z0-9/._~-]*")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer instead of the app's: `error` is a word for programs, `message` a sentence for people."""

    status: int
    error: str
    message: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(slots=True)
class Asking:
    """What the guard reads of a request: nothing is taken from anywhere else."""

    method: str
    path: str
    scheme: str
    headers: dict[bytes, list[bytes]]
    scope: Scope
    host: Host | None = None
    principal: Principal = field(default_factory=lambda: Principal("anonymous", trusted=False))

    def only(self, name: bytes) -> bytes | None:
        """Return a header that came exactly once; None if absent, b"" if it came more than once."""
        values = self.headers.get(name, [])
        return (values[0] if len(values) == 1 else b"") if values else None

    @property
    def is_static(self) -> bool:
        return self.path.startswith("/static/")

    @property
    def is_open(self) -> bool:
        """Tell whether anybody may ask this: the login page, what it loads, and the login itself."""
        if self.method == "POST":
            return self.path == LOGIN
        return self.path == "/login" or self.is_static

    @property
    def is_control(self) -> bool:
        return self.method not in SAFE_METHODS and self.path not in (LOGIN, LOGOUT)

    @property
    def wants_page(self) -> bool:
        machine = self.path.startswith(("/api/", "/static/")) or self.path == "/events"
        return self.method == "GET" and not machine and b"text/html" in b",".join(self.headers.get(b"accept", []))


def read_asking(scope: Scope) -> Asking:
    """Collect what the guard judges."""
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.lower(), []).append(value)
    return Asking(scope["method"], route_path(scope), scope.get("scheme", "http"), headers, scope)


def route_path(scope: Scope) -> str:
    """Return the path below the mount point, as Starlette's router sees it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :] or "/"
    return path


def read_cookies(values: list[bytes], name: str) -> list[str]:
    """Return the values of every cookie called `name` (RFC 6265 section 4.2: no quoting, no decoding)."""
    found = []
    for value in values:
        for pair in value.decode("latin-1").split(";"):
            key, _, content = pair.strip().partition("=")
            if key == name:
                found.append(content)
    return found


def judge_path(asking: Asking) -> Refusal | None:
    """Refuse every path that is not made of what our own are made of, however it was encoded."""
    segments = asking.path.split("/")[1:]
    plain = _PATH.fullmatch(asking.path) and not any(s.strip(".") == "" and s for s in segments)
    if not plain or "" in segments[:-1] or len(asking.path) > 1024:
        return Refusal(404, "not-found", "there is nothing here")
    return None


def judge_method(asking: Asking) -> Refusal | None:
    """Allow reading and POST; which of them a route takes, the router knows."""
    if asking.method not in SAFE_METHODS and asking.method != "POST":
        return Refusal(405, "method", "only GET, HEAD and POST are used here", ((b"allow", b"GET, HEAD, POST"),))
    return None


def judge_content(asking: Asking) -> Refusal | None:
    """Take JSON only: a type that no HTML form and no simple cross-site request can send."""
    value = asking.only(b"content-type")
    kind, _, parameters = (value or b"").decode("latin-1").lower().partition(";")
    charset = parameters.strip().replace('"', "")
    if (
        kind.strip() != "application/json"
        or charset not in ("", "charset=utf-8")
        or b"content-encoding" in asking.headers
    ):
        return Refusal(415, "content-type", "send JSON, with Content-Type: application/json")
    return None


def read_bearer(asking: Asking) -> str | None:
    """Return the Bearer token (RFC 6750 section 2.1); None without an Authorization header of that scheme."""
    values = asking.headers.get(b"authorization", [])
    if not values:
        return None
    if len(values) > 1:
        return ""
    scheme, _, token = values[0].decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def judge_query(asking: Asking) -> Refusal | None:
    """Refuse a token in the query, right or wrong, and a query longer than any of ours."""
    query: bytes = asking.scope.get("query_string", b"")
    if len(query) > MAX_QUERY:
        return Refusal(414, "query", f"the query is longer than {MAX_QUERY} bytes")
    if query and has_token(query):
        return Refusal(401, "token", "a token does not belong in the query of an address: it would end up in logs")
    return None


def has_token(query: bytes) -> bool:
    """Tell whether a query string has a field called `token`, however it is written."""
    pairs = parse_qsl(query.decode("latin-1").replace(";", "&"), keep_blank_values=True)
    return any(name.strip().lower() in ("token", "access_token") for name, _ in pairs)


def denial(denied: Denied) -> Refusal:
    """Turn a denied principal into an answer (401 with a challenge, 429 with a wait)."""
    if denied.status == 429:
        seconds = str(max(1, int(denied.retry_after + 0.999))).encode("ascii")
        return Refusal(429, "too-many", denied.message, ((b"retry-after", seconds),))
    return Refusal(401, "unauthorized", denied.message, ((b"www-authenticate", b'Bearer realm="greenscope"'),))


async def read_body(asking: Asking, receive: Receive) -> bytes | Refusal | None:
    """Read a request's body, counted while it comes in; None when the client went away."""
    too_large = Refusal(413, "too-large", f"a body may have at most {MAX_BODY} bytes", ((b"connection", b"close"),))
    declared = asking.only(b"content-length")
    if declared is not None:
        if not declared.isdigit() or len(declared) > 18:
            return Refusal(400, "content-length", "Content-Length must be a number")
        if int(declared) > MAX_BODY:
            return too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return too_large
        if not message.get("more_body", False):
            return bytes(body)
