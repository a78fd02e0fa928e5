"""Groups and pools: all of them, one of them, and what a kill of one's members would do."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.formatting import parse_ident
from greenscope.app.pages.detail import seconds_between
from greenscope.app.pages.errors import render_error
from greenscope.app.pages.filters import count, rate
from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import Controls, offset_of, render, render_fragment
from greenscope.app.pages.slots import level_of
from greenscope.app.pages.spawn import choose_spawnable
from greenscope.app.pages.tiles import Tile
from greenscope.app.pages.weight import ROOM, ROOM_BESIDE_CHARTS, Room
from greenscope.app.query import GreenletQuery

#: longest running members and waiters shown on a group's page
MOST_PEOPLE = 15
#: groups that are made ready for the page of all; fewer fit
MOST_GROUPS = 100
_WENT = "Gone by the time of this look: each waits for a moment only."
_UNKNOWN = "Who they are is not known: waiters are found by their pool's name, and this one has none."


async def groups(request: Request) -> Response:
    """Answer `/groups`; `offset` leaves out the first ones."""
    rows, offset = request.app.state.dashboard.feed.groups(), offset_of(request)
    shown = rows[offset : offset + MOST_GROUPS]
    return render(request, "groups.html", GROUPS, groups=shown, offset=offset, total=len(rows), room=ROOM)


def find_group(request: Request) -> dict[str, Any] | None:
    """Return the detail of the group in the path (None: no such id, or forgotten)."""
    id = parse_ident(str(request.path_params["id"]))
    if id is None:
        return None
    found: dict[str, Any] | None = request.app.state.dashboard.feed.group(id)
    return found


def _unknown(request: Request) -> Response:
    return render_error(request, 404, "No such group", "There is no group or pool with this id, or it closed long ago.")


def make_tiles(group: Mapping[str, Any]) -> list[Tile]:
    """Describe a group's counters."""
    size, waiters, failed = group["size"], group["waiters"], group["failed"]
    failing, opened = group["failure_rate"], seconds_between(group["opened"], group["closed"] or group["now"])
    level = level_of(group["active"], size, waiters)
    slow = "Grows when the pool is too small or its work too slow"
    full = "Red when full and somebody waits, amber above 85%"
    if size is None:
        use = Tile(
            "active", "Members", group["active"], "Grows when they are spawned faster than they end", after="now"
        )
        second = Tile("open", "Open for", opened, "Since it was made", "duration", after="since it was made")
    else:
        free = f"{count(group['free'])} free"
        use = Tile("active", "In use", group["active"], full, unit=f"of {count(size)}", level=level, after=free)
        second = Tile("waiters", "Waiters", waiters, slow, level="near" if waiters else "", after="wait for a slot")
    return [
        use,
        second,
        Tile(
            "peak", "Peak", group["peak"], "Most members there were at once: the size it needs", after="members at once"
        ),
        Tile("rate", "Done", group["rate"], "Falls when its work grows slower", "rate", unit="/s", after="over 10 s"),
        Tile("spawned", "Spawned", group["spawned"], "Far above what ended: they pile up", after="so far"),
        Tile("succeeded", "Succeeded", group["succeeded"], "Ended well so far", after="so far"),
        Tile(
            "failed",
            "Failed",
            failed,
            "Ended by an exception so far",
            level="bad" if failed else "",
            after=f"{rate(failing)} /s over 10 s",
        ),
        Tile("killed", "Killed", group["killed"], "Ended by a kill so far", after="so far"),
    ]


async def group(request: Request) -> Response:
    """Answer `/groups/ID`."""
    found = find_group(request)
    if found is None:
        return _unknown(request)
    feed = request.app.state.dashboard.feed
    members = await feed.wait_query(
        GreenletQuery(state="live", group=parse_ident(found["id"]), sort="-age", limit=MOST_PEOPLE)
    )
    offered = request.app.state.dashboard.spawnables.rows()
    queue: list[dict[str, Any]] = []
    named = bool(found["name"]) and '"' not in found["name"]
    if found["waiters"] and named:
        # who waits for a slot waits for something that carries the pool's name
        asked = GreenletQuery(state="waiting", q=f'waiting:"{found["name"]}"', sort="-age", limit=MOST_PEOPLE)
        queue = list((await feed.wait_query(asked)).rows)
    return render(
        request,
        "group.html",
        GROUP,
        title=found["name"] or found["kind"],
        group=found,
        pool=found["kind"] == "pool",
        tiles=make_tiles(found),
        spawnables=offered[offset_of(request) :],
        spawn_offset=offset_of(request),
        spawn_total=len(offered),
        chosen=choose_spawnable(offered, request.query_params.get("target")),
        groups=feed.groups(),
        group_chosen=found["id"],
        members=members.rows,
        members_total=members.matched,
        queue=queue,
        nobody="Nobody waits." if not found["waiters"] else _WENT if named else _UNKNOWN,
        history=found["series"] or {"t": []},
        room=Room(ROOM_BESIDE_CHARTS),
    )


async def group_kill(request: Request) -> Response:
    """Answer `/groups/ID/kill`: the question before the kill, as a fragment. Nothing is done by asking it."""
    found = find_group(request)
    if found is None:
        return _unknown(request)
    controls = Controls(request.app.state.dashboard)
    reason, active, waiters = controls.why("kill"), found["active"], found["waiters"]
    those = "member is" if active == 1 else "members are"
    lines = [f"{count(active)} {those} killed: GreenletExit is raised in each where it stands."]
    if waiters:
        lines.append(f"{count(waiters)} that wait for a slot go on, and take the slots that become free.")
    lines.append(f"The {found['kind']} itself stays and can be used again.")
    return render_fragment(
        request,
        "_partials/kill.html",
        heading=f"Kill all members of {found['name'] or found['kind']}?",
        consequences=[*lines, *([reason] if reason else [])],
        verb=f"Kill {count(active)}",
        allowed=controls.can("kill") and active > 0,
    )


GROUPS = Page("/groups", "groups", "Groups", groups, frozenset({"groups"}), menu=True, icon="layers", key="p")
GROUP = Page("/groups/{id}", "group", "Group", group, frozenset({"groups"}))
KILL = Page("/groups/{id}/kill", "group-kill", "Kill", group_kill, frozenset({"groups", "kill"}))
