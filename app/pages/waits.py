"""Who waits for whom: circles first, then what most wait for, with who holds it."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import offset_of, render
from greenscope.app.pages.weight import ROOM, Room, short_key

#: waiters of one thing that are named; all of them are a click away
MOST_WAITERS = 4

Node = Mapping[str, Any]


def present_waits(graph: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the nodes and edges of `/api/waits` into lines: a resource, its waiters, its holder; and the circles."""
    nodes: dict[str, Node] = {node["id"]: node for node in graph["nodes"]}
    waiters: dict[str, list[Node]] = {}
    holders: dict[str, Node] = {}
    awaited: dict[str, Node] = {}
    for edge in graph["edges"]:
        if edge["kind"] == "waits":
            waiters.setdefault(edge["target"], []).append(nodes[edge["source"]])
            awaited[edge["source"]] = nodes[edge["target"]]
        else:
            holders[edge["source"]] = nodes[edge["target"]]
    resources = [
        {
            "key": short_key(node["type"], node["name"], holders.get(node["id"], {}).get("id")),
            "kind": node["type"],
            "name": node["name"],
            "search": search_for(node),
            "count": node["waiters"],
            "oldest": node["oldest"],
            "waiters": waiters.get(node["id"], [])[:MOST_WAITERS],
            "holder": holders.get(node["id"]),
        }
        for node in graph["nodes"]
        if node["kind"] == "resource"
    ]
    # the same kind of wait, for nameless things, can come more than once
    cycles = [[{**nodes[id], "for": awaited.get(id)} for id in cycle if id in nodes] for cycle in graph["cycles"]]
    circles = [
        [{**node, "next": other} for node, other in zip(cycle, [*cycle[1:], *cycle[:1]], strict=True)]
        for cycle in cycles
    ]
    return {"resources": resources, "circles": circles}


def search_for(node: Node) -> str:
    """Return the search that finds who waits for a thing ("" when its name cannot be searched for)."""
    text = f"{node['type']} {node['name']}".strip()
    return "" if '"' in text or text.endswith("…") else f'waiting:"{text}"'


async def waits(request: Request) -> Response:
    """Answer `/waits`; `offset` leaves out the first things."""
    graph = await request.app.state.dashboard.waits.get()
    found, offset = present_waits(graph), offset_of(request)
    resources = found["resources"]
    return render(
        request,
        "waits.html",
        PAGE,
        graph=graph,
        circles=found["circles"],
        resources=resources[offset:],
        offset=offset,
        told=len(resources),
        room=Room(ROOM),
    )


PAGE = Page(
    "/waits",
    "waits",
    "Waits",
    waits,
    frozenset({"waiting_on"}),
    menu=True,
    icon="hourglass",
    key="w",
    beside="stacks",
)
