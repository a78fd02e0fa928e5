"""The wait graph and its circles."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from greenscope.app.backends.fake import ALL_CAPABILITIES, FakeProbe
from greenscope.app.waits import build_waits, find_cycles


def waits(probe: FakeProbe) -> dict[str, Any]:
    return asyncio.run(build_waits(probe, lambda ids: {id: (f"n{id}", "waiting") for id in ids}))


def started(probe: FakeProbe, count: int) -> list[int]:
    ids = [probe.add("work") for _ in range(count)]
    for id in ids:
        probe.start(id)
    return ids


def test_waits_shows_who_holds_what() -> None:
    probe = FakeProbe()
    a, b, c = started(probe, 3)
    probe.park(a, "semaphore", "db", owner=c)
    probe.park(b, "semaphore", "db", owner=c)
    graph = waits(probe)
    kinds = {node["id"]: node for node in graph["nodes"]}
    assert kinds["r1"]["type"] == "semaphore"
    assert kinds["r1"]["waiters"] == 2
    assert kinds[str(c)]["name"] == f"n{c}"
    edges = {(edge["source"], edge["target"], edge["kind"]) for edge in graph["edges"]}
    assert edges == {(str(a), "r1", "waits"), (str(b), "r1", "waits"), ("r1", str(c), "held")}
    assert graph["cycles"] == []


def test_waits_finds_a_deadlock_of_locks_and_joins() -> None:
    probe = FakeProbe()
    a, b, c, d = started(probe, 4)
    probe.park(a, "rlock", "one", owner=b)
    probe.park(b, "rlock", "two", owner=c)
    probe.park(c, "join", "", target=a)
    probe.park(d, "rlock", "one", owner=b)
    graph = waits(probe)
    assert graph["cycles"] == [[str(a), str(b), str(c)]]
    assert "joins" in {edge["kind"] for edge in graph["edges"]}


def test_waits_of_many_is_bounded_and_keeps_the_circle() -> None:
    probe = FakeProbe()
    ids = started(probe, 5000)
    for id in ids[2:]:
        probe.park(id, "event", "go")
    a, b = ids[:2]
    probe.park(a, "rlock", "x", owner=b)
    probe.park(b, "rlock", "y", owner=a)
    graph = waits(probe)
    assert graph["cycles"] == [[str(a), str(b)]]
    assert len(graph["nodes"]) < 50
    assert {str(a), str(b)} <= {node["id"] for node in graph["nodes"]}
    assert max(node.get("waiters", 0) for node in graph["nodes"]) == 4998
    assert graph["waiting"] == 5000


def test_waits_tells_texts_of_the_program_short_and_printable() -> None:
    probe = FakeProbe()
    (id,) = started(probe, 1)
    probe.park(id, "lock\n" + "k" * 1000, "n\0" * 1000)
    resource = waits(probe)["nodes"][1]
    assert (resource["type"][:7], len(resource["type"]), len(resource["name"])) == ("lock\\nk", 200, 200)
    assert resource["name"].isprintable()


def test_waits_says_when_the_probe_cannot_tell() -> None:
    probe = FakeProbe(capabilities=ALL_CAPABILITIES - {"waiting_on"})
    graph = waits(probe)
    assert graph["available"] is False
    assert graph["reason"]


@given(st.dictionaries(st.integers(1, 12), st.integers(1, 12)))
def test_find_cycles_agrees_with_walking(links: dict[int, int]) -> None:
    expected = set()
    for start in links:
        path = [start]
        while path[-1] in links and links[path[-1]] not in path:
            path.append(links[path[-1]])
        if links.get(path[-1]) == start:
            least = path.index(min(path))
            expected.add(tuple(path[least:] + path[:least]))
    found = find_cycles(links)
    assert {tuple(cycle) for cycle in found} == expected
    assert len(found) == len(expected)
