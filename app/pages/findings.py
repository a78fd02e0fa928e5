"""Findings: what is wrong, on which line, since when; and what was, until a few minutes ago."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.attention import count_open, named_by
from greenscope.app.formatting import parse_ident
from greenscope.app.pages.detail import present_frames
from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import render

#: greenlets of one finding that are linked
MOST_NAMED = 8
#: frames that the page carries folded, of the first findings; each weighs a third of a kilobyte
MOST_FRAMES = 120


def present_finding(dashboard: Any, finding: Mapping[str, Any]) -> dict[str, Any]:
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
        "named": named,
        "named_more": len(ids) - len(named),
        "group_name": "" if band is None else band.name,
        "frames": present_frames(finding["stack"] or ()),
    }


async def findings(request: Request) -> Response:
    """Answer `/findings`."""
    dashboard = request.app.state.dashboard
    rows = [present_finding(dashboard, row) for row in dashboard.findings()]
    asked, left = request.query_params.get("stack"), MOST_FRAMES
    for row in rows:
        row["asked"] = row["id"] == asked
        row["folded"] = row["asked"] or len(row["frames"]) <= left
        if row["folded"]:
            left -= len(row["frames"])
    return render(
        request,
        "findings.html",
        PAGE,
        open_ones=[row for row in rows if row["state"] == "open"],
        over=[row for row in rows if row["state"] != "open"],
        open_counts=count_open(rows),
    )


PAGE = Page("/findings", "findings", "Findings", findings, menu=True, icon="triangle-alert", key="f")
