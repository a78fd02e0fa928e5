"""The URL table: pages, JSON, the event stream, static files, each from its own list.

Nothing is routed that is not in one of these lists, and the guard stands before them all. Errors are answered here too:
JSON for programs, a page for people.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from greenscope.app.api import OPERATIONS
from greenscope.app.asking import route_path
from greenscope.app.assets import Assets
from greenscope.app.bodies import BodyError, error_response
from greenscope.app.pages import PAGES, Page
from greenscope.app.pages.errors import render_error
from greenscope.app.query import QueryError
from greenscope.app.wire_source import ROUTES

WORDS = {404: ("not-found", "there is nothing here"), 405: ("method", "this method is not used here")}


def build_routes(
    stream: Callable[[Request], Awaitable[Response]], assets: Assets, pages: Sequence[Page] = PAGES
) -> list[BaseRoute]:
    """Return all routes of a dashboard."""
    routes: list[BaseRoute] = [
        Route(operation.path, operation.endpoint, methods=[operation.method], name=f"api:{operation.name}")
        for operation in OPERATIONS
    ]
    routes.append(Route("/events", stream, methods=["GET"], name="stream"))
    routes += ROUTES
    routes.append(Route("/static/{path:path}", assets.endpoint, methods=["GET"], name="static"))
    routes += [Route(page.path, page.endpoint, methods=["GET"], name=page.name) for page in pages]
    return routes


def is_page(request: Request) -> bool:
    """Tell whether a person is looking: a browser that asked for something that is not data."""
    path = route_path(request.scope)
    machine = path.startswith(("/api/", "/static/", "/wire")) or path == "/events"
    return not machine and "text/html" in request.headers.get("accept", "")


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer a 404 or 405 of the router."""
    assert isinstance(error, HTTPException)
    word, message = WORDS.get(error.status_code, ("refused", str(error.detail)))
    if is_page(request):
        return render_error(request, error.status_code)
    return error_response(error.status_code, word, message, headers=dict(error.headers or {}))


async def on_query_error(request: Request, error: Exception) -> Response:
    """Answer 422 to a parameter that makes no sense, naming it."""
    assert isinstance(error, QueryError)
    message = f"{error.field} {error.message}"
    if is_page(request):
        return render_error(request, 422, message=message)
    return error_response(422, "invalid", message, error.field)


async def on_body_error(request: Request, error: Exception) -> Response:
    """Answer 400 to a body that is not a JSON object."""
    return error_response(400, "json", str(error))


#: exception -> handler, as Starlette takes it
ERRORS: dict[Any, Any] = {HTTPException: on_http_error, QueryError: on_query_error, BodyError: on_body_error}


def paths(routes: Iterable[BaseRoute]) -> list[str]:
    """Return the paths of routes, for tests and tools."""
    return [route.path for route in routes if isinstance(route, Route)]
