"""Whose ids are meant: those of the process that the page came from, or of another one.

Ids count up from 1 in each process. A dashboard mounted in a server with several workers runs once in each, and a
browser's next request may reach any of them: kill 17 would end whatever is 17 there. So a page tells with each request
that acts the epoch under which it was rendered, and a process with another epoch refuses. The same holds for a page
that is older than a restart. Programs may send it, too, in the header or as the field `epoch`.
"""

import os
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.bodies import error_response, json_response

HEADER = "greenscope-epoch"

_EPOCH = re.compile(r"[0-9a-f]{12}")


def answer_if_foreign(request: Request, body: dict[str, Any], action: str, target: str) -> Response | None:
    """Return the refusal of a request that means another process (None: it may be done); takes `epoch` off the body."""
    given = body.pop("epoch", None)
    meant = request.headers.get(HEADER, given)
    if meant is None:
        return None
    board = request.app.state.dashboard
    if not isinstance(meant, str) or not _EPOCH.fullmatch(meant):
        return error_response(422, "invalid", "epoch must be what /api/health tells as epoch, or be left out", "epoch")
    if meant == board.feed.epoch:
        return None
    board.audit.refuse(action, target, request.scope["greenscope.principal"].name, "meant for another process")
    message = (
        f"this was meant for another process than the one that answers (pid {os.getpid()}): "
        "its ids are of other greenlets. Nothing was done; reload the page"
    )
    told = {"error": "other-process", "field": "epoch", "message": message, "epoch": board.feed.epoch}
    return json_response(told, 409)
