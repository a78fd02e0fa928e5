"""The spawn tree: who spawned whom, with counts per node, cut to what a person can read.

A tree over a hundred thousand greenlets is counted as a whole, in one pass without recursion, and drawn in part: to a
depth and a width that the viewer chooses. What was cut is counted (`more`), never silent. A greenlet whose parent is
no longer known is a root.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 20
MAX_WIDTH = 200
MAX_NODES = 2000
#: greenlets linked between two turns of our own loop, about 5 ms
CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Birth:
    """What the tree needs to know of a greenlet."""

    id: int
    parent: int | None
    name: str
    function: str
    state: str


class _Node:
    __slots__ = ("birth", "children", "states", "total")

    def __init__(self, birth: Birth) -> None:
        self.birth = birth
        self.children: list[_Node] = []
        self.total = 1
        self.states: dict[str, int] = {birth.state: 1}


class SpawnTree:
    """All greenlets linked to their parents, every subtree counted."""

    def __init__(self) -> None:
        self._nodes: dict[int, _Node] = {}
        self._roots: list[_Node] = []

    def grow(self, births: Iterable[Birth]) -> Iterator[None]:
        """Link and count; yields now and then, so that a loop can drive it with a breath in between."""
        nodes = self._nodes
        for number, birth in enumerate(births):
            nodes[birth.id] = _Node(birth)
            if number % CHUNK == 0:
                yield
        # Ids count up, so a parent's is always the smaller one: a child that claims otherwise is made a root, and
        # there can be no circle. Going down from the greatest id, every subtree is complete before its parent adds it.
        for number, id in enumerate(sorted(nodes, reverse=True)):
            self._link(nodes[id])
            if number % CHUNK == 0:
                yield

    def _link(self, node: _Node) -> None:
        parent = node.birth.parent
        above = self._nodes.get(parent) if parent is not None and parent < node.birth.id else None
        if above is None:
            self._roots.append(node)
            return
        above.children.append(node)
        above.total += node.total
        for state, count in node.states.items():
            above.states[state] = above.states.get(state, 0) + count

    def draw(self, *, root: int | None = None, depth: int = 4, width: int = 25) -> dict[str, Any] | None:
        """Return the tree (or what hangs below `root`) to `depth` levels and `width` children each.

        None: there is no such root. Children with the largest subtrees come first; at most MAX_NODES are drawn.
        """
        if root is not None and root not in self._nodes:
            return None
        roots = self._roots if root is None else [self._nodes[root]]
        rows, more = _Drawing(depth, width).draw(roots, 1)
        return {"total": len(self._nodes), "rows": rows, "more": more, "depth": depth, "width": width}


class _Drawing:
    """One cut of a tree: what has been drawn so far counts against MAX_NODES."""

    def __init__(self, depth: int, width: int) -> None:
        self._depth = depth
        self._width = width
        self._left = MAX_NODES

    def draw(self, nodes: list[_Node], level: int) -> tuple[list[dict[str, Any]], int]:
        """Return the nodes drawn of one level, and how many were left out."""
        width = min(self._width, max(0, self._left))
        shown = heapq.nsmallest(width, nodes, key=lambda node: (-node.total, node.birth.id))
        self._left -= len(shown)
        drawn = []
        for node in shown:
            children, more = [], len(node.children)
            if level < self._depth:
                children, more = self.draw(node.children, level + 1)
            drawn.append(
                {
                    "id": str(node.birth.id),
                    "name": node.birth.name,
                    "function": node.birth.function,
                    "state": node.birth.state,
                    "total": node.total,
                    "counts": node.states,
                    "children": children,
                    "more": more,
                }
            )
        return drawn, len(nodes) - len(shown)
