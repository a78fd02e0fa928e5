"""Parked greenlets grouped by identical stack: where a thousand of them stand, in one line each."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.pages.detail import present_frames
from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import offset_of, render
from greenscope.app.pages.weight import ROOM, Room, short_key

#: stacks that are made ready; fewer fit
MOST = 60
#: kinds of waits that are told of one stack
MOST_KINDS = 4


def key_of(group: Mapping[str, Any]) -> str:
    """Return a key that stays the same for a stack."""
    return short_key(*((frame["file"], frame["line"], frame["function"]) for frame in group["frames"]))


def present_stack(group: Mapping[str, Any], asked: str) -> dict[str, Any]:
    """Add to a group of `/api/stacks` its innermost frame outside of libraries, and its key."""
    frames = present_frames(group["frames"])
    own = [frame for frame in frames if not frame["library"]] or frames
    key = key_of(group)
    return {
        **group,
        "frames": frames,
        "place": own[-1] if own else None,
        "waiting_on": group["waiting_on"][:MOST_KINDS],
        "key": key,
        "asked": key == asked,
    }


async def stacks(request: Request) -> Response:
    """Answer `/stacks`; `stack` names one that must be there, `offset` leaves out the first ones."""
    found = await request.app.state.dashboard.stacks.get()
    offset, asked = offset_of(request), request.query_params.get("stack", "")
    groups = found["rows"][offset : offset + MOST]
    if asked:
        # it stands first, since it would not fit where it belongs
        wanted = [group for group in found["rows"] if key_of(group) == asked]
        groups = [*wanted, *(group for group in groups if group not in wanted)]
    return render(
        request,
        "stacks.html",
        PAGE,
        found=found,
        rows=[present_stack(group, asked) for group in groups],
        parked=sum(group["count"] for group in found["rows"]),
        offset=offset,
        room=Room(ROOM),
        stacks_room=Room(ROOM // 2),
    )


PAGE = Page("/stacks", "stacks", "Stacks", stacks, frozenset({"stacks"}), menu=True, icon="rows-3", key="k")
