"""Anything at all, sent to the whole app: no 5xx, no fault of ours, no unguarded answer."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route

from greenscope.app.guard import CSP

TOKEN = b"Bearer correct-horse-battery-staple-token"

ids = st.sampled_from(
    ["1", "2", "3", "4", "0", "77", "-1", "1.5", "x", "9" * 19, "12-3", "%31", "null", "..", "a b", "é"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | ids
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from(["target", "arguments", "group", "delay", "key", "size", "token", "url", "depth"])
bodies = (
    st.binary(max_size=200)
    | documents.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
    | st.dictionaries(names, documents | st.just("crawl"), max_size=5).map(lambda value: json.dumps(value).encode())
)
parameters = st.sampled_from(
    ["state", "group", "q", "sort", "offset", "limit", "format", "root", "depth", "width", "kinds", "after", "view",
     "rate", "id", "snapshot", "token", "columns", "kind"],
)  # fmt: skip
values = st.text(max_size=20) | ids | st.sampled_from(
    ["state:failed", "-id", "csv", "overview", "greenlets", "greenlet", "none", '"', "live,ended", "0.25", "1000",
     "a:b"]
)  # fmt: skip
queries = st.lists(st.tuples(parameters | st.text(max_size=8), values), max_size=4)
header_names = st.sampled_from(
    [b"accept", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"cookie", b"content-type",
     b"range", b"content-length", b"last-event-id", b"idempotency-key", b"if-none-match",
     b"x-forwarded-for", b"accept-encoding"],
)  # fmt: skip
header_values = st.binary(max_size=30).filter(lambda value: not set(value) & {0, 10, 13}) | st.sampled_from(
    [b"text/html", b"application/json", b"none", b"same-origin", b"navigate", b"document", b"greenscope-8484=x", b"2",
     b"greenscope_theme=dark; greenscope_rate=x; greenscope_columns=,;,", b"abc-1"],
)  # fmt: skip


def ask(app: Any, request: dict[str, Any], body: bytes) -> tuple[int, dict[bytes, bytes]]:
    """Send one raw ASGI request; the client leaves when its body is read, so that streams end."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    status, headers = 0, {}

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.sleep(0.001)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], dict(message["headers"])

    async def work() -> None:
        await asyncio.wait_for(app(request, receive, send), 10)

    app.dashboard.audit._refusals._buckets.clear()
    asyncio.run(work())
    return status, headers


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_makes_the_dashboard_fail(make_board: Callable[..., Any], data: st.DataObject) -> None:
    board = getattr(make_board, "board", None) or make_board()
    make_board.board = board  # type: ignore[attr-defined]
    board.dashboard.feed.tick()
    templates = sorted({route.path for route in board.app.routes if isinstance(route, Route)})
    template = data.draw(st.sampled_from(templates) | st.text(max_size=20).map(lambda text: "/" + text))
    path = template.replace("{id}", data.draw(ids)).replace("{path:path}", data.draw(ids))
    method = data.draw(st.sampled_from(["GET", "GET", "GET", "POST", "POST", "POST", "HEAD", "PUT", "OPTIONS"]))
    query = urlencode([(k, v) for k, v in data.draw(queries)], errors="replace").encode()
    extra = data.draw(st.lists(st.tuples(header_names, header_values), max_size=3))
    if method == "POST" and data.draw(st.booleans()):
        extra.append((b"content-type", b"application/json"))
    headers = [(b"host", b"localhost:8484"), *extra]
    if data.draw(st.integers(0, 9)):
        headers.append((b"authorization", TOKEN))
    request = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "path": path, "raw_path": quote(path, errors="replace").encode(), "query_string": query, "root_path": "",
        "scheme": "http", "headers": headers, "server": ("127.0.0.1", 8484), "client": ("127.0.0.1", 5),
    }  # fmt: skip
    body = data.draw(bodies) if method == "POST" else b""
    status, answered = ask(board.app, request, body)
    assert 200 <= status < 500, (status, path, board.dashboard.faults)
    assert answered[b"content-security-policy"] == CSP.encode()
    assert board.dashboard.fault_count == 0, board.dashboard.faults[-1]
