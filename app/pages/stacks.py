"""Parked greenlets grouped by identical stack: where a thousand of them stand, in one line each."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.pages.detail import present_frames
from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import render

SHOWN = 50


def present_stack(group: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a group of `/api/stacks` its innermost frame outside of libraries, and a key that stays the same."""
    frames = present_frames(group["frames"])
    own = [frame for frame in frames if not frame["library"]] or frames
    key = "|".join(f"{frame['file']}:{frame['line']}" for frame in frames)
    return {**group, "frames": frames, "place": own[-1] if own else None, "key": key}


async def stacks(request: Request) -> Response:
    """Answer `/stacks`."""
    found = await request.app.state.dashboard.stacks.get()
    rows = [present_stack(group) for group in found["rows"][:SHOWN]]
    parked = sum(group["count"] for group in found["rows"])
    return render(request, "stacks.html", PAGE, found=found, rows=rows, parked=parked)


PAGE = Page("/stacks", "stacks", "Stacks", stacks, frozenset({"stacks"}), menu=True, icon="rows-3", key="k")
