"""One greenlet: its page, the fragment for drawers, and what a kill of it would do."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.formatting import parse_ident
from greenscope.app.pages.detail import present
from greenscope.app.pages.errors import render_error
from greenscope.app.pages.filters import count, place
from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import NO_STORE, Controls, base_of, render, render_fragment
from greenscope.app.pages.weight import DETAIL_ROOM, Room

_LIVE = ("pending", "ready", "running", "waiting")


async def find_greenlet(request: Request) -> dict[str, Any] | None:
    """Return the detail of the greenlet in the path (None: no such id, or forgotten)."""
    id = parse_ident(str(request.path_params["id"]))
    if id is None:
        return None
    found: dict[str, Any] | None = await request.app.state.dashboard.feed.wait_greenlet(id)
    return found


def _unknown(request: Request) -> Response:
    message = "There is no greenlet with this id, or it ended so long ago that it is no longer remembered."
    return render_error(request, 404, "No such greenlet", message)


async def greenlet(request: Request) -> Response:
    """Answer `/greenlets/ID`; with `fragment=1` only the details, for a drawer (`young=1`: 202 until it is known)."""
    found = await find_greenlet(request)
    if found is None and request.query_params.get("young"):
        # it was spawned a moment ago, and the feed hears of it with its next tick
        return Response("", 202, headers=NO_STORE, media_type="text/html")
    if found is None:
        return _unknown(request)
    if request.query_params.get("fragment"):
        close = request.query_params.get("close", "")
        local = close.startswith(f"{base_of(request)}/") and not close.startswith("//")
        return render_fragment(
            request,
            "_partials/detail.html",
            detail=present(found),
            room=Room(DETAIL_ROOM),
            in_drawer=bool(close),
            close_link=close if local else f"{base_of(request)}/greenlets",
            level=1 if request.query_params.get("level") == "1" else 2,
        )
    title = found["name"] or found["function"]
    return render(request, "greenlet.html", PAGE, title=title, detail=present(found), room=Room(DETAIL_ROOM))


def consequences(detail: Mapping[str, Any]) -> list[str]:
    """Say what a kill of this greenlet will do, in sentences."""
    if detail["state"] not in _LIVE:
        return [f"It has ended already: {detail['state']}."]
    waiting = detail["waiting_on"]
    if detail["state"] == "waiting" and waiting:
        where = f" at {place(detail['place'])}" if detail["place"] else ""
        now = f"It waits for {waiting['kind']}{' ' + waiting['name'] if waiting['name'] else ''}{where}."
    else:
        now = f"It is {detail['state']}{' at ' + place(detail['place']) if detail['place'] else ''}."
    lines = [now, "GreenletExit is raised in it where it stands; its finally blocks and link callbacks run."]
    held = detail.get("holds") or []
    if held:
        things = ", ".join(f"{one['kind']} {one['name']}".strip() for one in held[:5])
        lines.append(
            f"It holds {count(len(held))} {'thing' if len(held) == 1 else 'things'} that others want: {things}."
        )
    waiters, children = detail["waited_for_by_count"], detail["children_count"]
    if waiters:
        names = ", ".join(f"{other['name']} #{other['id']}" for other in detail["waited_for_by"][:3])
        wait, more = "waits" if waiters == 1 else "wait", " …" if waiters > 3 else ""
        lines.append(f"{count(waiters)} {wait} for it or for what it holds: {names}{more}.")
    if children:
        lines.append(
            f"Its {count(children)} {'child goes' if children == 1 else 'children go'} on: a kill does not reach them."
        )
    if detail["group_rows"]:
        lines.append(f"It leaves {', '.join(group['name'] or group['kind'] for group in detail['group_rows'])}.")
    if detail["kill_requested"]:
        lines.append("A kill was sent to it before, and it is still here: it may catch what kills it.")
    return lines


async def greenlet_kill(request: Request) -> Response:
    """Answer `/greenlets/ID/kill`: the question before the kill, as a fragment. Nothing is done by asking it."""
    found = await find_greenlet(request)
    if found is None:
        return _unknown(request)
    controls = Controls(request.app.state.dashboard)
    reason = controls.why("kill")
    return render_fragment(
        request,
        "_partials/kill.html",
        heading=f"Kill {found['name'] or found['function']} #{found['id']}?",
        consequences=[*consequences(found), *([reason] if reason else [])],
        verb="Kill it",
        allowed=controls.can("kill") and found["state"] in _LIVE,
    )


PAGE = Page("/greenlets/{id}", "greenlet", "Greenlet", greenlet)
KILL = Page("/greenlets/{id}/kill", "greenlet-kill", "Kill", greenlet_kill, frozenset({"kill"}))
