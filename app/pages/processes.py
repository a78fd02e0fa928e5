"""The processes behind a page over several: who tells, who has ended, whose socket cannot be read."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import health_of, offset_of, render
from greenscope.app.pages.weight import ROOM

#: tone of each state
TONES = {"live": "good", "gone": "bad", "refused": "near"}


def rows_of(dashboard: Any) -> list[dict[str, Any]]:
    """Return a row per process; a page over one has one."""
    health = health_of(dashboard)
    one = {"pid": health["pid"], "state": "live", "reason": "", "since": health["uptime"], "socket": ""}
    rows: list[dict[str, Any]] = health.get("workers", [{**health, **one}])
    return rows


async def processes(request: Request) -> Response:
    """Answer `/processes`."""
    rows, offset = rows_of(request.app.state.dashboard), offset_of(request)
    shown = rows[offset:]
    return render(
        request, "processes.html", PAGE, processes=shown, offset=offset, total=len(rows), tones=TONES, room=ROOM
    )


PAGE = Page("/processes", "processes", "Processes", processes, icon="server")
