"""Who waits for whom: circles first, then what most wait for, with who holds it."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import render

SHOWN = 100
MOST_WAITERS = 12

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
            "key": f"{node['type']} {node['name']} {holders[node['id']]['id'] if node['id'] in holders else ''}",
            "kind": node["type"],
            "name": node["name"],
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
    return {"resources": resources[:SHOWN], "cycles": cycles}


async def waits(request: Request) -> Response:
    """Answer `/waits`."""
    graph = await request.app.state.dashboard.waits.get()
    return render(request, "waits.html", PAGE, graph=graph, **present_waits(graph))


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
