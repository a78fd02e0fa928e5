"""The wait graph: who waits for what, who holds it, and whether that is a circle.

Nodes are greenlets and the things they wait for; an edge leads from a waiter to the thing (`waits`), from the thing to
the greenlet that holds it (`held`), or straight to a greenlet that is joined (`joins`). Every greenlet waits for at
most one thing, so following the edges from any node is a walk without forks, and a deadlock is a walk that comes back:
cycles are found in one pass over all greenlets, however many.
"""

import time
from collections.abc import Callable
from typing import Any

from greenscope.app.model import GreenletSample
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


class _Resource:
    """One thing that is waited for."""

    __slots__ = ("count", "key", "oldest", "owner", "waiters")

    def __init__(self, key: tuple[str, str, int | None]) -> None:
        self.key = key
        self.owner = key[2]
        self.count = 0
        self.oldest: float | None = None
        self.waiters: list[int] = []

    def add(self, sample: GreenletSample, now: float, in_cycle: bool) -> None:
        self.count += 1
        if in_cycle or len(self.waiters) < MOST_WAITERS:
            self.waiters.append(sample.id)
        if sample.waiting_on is not None and sample.waiting_on.since is not None:
            waited = max(0.0, now - sample.waiting_on.since)
            self.oldest = waited if self.oldest is None else max(self.oldest, waited)


async def build_waits(
    probe: Probe,
    names: Callable[[list[int]], dict[int, tuple[str, str]]],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Return the wait graph as nodes, edges and cycles, bounded; what is waited for by most comes first.

    `names` gives (name, state) of the greenlets shown. Asynchronous and chunked.
    """
    empty: dict[str, Any] = {"nodes": [], "edges": [], "cycles": [], "total": 0, "looked_at": 0}
    if "waiting_on" not in probe.capabilities:
        return {"available": False, "reason": probe.missing("waiting_on"), **empty}
    ids = pick(probe.live_ids(), MOST_LOOKED_AT)
    waiting: list[GreenletSample] = []
    async for samples in sample_chunks(probe, ids):
        waiting += [sample for sample in samples if sample.waiting_on is not None]
    blocked_by = {}
    for sample in waiting:
        wait = sample.waiting_on
        assert wait is not None
        blocker = wait.target if wait.target is not None else wait.owner
        if blocker is not None:
            blocked_by[sample.id] = blocker
    cycles = find_cycles(blocked_by)[:MOST_CYCLES]
    members = {id for cycle in cycles for id in cycle}
    resources = _collect(waiting, members, clock())
    return {
        "available": True,
        "reason": "" if "owners" in probe.capabilities else probe.missing("owners"),
        **_draw(resources[:MOST_RESOURCES], names),
        "cycles": [[str(id) for id in cycle] for cycle in cycles],
        "total": len(resources),
        "looked_at": len(ids),
    }


def _collect(waiting: list[GreenletSample], members: set[int], now: float) -> list[_Resource]:
    """Group waiters by what they wait for: circles first, then what holds up most."""
    resources: dict[tuple[str, str, int | None], _Resource] = {}
    circular: set[tuple[str, str, int | None]] = set()
    for sample in waiting:
        wait = sample.waiting_on
        assert wait is not None
        key = (wait.kind, wait.name, wait.target if wait.target is not None else wait.owner)
        resource = resources.get(key)
        if resource is None:
            resource = resources[key] = _Resource(key)
        in_cycle = sample.id in members
        if in_cycle:
            circular.add(key)
        resource.add(sample, now, in_cycle)
    return sorted(resources.values(), key=lambda r: (r.key not in circular, -r.count, -(r.oldest or 0.0)))


def _draw(resources: list[_Resource], names: Callable[[list[int]], dict[int, tuple[str, str]]]) -> dict[str, Any]:
    shown = {id for resource in resources for id in resource.waiters}
    shown |= {resource.owner for resource in resources if resource.owner is not None}
    named = names(sorted(shown))
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, str]] = []
    for id in sorted(shown):
        name, state = named.get(id, ("", ""))
        nodes.append({"id": str(id), "kind": "greenlet", "name": name, "state": state})
    for number, resource in enumerate(resources, 1):
        kind, name, owner = resource.key
        node = f"r{number}"
        nodes.append(
            {
                "id": node,
                "kind": "resource",
                "type": kind,
                "name": name,
                "waiters": resource.count,
                "oldest": None if resource.oldest is None else round(resource.oldest, 3),
            }
        )
        edges += [{"source": str(id), "target": node, "kind": "waits"} for id in resource.waiters]
        if owner is not None:
            held = "joins" if kind == "join" else "held"
            edges.append({"source": node, "target": str(owner), "kind": held})
    return {"nodes": nodes, "edges": edges}
