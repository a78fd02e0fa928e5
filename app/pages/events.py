"""The tail of events: what happens, as it happens, newest first."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.model import EVENT_KINDS
from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import address, base_of, render
from greenscope.app.pages.weight import ROOM, fit_names

SHOWN = 200
CHOICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("all", ()),
    ("ends", ("succeeded", "failed", "killed")),
    ("failures", ("failed",)),
    ("spawns", ("spawned", "started")),
    ("kills", ("kill_requested", "killed")),
    ("groups", ("grouped", "ungrouped", "group_opened", "group_closed")),
    ("findings", ("blocked", "finding")),
    ("audit", ("audit",)),
)


def note_of(event: Mapping[str, Any]) -> str:
    """Say in one phrase what an event tells beyond its kind."""
    failure = event.get("exception")
    if failure:
        return f"{failure['type']}: {failure['message']}"
    if event["kind"] == "audit":
        parts = (event.get(name) for name in ("action", "target", "result", "reason"))
        return " · ".join(str(part) for part in parts if part)
    if "lost" in event:
        return f"{event['lost']} lost"
    return str(event.get("summary") or event.get("function") or event.get("reason") or "")


async def events(request: Request) -> Response:
    """Answer `/tail`."""
    feed = request.app.state.dashboard.feed
    base = base_of(request)
    asked = [part for value in request.query_params.getlist("kinds") for part in value.split(",")]
    chosen = tuple(kind for kind in EVENT_KINDS if kind in asked)
    q = request.query_params.get("q", "")[:200]
    names = {group["id"]: group["name"] or f"{group['kind']} {group['id']}" for group in feed.groups()}
    rows = [
        {
            "name": "",
            "greenlet": None,
            "group": None,
            "id": None,
            **event,
            "note": note_of(event),
            "group_name": event.get("group_name") or names.get(event.get("group")),
        }
        for event in feed.recent_events(chosen or None, SHOWN)
    ]
    if q:
        rows = [
            row
            for row in rows
            if q.lower()
            in " ".join(str(row[key] or "") for key in ("name", "greenlet", "group_name", "kind", "note")).lower()
        ]
    chips = [
        {
            "title": title,
            "kinds": kinds,
            "current": set(kinds) == set(chosen),
            "link": address(f"{base}/tail", kinds=",".join(kinds), q=q),
        }
        for title, kinds in CHOICES
    ]
    return render(
        request,
        "events.html",
        PAGE,
        events=rows,
        chips=chips,
        chosen=chosen,
        q=q,
        room=ROOM,
        named_groups=fit_names(names, (row["group"] for row in rows if row["group"])),
    )


PAGE = Page("/tail", "tail", "Events", events, frozenset({"events"}), menu=True, icon="scroll-text", key="e")
