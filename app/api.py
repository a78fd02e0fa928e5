"""The JSON API: one short endpoint per row of the interface's table.

An endpoint reads from the feed or asks the control, and says what it got; checking who asks was the guard's work,
auditing is the control's. `OPERATIONS` is the table that the router and the OpenAPI document are both made from. An
error is always JSON, `{error, field?, message}`.
"""

import re
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app import openapi
from greenscope.app.access import Denied, Principal, cookie_name
from greenscope.app.bodies import error_response, json_response, read_object
from greenscope.app.control import Answer, problem
from greenscope.app.epochs import answer_if_foreign
from greenscope.app.exports import write_csv
from greenscope.app.formatting import parse_ident
from greenscope.app.limiter import peer_key
from greenscope.app.openapi import COUNTS, FLAG, ID, NUMBER, TEXT, WHOLE, Operation, Query, listed, record, ref
from greenscope.app.query import QueryError, parse_query
from greenscope.app.trees import MAX_DEPTH, MAX_WIDTH, SpawnTree

_WHOLE = re.compile(r"[0-9]{1,18}")
_KEY = re.compile(r"[\x21-\x7e]{1,128}")


def _board(request: Request) -> Any:
    return request.app.state.dashboard


def _id(request: Request) -> int | None:
    return parse_ident(str(request.path_params["id"]))


def _principal(request: Request) -> str:
    principal: Principal = request.scope["greenscope.principal"]
    return principal.name


def _unknown(what: str) -> Response:
    return error_response(404, "unknown", f"there is no {what} with this id, or it is no longer remembered")


