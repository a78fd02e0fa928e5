"""The OpenAPI document and the routes are one table; the answers fit the schemas."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.routing import Route

from greenscope.app.api import OPERATIONS

KINDS: dict[str, Any] = {
    "string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "null": type(None),
    "number": (int, float),
}  # fmt: skip


def check(value: Any, schema: Mapping[str, Any], document: Mapping[str, Any], path: str = "$") -> None:
    """Hold a value to the part of JSON Schema that the document uses."""
    if "$ref" in schema:
        target: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return check(value, target, document, path)
    for option in schema.get("anyOf", ()):
        try:
            return check(value, option, document, path)
        except AssertionError:
            continue
    assert "anyOf" not in schema, path
    kinds = schema.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds:
        assert any(isinstance(value, KINDS[kind]) for kind in kinds), f"{path}: {value!r} is not {kinds}"
    if "enum" in schema:
        assert value in schema["enum"], f"{path}: {value!r}"
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            assert name in value, f"{path}.{name} is missing"
        for name, item in value.items():
            if name in schema.get("properties", {}):
                check(item, schema["properties"][name], document, f"{path}.{name}")
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            check(item, schema["items"], document, f"{path}[{index}]")
    return None


def test_document_and_router_name_the_same_api(board: Any) -> None:
    document = board.get("/api/openapi.json")
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    routed = {
        (method, route.path)
        for route in board.app.routes
        if isinstance(route, Route) and route.path.startswith("/api/")
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert described == routed
    assert len(described) == len(OPERATIONS)


def test_every_row_of_the_interface_is_there(board: Any) -> None:
    document = board.get("/api/openapi.json")
    for row in (
        "get /api/health", "get /api/greenlets", "get /api/greenlets/{id}", "get /api/groups", "get /api/stacks",
        "get /api/tree", "get /api/waits", "get /api/findings", "get /api/spawnables", "post /api/spawn",
        "post /api/greenlets/{id}/kill", "post /api/groups/{id}/kill", "post /api/groups/{id}/resize",
    ):  # fmt: skip
        method, path = row.split()
        assert method in document["paths"][path]


def test_references_resolve_and_names_are_unique(board: Any) -> None:
    document = board.get("/api/openapi.json")
    text = json.dumps(document)
    for name in set(text.split("#/components/schemas/")[1:]):
        assert name.split('"')[0] in document["components"]["schemas"]
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.method == "GET"], ids=lambda o: o.name)
def test_answers_fit_their_schemas(board: Any, operation: Any) -> None:
    board.post(f"/api/greenlets/{board.ids[2]}/kill")
    document = board.get("/api/openapi.json")
    for id in ("1", "2", "4", "77"):
        board.dashboard.feed.tick()
        answer = board.client.get(operation.path.replace("{id}", id))
        described = document["paths"][operation.path]["get"]["responses"]
        assert str(answer.status_code) in described
        content = described[str(answer.status_code)]["content"]["application/json"]
        check(answer.json(), content["schema"], document)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/spawn", {"target": "crawl", "arguments": {"url": "u"}}, 201),
        ("/api/spawn", {"target": "nope"}, 404),
        ("/api/spawn", {"target": "crawl"}, 422),
        ("/api/greenlets/{id}/kill", {}, 200),
        ("/api/groups/{id}/kill", {}, 200),
        ("/api/groups/{id}/resize", {"size": 3}, 200),
        ("/api/groups/{id}/resize", {"size": 0}, 422),
        ("/api/login", {"token": "x"}, 401),
        ("/api/logout", {}, 200),
    ],
)
def test_answers_to_posts_fit_their_schemas(board: Any, path: str, body: dict[str, Any], status: int) -> None:
    document = board.get("/api/openapi.json")
    answer = board.post(path.replace("{id}", "1"), body)
    assert answer.status_code == status
    schema = document["paths"][path]["post"]["responses"][str(status)]["content"]["application/json"]["schema"]
    check(answer.json(), schema, document)
