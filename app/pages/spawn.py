"""Spawning: a form per registered callable, made from its signature; the new greenlet is followed beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import offset_of, render
from greenscope.app.pages.weight import ROOM, Room


def choose_spawnable(offered: Sequence[Mapping[str, Any]], target: str | None) -> Mapping[str, Any] | None:
    """Return the one whose form is shown: the one asked for (None: no such one), else the first."""
    if target is None:
        return offered[0] if offered else None
    return next((item for item in offered if item["name"] == target), None)


async def spawn(request: Request) -> Response:
    """Answer `/spawn`; `target` chooses the form, `group` where it spawns into, `offset` leaves out the first ones."""
    dashboard = request.app.state.dashboard
    offered, offset = dashboard.spawnables.rows(), offset_of(request)
    return render(
        request,
        "spawn.html",
        PAGE,
        spawnables=offered[offset:],
        spawn_offset=offset,
        spawn_total=len(offered),
        room=Room(ROOM),
        chosen=choose_spawnable(offered, request.query_params.get("target")),
        groups=dashboard.feed.groups(),
        group_chosen=request.query_params.get("group", ""),
    )


PAGE = Page("/spawn", "spawn", "Spawn", spawn, frozenset({"spawn"}), menu=True, icon="circle-plus", key="s")
