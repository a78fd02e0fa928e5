"""The spawn tree: who spawned whom, with counts per node, cut to what a person can read.

A tree over a hundred thousand greenlets is counted as a whole, in one pass without recursion, and drawn in part: to a
depth and a width that the viewer chooses. What was cut is counted (`more`), never silent. A greenlet whose parent is
no longer known is a root.

The tree is kept as a few flat dictionaries of numbers, not as an object per greenlet: a hundred thousand new
containers would make the garbage collector go through the whole heap of the observed program, with the GIL held.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from greenscope.app.formatting import ident

MAX_DEPTH = 20
MAX_WIDTH = 200
MAX_NODES = 2000
#: greenlets linked between two turns of our own loop, about 2 ms
CHUNK = 1000

#: id, parent's id, state
Link = tuple[int, int | None, str]
#: gives (name, function) of a greenlet that is drawn
Describe = Callable[[int], tuple[str, str]]


class SpawnTree:
    """All greenlets linked to their parents, every subtree counted."""

    def __init__(self) -> None:
        self._states: dict[int, str] = {}
        self._parents: dict[int, int] = {}
        self._roots: list[int] = []
        # only of those that have children
        self._children: dict[int, list[int]] = {}
        self._totals: dict[int, int] = {}
        self._counts: dict[int, dict[str, int]] = {}

    def grow(self, links: Iterable[Link]) -> Iterator[None]:
        """Link and count; yields now and then, so that a loop can drive it with a breath in between."""
        for number, (id, parent, state) in enumerate(links):
            self._states[id] = state
            if parent is not None:
                self._parents[id] = parent
            if number % CHUNK == 0:
                yield
        # Ids count up, so a parent's is always the smaller one: a child that claims otherwise is made a root, and
        # there can be no circle. Going down from the greatest id, every subtree is complete before its parent adds it.
        for number, id in enumerate(sorted(self._states, reverse=True)):
            parent = self._parents.get(id, id)
            if parent < id and parent in self._states:
                self._add(parent, id)
            else:
                self._roots.append(id)
            if number % CHUNK == 0:
                yield

    def _add(self, parent: int, id: int) -> None:
        """Add a complete subtree to its parent's."""
        counts = self._counts.get(parent)
        if counts is None:
            counts = self._counts[parent] = {self._states[parent]: 1}
            self._children[parent] = []
            self._totals[parent] = 1
        self._children[parent].append(id)
        self._totals[parent] += self._totals.get(id, 1)
        below = self._counts.get(id)
        if below is None:
            state = self._states[id]
            counts[state] = counts.get(state, 0) + 1
        else:
            for state, count in below.items():
                counts[state] = counts.get(state, 0) + count

    def draw(
        self,
        describe: Describe,
        *,
        root: int | None = None,
        depth: int = 4,
        width: int = 25,
        offset: int = 0,
        most: int = MAX_NODES,
    ) -> dict[str, Any] | None:
        """Return the tree (or what hangs below `root`) to `depth` levels and `width` children each, at most `most`.

        None: there is no such root. Children with the largest subtrees come first; of the roots (or of `root`'s
        children) the first `offset` are left out. Drawn level by level, so that what is cut is what lies deepest.
        """
        if root is not None and root not in self._states:
            return None
        left = most
        top: dict[str, Any] = {"children": [], "more": 0}
        level = [(top, self._roots if root is None else [root])]
        first = self._roots if root is None else self._children.get(root)
        for _ in range(depth):
            below: list[tuple[dict[str, Any], list[int]]] = []
            for node, ids in level:
                skipped = offset if ids is first else 0
                shown = self._largest(ids, skipped, min(width, left))
                left -= len(shown)
                node["more"] = max(0, len(ids) - skipped - len(shown))
                for id in shown:
                    drawn = {**self._describe(id, describe), "children": [], "more": len(self._children.get(id, ()))}
                    node["children"].append(drawn)
                    if drawn["more"]:
                        below.append((drawn, self._children[id]))
            level = below
        return {
            "total": len(self._states),
            "rows": top["children"],
            "more": top["more"],
            "depth": depth,
            "width": width,
        }

    def _largest(self, ids: list[int], offset: int, count: int) -> list[int]:
        """Return so many ids of the largest subtrees, after the first `offset`."""
        found = heapq.nsmallest(offset + count, ids, key=lambda id: (-self._totals.get(id, 1), id))
        return found[offset:]

    def _describe(self, id: int, describe: Describe) -> dict[str, Any]:
        name, function = describe(id)
        state = self._states[id]
        return {
            "id": ident(id),
            "name": name,
            "function": function,
            "state": state,
            "total": self._totals.get(id, 1),
            "counts": self._counts.get(id) or {state: 1},
        }
