"""The OpenAPI document, made from the same table that the router is made from.

An `Operation` is one row of that table: path, method, endpoint, what it takes and what it answers. The router is built
from the rows and so is the document (OpenAPI 3.1), so neither can name a route that the other does not have; tests hold
the answers to the schemas.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One parameter of a query string."""

    name: str
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One route of the JSON API: how it is routed and how it is described."""

    method: Literal["GET", "POST"]
    path: str
    name: str
    endpoint: Callable[[Request], Awaitable[Response]]
    summary: str
    answers: Mapping[int, Schema]
    queries: Sequence[Query] = ()
    body: Schema | None = None
    media_type: str = "application/json"
    open: bool = False


def ref(name: str) -> Schema:
    """Refer to a schema of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: str = "", /, **properties: Schema) -> Schema:
    """Describe an object; `required` names its required fields, separated by blanks."""
    return {"type": "object", "required": required.split(), "properties": properties}


def listed(items: Schema) -> Schema:
    """Describe a list."""
    return {"type": "array", "items": items}


def maybe(kind: str) -> Schema:
    """Describe a value that may be null."""
    return {"type": [kind, "null"]}


TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
ANY: Schema = {}
ID: Schema = {"type": "string", "pattern": "^[0-9-]+$"}
COUNTS: Schema = {"type": "object", "additionalProperties": {"type": "number"}}

EPOCH = "the process that is meant, as /api/health tells it; also as the field epoch; 409 from any other"

SCHEMAS: Mapping[str, Schema] = {
    "Error": record("error message", error=TEXT, message=TEXT, field=TEXT),
    "Site": record("file line function", file=TEXT, line=WHOLE, function=TEXT),
    "Greenlet": record(
        "id name state function",
        id=ID,
        name=TEXT,
        state={
            "type": "string",
            "enum": ["pending", "ready", "running", "waiting", "succeeded", "failed", "killed"],
        },
        function=TEXT,
        file=maybe("string"),
        line=maybe("integer"),
        parent=maybe("string"),
        created=maybe("string"),
        started=maybe("string"),
        ended=maybe("string"),
        age=maybe("number"),
        run_time=maybe("number"),
        ready_time=maybe("number"),
        wait_time=maybe("number"),
        switches=maybe("integer"),
        longest_run=maybe("number"),
    ),
    "Group": record(
        "id name kind active",
        id=ID,
        name=TEXT,
        kind={"type": "string", "enum": ["group", "pool"]},
        active=WHOLE,
        size=maybe("integer"),
        free=maybe("integer"),
        waiters=maybe("integer"),
    ),
    "Outcome": record(
        "outcome reason ids",
        outcome={"type": "string", "enum": ["done", "queued", "alive", "gone", "unknown", "refused"]},
        id=maybe("string"),
        state=maybe("string"),
        place={"anyOf": [{"$ref": "#/components/schemas/Site"}, {"type": "null"}]},
        reason=TEXT,
        ids=listed(TEXT),
    ),
    "Spawnable": record(
        "name doc parameters",
        name=TEXT,
        doc=TEXT,
        parameters=listed(
            record(
                "name type required default",
                name=TEXT,
                type={"type": "string", "enum": ["int", "float", "bool", "str", "enum", "list"]},
                nullable=FLAG,
                required=FLAG,
                default=ANY,
                choices=listed(TEXT),
                items={"type": "object"},
            )
        ),
    ),
    "AuditRecord": record(
        "number t monotonic action target greenlet principal result reason",
        number=TEXT,
        t=TEXT,
        monotonic=NUMBER,
        pid=WHOLE,
        action=TEXT,
        target=TEXT,
        greenlet=maybe("string"),
        principal=TEXT,
        result=TEXT,
        reason=TEXT,
    ),
}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": ID} for name in names]


def _describe(operation: Operation) -> dict[str, Any]:
    """Describe one operation; every one may also answer with an error of the guard (`default`)."""
    problem = {"application/json": {"schema": ref("Error")}}
    responses: dict[str, Any] = {}
    for status, schema in operation.answers.items():
        media = operation.media_type if status < 400 else "application/json"
        content = {media: {"schema": schema}}
        if status == 200 and operation.name == "greenlets":
            content["text/csv"] = {"schema": TEXT}
        responses[str(status)] = {"description": "done" if status < 400 else "not done", "content": content}
    responses["default"] = {"description": "refused by the guard, or not possible", "content": problem}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [
            *_path_parameters(operation.path),
            *(
                {"name": q.name, "in": "query", "description": q.description, "schema": q.schema}
                for q in operation.queries
            ),
        ],
        "responses": responses,
    }
    if operation.body is not None:
        if "epoch" in operation.body.get("properties", ()):
            described["parameters"].append(
                {"name": "Greenscope-Epoch", "in": "header", "description": EPOCH, "schema": TEXT}
            )
        content_in = {"application/json": {"schema": operation.body}}
        described["requestBody"] = {"required": True, "content": content_in}
    if operation.open:
        described["security"] = []
    return described


def build_document(operations: Sequence[Operation], version: str, base: str = "") -> dict[str, Any]:
    """Build the document for a dashboard mounted at `base`."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "greenscope",
            "version": version,
            "description": "Greenlets of a running program. Times are seconds or RFC 3339 in UTC; ids are strings.",
        },
        "servers": [{"url": base or "/"}],
        "security": [{"bearer": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "greenscope-PORT",
                    "description": "set by POST /api/login; its name ends with the port of the address",
                },
            },
        },
    }
