"""Errors as pages: what is wrong in one sentence, and where to go from here."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from greenscope.app.pages.environment import build_environment
from greenscope.app.pages.rendering import NO_STORE, frame

HEADINGS = {
    400: "This request makes no sense",
    401: "This dashboard needs its token",
    403: "Not allowed",
    404: "There is nothing here",
    405: "Not used this way",
    409: "Not possible now",
    422: "This cannot be asked",
    429: "Too many attempts",
    500: "The dashboard failed",
    503: "Busy",
}


def render_error(request: Request, status: int, heading: str = "", message: str = "") -> Response:
    """Render an error for a person; `heading` defaults to the status' own."""
    title = heading or HEADINGS.get(status, "Something is wrong")
    html = (
        build_environment()
        .get_template("error.html")
        .render(**frame(request, title), status=status, heading=title, message=message)
    )
    return HTMLResponse(html, status, headers=NO_STORE)
