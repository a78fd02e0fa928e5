"""Findings: what is wrong, on which line, since when; and what was, until a few minutes ago.

The page carries those that fit and the stacks of the first of them. `?stack=ID` asks for one: it is on the page
wherever it would stand, with its stack unfolded.
"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.attention import count_open, link_to, named_by
from greenscope.app.formatting import parse_ident, safe_text
from greenscope.app.pages.detail import present_frames
from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import offset_of, render
from greenscope.app.pages.weight import Room

#: greenlets of one finding that are linked
MOST_NAMED = 4
#: findings that are made ready; fewer fit
MOST = 60
#: bytes for all, of that for one that is asked for, and what a finding takes about without its stack
ALL_ROOM, ASKED_ROOM, ABOUT = 74_000, 28_000, 2_400


def present_finding(dashboard: Any, finding: Mapping[str, Any], asked: str) -> dict[str, Any]:
    """Add to a finding's row what its template shows: whom it names, and frames with their kind."""
    ids = list(dict.fromkeys(named_by(finding)))
    named = []
    for text in ids[:MOST_NAMED]:
        id = parse_ident(text)
        named.append({"id": text, "name": dashboard.describe(id)[0] if id is not None else ""})
    group = parse_ident(finding["group"]) if finding["group"] else None
    band = None if group is None else dashboard.feed.band(group)
    return {
        **finding,
        "asked": finding["id"] == asked,
        "link": link_to(finding["id"]),
        "named": named,
        "named_more": len(ids) - len(named),
        "group_name": "" if band is None else safe_text(band.name),
        "frames": present_frames(finding["stack"] or ()),
    }


async def findings(request: Request) -> Response:
    """Answer `/findings`; `stack` names one that must be there, `offset` leaves out the first ones."""
    dashboard = request.app.state.dashboard
    found, offset, asked = dashboard.findings(), offset_of(request), request.query_params.get("stack", "")
    rows = [present_finding(dashboard, row, asked) for row in found[offset : offset + MOST]]
    wanted = next((present_finding(dashboard, row, asked) for row in found if row["id"] == asked), None)
    size = ALL_ROOM - (ASKED_ROOM if wanted else 0)
    return render(
        request,
        "findings.html",
        PAGE,
        room=Room(size),
        stacks_room=Room(size - min(ABOUT * len(rows), 2 * size // 3)),
        open_ones=[row for row in rows if row["state"] == "open"],
        over=[row for row in rows if row["state"] != "open"],
        open_counts=count_open(found),
        asked=wanted,
        offset=offset,
        total=len(found),
    )


PAGE = Page("/findings", "findings", "Findings", findings, menu=True, icon="triangle-alert", key="f")
