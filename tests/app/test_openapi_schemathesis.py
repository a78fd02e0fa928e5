"""What the OpenAPI document promises, tried by Schemathesis on a real socket: no 5xx, nothing undocumented.

It makes requests from the document's own schemas, right ones and wrong ones (values, types, bodies, missing fields),
and holds each answer to the status codes, the content types and the schemas that the document names. That control
is on and its targets exist makes the requests reach all that stands behind the guard.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from greenscope.app.api import OPERATIONS
from greenscope.app.backends.fake import FakeProbe
from greenscope.app.dashboard import build_dashboard
from greenscope.app.openapi import build_document
from greenscope.app.server import DashboardServer, Limits
from greenscope.app.spawnables import Spawnables

TOKEN = "the-token-of-these-tests-0123456789"
DOCUMENT = build_document(OPERATIONS, "0")
schema = schemathesis.openapi.from_dict(DOCUMENT)

#: what is not tried: the stream never ends, and a right logout or many wrong logins would shut us out
LEFT_OUT = ("/events", "/api/logout", "/api/login")
tried = schema.exclude(path=list(LEFT_OUT))


def crawl(url: str, depth: int = 2, tags: list[str] | None = None) -> None:
    """Crawl a site."""


@pytest.fixture(scope="module")
def server() -> Iterator[DashboardServer]:
    probe = FakeProbe()
    pool = probe.open_group("workers", 4)
    for number in range(40):
        id = probe.add("work", group=pool if number % 2 else None)
        if number % 3:
            probe.start(id)
        if number % 7 == 0:
            probe.fail(id, "ValueError", "bad")
    spawnables = Spawnables()
    spawnables.add(crawl)
    app = build_dashboard(probe, token=TOKEN, control=True, spawnables=spawnables)
    server = DashboardServer(app, port=0, limits=Limits())
    server.start_thread()
    yield server
    assert server.stop(5)
    assert server.error is None


@tried.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_no_request_made_from_the_document_is_answered_with_a_fault(
    case: schemathesis.Case[Any], server: DashboardServer
) -> None:
    board = server.dashboard
    board.audit._refusals._buckets.clear()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = case.call(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=20)
    assert answer.status_code not in (401, 403, 421, 429), "the request stopped at the guard"
    case.validate_response(
        answer,
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
    )
    assert board.fault_count == 0, board.faults[-1]


def test_every_operation_of_the_document_is_tried_but_those_left_out() -> None:
    labels = {operation.ok().label for operation in tried.get_all_operations()}  # type: ignore[union-attr]
    wanted = {
        f"{method.upper()} {path}"
        for path, methods in DOCUMENT["paths"].items()
        for method in methods
        if path not in LEFT_OUT
    }
    assert labels == wanted


def ids_of(document: dict[str, Any]) -> set[str]:
    return {operation["operationId"] for methods in document["paths"].values() for operation in methods.values()}


def test_document_that_is_served_is_the_one_that_is_tried(server: DashboardServer) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.get(f"http://127.0.0.1:{server.port}/api/openapi.json", headers=headers, timeout=10)
    assert ids_of(answer.json()) == ids_of(DOCUMENT)
