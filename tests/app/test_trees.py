"""The spawn tree."""

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from greenscope.app.trees import MAX_NODES, Link, SpawnTree


def birth(id: int, parent: int | None = None, state: str = "waiting") -> Link:
    return id, parent, state


def plant(births: list[Link]) -> SpawnTree:
    tree = SpawnTree()
    for _ in tree.grow(births):
        pass
    return tree


def describe(id: int) -> tuple[str, str]:
    return f"g{id}", "f"


def grow(births: list[Link], **options: Any) -> dict[str, Any]:
    found = plant(births).draw(describe, **options)
    assert found is not None
    return found


def test_tree_counts_subtrees_by_state() -> None:
    tree = grow([birth(1), birth(2, 1), birth(3, 2, "failed"), birth(4, 99), birth(5, 1, "running")])
    assert [row["id"] for row in tree["rows"]] == ["1", "4"]
    root = tree["rows"][0]
    assert root["total"] == 4
    assert root["counts"] == {"waiting": 2, "failed": 1, "running": 1}
    assert [child["id"] for child in root["children"]] == ["2", "5"]


def test_tree_cuts_depth_and_width_and_says_so() -> None:
    births = [birth(1)] + [birth(n, 1) for n in range(2, 52)] + [birth(100, 2), birth(101, 100)]
    tree = grow(births, depth=2, width=10)
    root = tree["rows"][0]
    assert (len(root["children"]), root["more"]) == (10, 40)
    assert root["children"][0]["id"] == "2"
    assert (root["children"][0]["children"], root["children"][0]["more"]) == ([], 1)
    below = grow(births, root=100)
    assert [row["id"] for row in below["rows"]] == ["100"]
    assert plant(births).draw(describe, root=777) is None


def test_tree_leaves_out_the_first_and_cuts_what_lies_deepest() -> None:
    births = [birth(1), birth(2)] + [birth(n, 1) for n in range(10, 30)] + [birth(n, n - 90) for n in range(100, 120)]
    later = grow(births, root=1, width=5, offset=15)["rows"][0]
    assert ([child["id"] for child in later["children"]], later["more"]) == (["25", "26", "27", "28", "29"], 0)
    assert [row["id"] for row in grow(births, offset=1)["rows"]] == ["2"]
    cut = grow(births, most=12)
    assert [row["id"] for row in cut["rows"]] == ["1", "2"]
    assert (len(cut["rows"][0]["children"]), cut["rows"][0]["more"]) == (10, 10)
    assert [(child["children"], child["more"]) for child in cut["rows"][0]["children"]] == [([], 1)] * 10


def test_tree_of_a_long_chain_does_not_recurse() -> None:
    tree = grow([birth(1)] + [birth(n, n - 1) for n in range(2, 50_001)], depth=20)
    assert tree["rows"][0]["total"] == 50_000


def test_tree_of_a_hundred_thousand_is_drawn_in_part_quickly() -> None:
    births = [birth(n, n // 200 or None) for n in range(1, 100_001)]
    began = time.process_time()
    tree = grow(births, depth=20, width=200)
    assert time.process_time() - began < 2.0
    assert tree["total"] == 100_000

    def count(rows: list[dict[str, Any]]) -> int:
        return sum(1 + count(row["children"]) for row in rows)

    assert count(tree["rows"]) <= MAX_NODES


@given(st.dictionaries(st.integers(1, 40), st.none() | st.integers(1, 40), max_size=40))
def test_tree_holds_every_greenlet_once_whatever_the_links(parents: dict[int, int | None]) -> None:
    tree = grow([birth(id, parent) for id, parent in parents.items()], depth=20, width=200)
    seen: list[str] = []

    def walk(rows: list[dict[str, Any]]) -> int:
        total = 0
        for row in rows:
            seen.append(row["id"])
            below = walk(row["children"])
            if not row["more"]:
                assert row["total"] == 1 + below
            total += row["total"]
        return total

    assert walk(tree["rows"]) == len(parents)
    assert len(seen) == len(set(seen))
