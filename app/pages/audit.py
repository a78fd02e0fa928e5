"""The audit: who asked for what, when, and what was seen; refusals too."""

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import render

SHOWN = 200


async def audit(request: Request) -> Response:
    """Answer `/audit`."""
    return render(request, "audit.html", PAGE, records=request.app.state.dashboard.audit.rows(SHOWN))


PAGE = Page("/audit", "audit", "Audit", audit, menu=True, icon="clipboard-list", key="a")
