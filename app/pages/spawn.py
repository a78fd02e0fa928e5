"""Spawning: a form per registered callable, made from its signature; the new greenlet is followed beside it."""

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import render


async def spawn(request: Request) -> Response:
    """Answer `/spawn`; `target` chooses the form, `group` where it spawns into."""
    dashboard = request.app.state.dashboard
    offered = dashboard.spawnables.rows()
    target = request.query_params.get("target")
    chosen = next((item for item in offered if item["name"] == target), None)
    if target is None and offered:
        chosen = offered[0]
    return render(
        request,
        "spawn.html",
        PAGE,
        spawnables=offered,
        chosen=chosen,
        groups=dashboard.feed.groups(),
        group_chosen=request.query_params.get("group", ""),
    )


PAGE = Page("/spawn", "spawn", "Spawn", spawn, frozenset({"spawn"}), menu=True, icon="circle-plus", key="s")
