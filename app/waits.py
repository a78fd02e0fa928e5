"""The wait graph: who waits for what, who holds it, and whether that is a circle.

Nodes are greenlets and the things they wait for; an edge leads from a waiter to the thing (`waits`), from the thing to
the greenlet that holds it (`held`), or straight to a greenlet that is joined (`joins`). Every greenlet waits for at
most one thing, so following the edges from any node is a walk without forks, and a deadlock is a walk that comes back:
cycles are found in one pass over all greenlets, however many.
"""

import time
from collections.abc import Callable
from typing import Any

from greenscope.app.formatting import ident, safe_text
from greenscope.app.probe import Probe
from greenscope.app.stacks import pick, sample_chunks

MOST_RESOURCES = 200
MOST_WAITERS = 20
MOST_CYCLES = 50
#: looking at everything is cheap here (no frames are read), and a deadlock must not be missed by sampling
MOST_LOOKED_AT = 100_000


def find_cycles(blocked_by: dict[int, int]) -> list[list[int]]:
    """Return the circles of a graph in which each node has at most one successor, each from its least id on."""
    seen: dict[int, int] = {}
    cycles = []
    for walk, start in enumerate(blocked_by):
        path: list[int] = []
        node: int | None = start
        while node is not None and node not in seen:
            seen[node] = walk
            path.append(node)
            node = blocked_by.get(node)
        if node is not None and seen[node] == walk:
            cycle = path[path.index(node) :]
            least = cycle.index(min(cycle))
            cycles.append(cycle[least:] + cycle[:least])
    return cycles


#: kind, name and owner: what makes two waits the same
_Key = tuple[str, str, int | None]


class _Resource:
    """One thing that is waited for."""

    __slots__ = ("circular", "count", "key", "oldest", "owner", "waiters")

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.owner = key[2]
        self.circular = False
        self.count = 0
        self.oldest: float | None = None
        self.waiters: dict[int, None] = {}

    def add(self, id: int, waited: float | None) -> None:
        """Count a waiter; the first ones are shown."""
        self.count += 1
        if len(self.waiters) < MOST_WAITERS:
            self.waiters[id] = None
        if waited is not None and (self.oldest is None or waited > self.oldest):
            self.oldest = waited

    def show(self, id: int) -> None:
        """Show a waiter that is part of a circle, whatever its place."""
        self.circular = True
        self.waiters[id] = None


async def build_waits(
    probe: Probe,
    names: Callable[[list[int]], dict[int, tuple[str, str]]],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Return the wait graph as nodes, edges and cycles, bounded; what is waited for by most comes first.

    `names` gives (name, state) of the greenlets shown. Asynchronous and chunked.
    """
    empty: dict[str, Any] = {"nodes": [], "edges": [], "cycles": [], "total": 0, "waiting": 0, "looked_at": 0}
    if "waiting_on" not in probe.capabilities:
        return {"available": False, "reason": probe.missing("waiting_on"), **empty}
    ids = pick(probe.live_ids(), MOST_LOOKED_AT)
    now = clock()
    resources: dict[_Key, _Resource] = {}
    blocked_by: dict[int, int] = {}
    held: dict[int, _Resource] = {}
    async for samples in sample_chunks(probe, ids):
        for sample in samples:
            wait = sample.waiting_on
            if wait is None:
                continue
            blocker = wait.target if wait.target is not None else wait.owner
            key = (wait.kind, wait.name, blocker)
            resource = resources.get(key)
            if resource is None:
                resource = resources[key] = _Resource(key)
            resource.add(sample.id, None if wait.since is None else max(0.0, now - wait.since))
            if blocker is not None:
                blocked_by[sample.id] = blocker
                held[sample.id] = resource
    cycles = find_cycles(blocked_by)[:MOST_CYCLES]
    for cycle in cycles:
        for id in cycle:
            held[id].show(id)
    ordered = sorted(resources.values(), key=lambda r: (not r.circular, -r.count, -(r.oldest or 0.0)))
    return {
        "available": True,
        "reason": "" if "owners" in probe.capabilities else probe.missing("owners"),
        **_draw(ordered[:MOST_RESOURCES], names),
        "cycles": [[ident(id) for id in cycle] for cycle in cycles],
        "total": len(ordered),
        "waiting": sum(resource.count for resource in ordered),
        "looked_at": len(ids),
    }


def _draw(resources: list[_Resource], names: Callable[[list[int]], dict[int, tuple[str, str]]]) -> dict[str, Any]:
    shown = {id for resource in resources for id in resource.waiters}
    shown |= {resource.owner for resource in resources if resource.owner is not None}
    named = names(sorted(shown))
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, str]] = []
    for id in sorted(shown):
        name, state = named.get(id, ("", ""))
        nodes.append({"id": ident(id), "kind": "greenlet", "name": name, "state": state})
    for number, resource in enumerate(resources, 1):
        kind, name, owner = resource.key
        node = f"r{number}"
        nodes.append(
            {
                "id": node,
                "kind": "resource",
                "type": safe_text(kind),
                "name": safe_text(name),
                "waiters": resource.count,
                "oldest": None if resource.oldest is None else round(resource.oldest, 3),
            }
        )
        edges += [{"source": ident(id), "target": node, "kind": "waits"} for id in resource.waiters]
        if owner is not None:
            held = "joins" if kind == "join" else "held"
            edges.append({"source": node, "target": ident(owner), "kind": held})
    return {"nodes": nodes, "edges": edges}
