"""The audit: who asked for what, when, and what was seen; refusals too."""

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import offset_of, render
from greenscope.app.pages.weight import ROOM

SHOWN = 200


async def audit(request: Request) -> Response:
    """Answer `/audit`; `offset` leaves out the newest records."""
    kept, offset = request.app.state.dashboard.audit, offset_of(request)
    records = kept.rows(offset + SHOWN)[offset:]
    return render(request, "audit.html", PAGE, records=records, offset=offset, total=len(kept.records), room=ROOM)


PAGE = Page("/audit", "audit", "Audit", audit, menu=True, icon="clipboard-list", key="a")
