"""The spawn tree: who spawned whom, with counts per node, cut to what a person can read.

A tree over a hundred thousand greenlets is counted as a whole, in one pass without recursion, and drawn in part: to a
depth and a width that the viewer chooses. What was cut is counted (`more`), never silent. A greenlet whose parent is
no longer known is a root.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 20
MAX_WIDTH = 200
MAX_NODES = 2000


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


def _grow(births: Iterable[Birth]) -> tuple[dict[int, _Node], list[_Node]]:
    """Link nodes to their parents and count every subtree; returns all nodes and the roots."""
    nodes = {birth.id: _Node(birth) for birth in births}
    roots = []
    # Ids count up, so a parent's is always the smaller one: a child that claims otherwise is made a root, and there
    # can be no circle. Going down from the greatest id, every subtree is complete before its parent adds it up.
    for id in sorted(nodes, reverse=True):
        node = nodes[id]
        parent = node.birth.parent
        above = nodes.get(parent) if parent is not None and parent < id else None
        if above is None:
            roots.append(node)
            continue
        above.children.append(node)
        above.total += node.total
        for state, count in node.states.items():
            above.states[state] = above.states.get(state, 0) + count
    return nodes, roots


def build_tree(
    births: Iterable[Birth], *, root: int | None = None, depth: int = 4, width: int = 25
) -> dict[str, Any] | None:
    """Return the tree (or what hangs below `root`) to `depth` levels and `width` children each; None: no such root.

    Children with the largest subtrees come first. At most MAX_NODES nodes are drawn.
    """
    nodes, roots = _grow(births)
    if root is not None:
        if root not in nodes:
            return None
        roots = [nodes[root]]
    budget = MAX_NODES

    def draw(level_nodes: list[_Node], level: int) -> tuple[list[dict[str, Any]], int]:
        nonlocal budget
        ordered = sorted(level_nodes, key=lambda node: (-node.total, node.birth.id))
        shown = ordered[: min(width, max(0, budget))]
        budget -= len(shown)
        drawn = []
        for node in shown:
            children, more = draw(node.children, level + 1) if level < depth else ([], len(node.children))
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
        return drawn, len(ordered) - len(shown)

    rows, more = draw(roots, 1)
    return {"total": len(nodes), "rows": rows, "more": more, "depth": depth, "width": width}
