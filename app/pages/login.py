"""The door: takes the token out of the address' fragment and exchanges it for a cookie.

The guard shows this page at every address to whoever is not logged in, so it tells nothing about the program.
"""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from greenscope.app.pages.environment import build_environment
from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import NO_STORE, frame


async def login(request: Request) -> Response:
    """Answer `/login`."""
    html = build_environment().get_template("login.html").render(**frame(request, "Log in"))
    return HTMLResponse(html, headers=NO_STORE)


PAGE = Page("/login", "login", "Log in", login)