def _no_parameters(request: Request, *known: str) -> dict[str, str]:
    """Return the query's fields; raises QueryError for one that is not known here or given twice."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            takes = f"parameters are {', '.join(known)}" if known else "there are none"
            raise QueryError(name[:40], f"is not a parameter here; {takes}")
        if name in found:
            raise QueryError(name, "is given more than once")
        found[name] = value
    return found


def _number(values: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    text = values.get(name, "")
    if not text:
        return default
    if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
        raise QueryError(name, f"must be a whole number from {low} to {high}")
    return int(text)


async def health(request: Request) -> Response:
    """Answer how the dashboard and the observation are."""
    _no_parameters(request)
    return json_response(_board(request).health())


async def greenlets(request: Request) -> Response:
    """Answer the rows that are asked for, as JSON or CSV; with `format` as a file to keep."""
    format = request.query_params.get("format", "json")
    if format not in ("json", "csv"):
        raise QueryError("format", "must be json or csv")
    found = await _board(request).feed.wait_query(parse_query(request.query_params, ignore=("format",)))
    if format == "csv":
        headers = {"content-disposition": 'attachment; filename="greenlets.csv"'}
        return Response(write_csv(found.rows), headers=headers, media_type="text/csv")
    kept = (
        {"content-disposition": 'attachment; filename="greenlets.json"'} if "format" in request.query_params else None
    )
    return json_response({"total": found.total, "matched": found.matched, "rows": found.rows}, headers=kept)


async def greenlet(request: Request) -> Response:
    """Answer all that is known of one greenlet."""
    _no_parameters(request)
    id = _id(request)
    found = None if id is None else await _board(request).feed.wait_greenlet(id)
    return _unknown("greenlet") if found is None else json_response(found)


async def groups(request: Request) -> Response:
    """Answer all Groups and Pools."""
    _no_parameters(request)
    rows = _board(request).feed.groups()
    return json_response({"total": len(rows), "rows": rows})


async def group(request: Request) -> Response:
    """Answer all that is known of one Group or Pool."""
    _no_parameters(request)
    id = _id(request)
    found = None if id is None else _board(request).feed.group(id)
    return _unknown("group") if found is None else json_response(found)


async def stacks(request: Request) -> Response:
    """Answer parked greenlets grouped by identical stack."""
    _no_parameters(request)
    return json_response(await _board(request).stacks.get())


async def waits(request: Request) -> Response:
    """Answer the wait graph."""
    _no_parameters(request)
    return json_response(await _board(request).waits.get())


async def tree(request: Request) -> Response:
    """Answer the spawn tree, or what hangs below `root`."""
    values = _no_parameters(request, "root", "depth", "width")
    depth = _number(values, "depth", 4, 1, MAX_DEPTH)
    width = _number(values, "width", 25, 1, MAX_WIDTH)
    root = parse_ident(values["root"]) if values.get("root") else None
    if values.get("root") and not root:
        raise QueryError("root", "must be a greenlet's id")
    board = _board(request)
    grown: SpawnTree = await board.tree.get()
    found = grown.draw(board.describe, root=root, depth=depth, width=width)
    return _unknown("greenlet") if found is None else json_response(found)


async def findings(request: Request) -> Response:
    """Answer what is wrong."""
    _no_parameters(request)
    rows = _board(request).findings()
    return json_response({"total": len(rows), "rows": rows})


async def spawnables(request: Request) -> Response:
    """Answer what may be spawned, with the forms for it."""
    _no_parameters(request)
    rows = _board(request).spawnables.rows()
    return json_response({"total": len(rows), "rows": rows})


async def audit(request: Request) -> Response:
    """Answer the newest audit records, newest first."""
    values = _no_parameters(request, "limit")
    board = _board(request)
    rows = board.audit.rows(_number(values, "limit", 100, 1, 1000))
    return json_response({"total": len(board.audit.records), "suppressed": board.audit.suppressed, "rows": rows})


async def document(request: Request) -> Response:
    """Answer the OpenAPI document."""
    _no_parameters(request)
    base = str(request.scope.get("root_path", "")).rstrip("/")
    return json_response(openapi.build_document(OPERATIONS, _board(request).info["version"], base))


def _say(answer: Answer) -> Response:
    headers = {"idempotency-replayed": "true"} if answer.repeated else None
    return json_response(answer.body, answer.status, headers)


def _key(request: Request, body: dict[str, Any]) -> str | None:
    """Return the idempotency key of the header or the body ("" without one, None if it is not one)."""
    key = request.headers.get("idempotency-key", body.get("key", ""))
    return key if key == "" or (isinstance(key, str) and _KEY.fullmatch(key)) else None


async def _kill(request: Request, kill: Callable[..., Any], what: str) -> Response:
    body = await read_object(request)
    foreign = answer_if_foreign(request, body, "kill", f"{what} {str(request.path_params['id'])[:40]}")
    if foreign is not None:
        return foreign
    unknown = next((name for name in body if name != "key"), None)
    if unknown is not None:
        return error_response(
            422, "invalid", f"unknown field {unknown[:40]!r}; a kill takes key and epoch", unknown[:40]
        )
    key = _key(request, body)
    if key is None:
        return error_response(422, "invalid", "key must be 1 to 128 visible ASCII characters", "key")
    id = _id(request)
    if id is None:
        _board(request).audit.refuse("kill", str(request.path_params["id"]), _principal(request), "no such id")
        return _unknown(what)
    return _say(await kill(id, _principal(request), key))


async def kill_greenlet(request: Request) -> Response:
    """Kill a greenlet and answer what was observed."""
    return await _kill(request, _board(request).control.kill, "greenlet")


async def kill_group(request: Request) -> Response:
    """Kill all members of a group and answer what was observed."""
    return await _kill(request, _board(request).control.kill_group, "group")


async def resize_group(request: Request) -> Response:
    """Resize a pool."""
    body = await read_object(request)
    foreign = answer_if_foreign(request, body, "resize", f"group {str(request.path_params['id'])[:40]}")
    if foreign is not None:
        return foreign
    id = _id(request)
    if id is None:
        return _unknown("group")
    unknown = next((name for name in body if name != "size"), None)
    if unknown is not None:
        return error_response(
            422, "invalid", f"unknown field {unknown[:40]!r}; a resize takes size and epoch", unknown[:40]
        )
    return _say(await _board(request).control.resize(id, body.get("size"), _principal(request)))


async def spawn(request: Request) -> Response:
    """Spawn a registered callable."""
    body = await read_object(request)
    foreign = answer_if_foreign(request, body, "spawn", str(body.get("target", "?")))
    return foreign or _say(await _board(request).control.spawn(body, _principal(request)))


async def login(request: Request) -> Response:
    """Exchange the token for a cookie."""
    board = _board(request)
    token = (await read_object(request)).get("token")
    if not isinstance(token, str):
        return _say(problem(422, "invalid", "token must be text", field="token"))
    found = board.access.try_token(token, peer_key(request.scope.get("client")), "login")
    if isinstance(found, Denied):
        board.audit.refuse("login", "dashboard", "anonymous", str(found.status))
        headers = {"retry-after": str(max(1, int(found.retry_after + 0.999)))} if found.status == 429 else None
        return error_response(
            found.status, "unauthorized" if found.status == 401 else "too-many", found.message, headers=headers
        )
    response = json_response({"ok": True})
    _set_cookie(request, response, board.access.issue(), None)
    return response


async def logout(request: Request) -> Response:
    """End the login session: its cookie is void, its open streams end."""
    await read_object(request)
    principal: Principal = request.scope["greenscope.principal"]
    response = json_response({"ok": True})
    _set_cookie(request, response, "", 0)
    _board(request).access.revoke(principal.session)
    return response


def _set_cookie(request: Request, response: Response, value: str, max_age: int | None) -> None:
    host = request.scope["greenscope.host"]
    response.set_cookie(
        cookie_name(host.port),
        value,
        max_age=max_age,
        path=str(request.scope.get("root_path", "")).rstrip("/") + "/",
        secure=_board(request).hosts.origin(host, request.url.scheme).startswith("https"),
        httponly=True,
        samesite="strict",
    )


_GREENLET_QUERIES = (
    Query("state", "states, comma separated; also live and ended"),
    Query("group", "a group's id"),
    Query("q", 'search: words, field:word, "quoted words", -negated'),
    Query("sort", "a field's name, - before it for descending"),
    Query("offset", "rows to leave out", {"type": "integer", "minimum": 0}),
    Query("limit", "rows at most", {"type": "integer", "minimum": 1, "maximum": 1000}),
    Query("format", "json or csv", {"type": "string", "enum": ["json", "csv"]}),
)
_EMPTY: openapi.Schema = {"type": "object", "properties": {"key": TEXT, "epoch": TEXT}, "additionalProperties": False}
_ERROR = ref("Error")
_OUTCOME = ref("Outcome")
_DONE = {200: _OUTCOME, 202: _OUTCOME, 404: _ERROR, 409: _ERROR, 422: _ERROR, 503: _ERROR}


def _rows(items: openapi.Schema, **more: openapi.Schema) -> openapi.Schema:
    return record(" ".join(["total", "rows", *more]), total=WHOLE, rows=listed(items), **more)


_HEALTH = record(
    "version pid epoch backend uptime clients",
    version=TEXT, pid=WHOLE, epoch=TEXT, backend=TEXT, uptime=NUMBER, clients=WHOLE, dropped=COUNTS,
)  # fmt: skip
_GRAPH = record(
    "nodes edges cycles available reason",
    nodes=listed(record("id kind", id=TEXT, kind=TEXT, name=TEXT)),
    edges=listed(record("source target kind", source=TEXT, target=TEXT, kind=TEXT)),
    cycles=listed(listed(ID)),
    available=FLAG,
    reason=TEXT,
)
_STACK = record("count oldest frames waiting_on ids", count=WHOLE, frames=listed(ref("Site")), ids=listed(ID))
_BRANCH = record("id name state total children more", id=ID, name=TEXT, state=TEXT, total=WHOLE, more=WHOLE)
_OK = record("ok", ok=FLAG)
_SPAWN = record(
    "target",
    target=TEXT,
    arguments={"type": "object"},
    group={"type": ["string", "null"]},
    delay={"type": ["number", "null"]},
    epoch=TEXT,
)
_TREE_QUERIES = (
    Query("root", "a greenlet's id"),
    Query("depth", "levels", {"type": "integer", "minimum": 1, "maximum": MAX_DEPTH}),
    Query("width", "children per node", {"type": "integer", "minimum": 1, "maximum": MAX_WIDTH}),
)
_AUDIT_QUERIES = (Query("limit", "records at most", {"type": "integer", "minimum": 1, "maximum": 1000}),)

#: the table: routes and OpenAPI document are made from it
OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "/api/health", "health", health, "How the dashboard is", {200: _HEALTH}),
    Operation("GET", "/api/greenlets", "greenlets", greenlets, "Greenlets: filter, search, sort, page",
              {200: _rows(ref("Greenlet"), matched=WHOLE), 422: _ERROR}, _GREENLET_QUERIES),
    Operation("GET", "/api/greenlets/{id}", "greenlet", greenlet, "One greenlet",
              {200: ref("Greenlet"), 404: _ERROR}),
    Operation("GET", "/api/groups", "groups", groups, "Groups and Pools", {200: _rows(ref("Group"))}),
    Operation("GET", "/api/groups/{id}", "group", group, "One Group or Pool", {200: ref("Group"), 404: _ERROR}),
    Operation("GET", "/api/stacks", "stacks", stacks, "Parked greenlets by identical stack",
              {200: _rows(_STACK, available=FLAG, reason=TEXT)}),
    Operation("GET", "/api/tree", "tree", tree, "The spawn tree",
              {200: _rows(_BRANCH, more=WHOLE), 404: _ERROR, 422: _ERROR}, _TREE_QUERIES),
    Operation("GET", "/api/waits", "waits", waits, "The wait graph", {200: _GRAPH}),
    Operation("GET", "/api/findings", "findings", findings, "What is wrong", {200: _rows({"type": "object"})}),
    Operation("GET", "/api/spawnables", "spawnables", spawnables, "What may be spawned",
              {200: _rows(ref("Spawnable"))}),
    Operation("GET", "/api/audit", "audit", audit, "Who did what",
              {200: _rows(ref("AuditRecord"), suppressed=WHOLE), 422: _ERROR}, _AUDIT_QUERIES),
    Operation("POST", "/api/spawn", "spawn", spawn, "Spawn a registered callable",
              {201: _OUTCOME, 202: _OUTCOME, 404: _ERROR, 409: _ERROR, 422: _ERROR, 503: _ERROR}, body=_SPAWN),
    Operation("POST", "/api/greenlets/{id}/kill", "kill_greenlet", kill_greenlet, "Kill a greenlet", _DONE,
              body=_EMPTY),
    Operation("POST", "/api/groups/{id}/kill", "kill_group", kill_group, "Kill a group's members", _DONE, body=_EMPTY),
    Operation("POST", "/api/groups/{id}/resize", "resize_group", resize_group, "Resize a Pool", _DONE,
              body=record("size", size={"type": "integer", "minimum": 1}, epoch=TEXT)),
    Operation("POST", "/api/login", "login", login, "Exchange the token for a cookie",
              {200: _OK, 401: _ERROR, 422: _ERROR, 429: _ERROR}, body=record("token", token=TEXT), open=True),
    Operation("POST", "/api/logout", "logout", logout, "End the login session", {200: _OK}, body={"type": "object"}),
    Operation("GET", "/api/openapi.json", "openapi", document, "This document", {200: {"type": "object"}}),
)  # fmt: skip
