"""Parked greenlets by identical stack, and the sharing of dear answers."""

import asyncio
from collections.abc import Callable

import pytest

from greenscope.app.backends.fake import ALL_CAPABILITIES, FakeProbe
from greenscope.app.model import Site, Stack
from greenscope.app.shared import Shared
from greenscope.app.stacks import group_stacks, pick

HERE = Stack((Site("a.py", 1, "main"), Site("a.py", 9, "wait")), ("main()", "event.wait()"))
THERE = Stack((Site("b.py", 2, "loop"),), ("queue.get()",))


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def parked(probe: FakeProbe, stack: Stack, kind: str = "event") -> int:
    id = probe.add("work")
    probe.start(id)
    probe.park(id, kind)
    probe.set_stack(id, stack)
    return id


def test_stacks_groups_what_is_parked_at_the_same_place() -> None:
    clock = Clock()
    probe = FakeProbe(clock=clock)
    ids = [parked(probe, HERE) for _ in range(12)]
    clock.now += 2.0
    parked(probe, THERE, "queue.get")
    ready = probe.add("busy")
    probe.start(ready)
    clock.now += 1.0
    found = asyncio.run(group_stacks(probe, clock=clock))
    assert (found["total"], found["live"], found["available"]) == (2, 14, True)
    first, second = found["rows"]
    assert (first["count"], first["oldest"]) == (12, 3.0)
    assert first["ids"] == [str(id) for id in ids[:10]]
    assert first["frames"][1] == {"file": "a.py", "line": 9, "function": "wait", "source": "event.wait()"}
    assert first["waiting_on"] == [{"kind": "event", "count": 12}]
    assert (second["count"], second["oldest"]) == (1, 1.0)


def test_stacks_tells_texts_of_the_program_short_and_printable() -> None:
    probe = FakeProbe()
    parked(probe, Stack((Site("/" + "a" * 1000, 1, "f\n" * 1000),), ("s\0" * 1000,)), "k\r" * 1000)
    (row,) = asyncio.run(group_stacks(probe))["rows"]
    frame = row["frames"][0]
    assert (len(frame["file"]), len(frame["function"]), len(frame["source"])) == (400, 200, 200)
    assert all(text.isprintable() for text in (frame["function"], frame["source"], row["waiting_on"][0]["kind"]))


def test_stacks_survives_greenlets_that_end_meanwhile() -> None:
    class Fleeting(FakeProbe):
        def stack(self, id: int) -> Stack | None:
            return None if id % 2 else super().stack(id)

    probe = Fleeting()
    for _ in range(6):
        parked(probe, HERE)
    assert asyncio.run(group_stacks(probe))["rows"][0]["count"] == 3


def test_stacks_says_when_the_probe_has_none() -> None:
    probe = FakeProbe(capabilities=ALL_CAPABILITIES - {"stacks"})
    found = asyncio.run(group_stacks(probe))
    assert found["available"] is False
    assert found["reason"]
    assert found["rows"] == []


def test_stacks_bounds_its_work_and_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = FakeProbe()
    for _ in range(30_000):
        parked(probe, HERE)

    async def work() -> tuple[int, int, int]:
        turns = 0
        task = asyncio.ensure_future(group_stacks(probe))
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        found = task.result()
        return turns, found["looked_at"], found["rows"][0]["count"]

    turns, looked_at, count = asyncio.run(work())
    assert (looked_at, count) == (10_000, 10_000)
    assert turns >= 50


def test_pick_is_even_and_complete() -> None:
    assert pick([1, 2, 3], 3) == [1, 2, 3]
    picked = pick(range(100_000), 1000)
    assert len(picked) == len(set(picked)) == 1000
    assert picked[0] == 0
    assert picked[-1] >= 99_800


def counting(clock: Clock) -> tuple[Callable[[], int], Shared[int]]:
    count = 0

    async def compute() -> int:
        nonlocal count
        count += 1
        await asyncio.sleep(0)
        if count == 3:
            raise ValueError("third")
        return count

    return lambda: count, Shared(compute, 1.0, clock=clock)


def test_shared_computes_once_for_all_who_ask_meanwhile() -> None:
    clock = Clock()
    count, shared = counting(clock)

    async def work() -> None:
        assert await asyncio.gather(*(shared.get() for _ in range(5))) == [1] * 5
        clock.now += 0.9
        assert await shared.get() == 1
        clock.now += 0.2
        assert await shared.get() == 2
        clock.now += 2.0
        with pytest.raises(ValueError, match="third"):
            await shared.get()
        assert await shared.get() == 4

    asyncio.run(work())
    assert count() == 4


def test_shared_survives_the_one_who_leaves_and_another_loop() -> None:
    count, shared = counting(Clock())

    async def work() -> int:
        first = asyncio.ensure_future(shared.get())
        await asyncio.sleep(0)
        first.cancel()
        return await shared.get()

    assert asyncio.run(work()) == 1
    assert asyncio.run(shared.get()) == 2
    assert count() == 2
