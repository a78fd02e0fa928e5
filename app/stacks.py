"""Parked greenlets grouped by identical stack: where a thousand of them stand, told in one line.

Frames are read through the probe from the dashboard's thread; the observed program does nothing for it. The work is
bounded (beyond `MOST` greenlets an even sample of them is looked at, and the answer says so) and chunked, so that the
stream keeps its beat meanwhile.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from greenscope.app.formatting import ident, safe_text, sites
from greenscope.app.model import GreenletSample, Site, Stack, WaitRecord
from greenscope.app.probe import Probe

#: greenlets looked at for one answer, and between two turns of our own loop
MOST = 10_000
CHUNK = 200
#: groups and ids per group in one answer
MOST_GROUPS = 200
MOST_IDS = 10


def pick(ids: Sequence[int], most: int = MOST) -> Sequence[int]:
    """Return all ids, or `most` of them spread evenly when there are more."""
    if len(ids) <= most:
        return ids
    step = len(ids) / most
    return [ids[int(index * step)] for index in range(most)]


async def sample_chunks(probe: Probe, ids: Sequence[int]) -> AsyncIterator[list[GreenletSample]]:
    """Look at greenlets in chunks, giving way to the loop between them."""
    for start in range(0, len(ids), CHUNK):
        yield probe.sample(ids[start : start + CHUNK])
        await asyncio.sleep(0)


class _Group:
    __slots__ = ("count", "ids", "kinds", "oldest", "stack")

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.count = 0
        self.ids: list[str] = []
        self.kinds: dict[str, int] = {}
        self.oldest: float | None = None

    def add(self, id: int, waiting_on: WaitRecord | None, now: float) -> None:
        self.count += 1
        if len(self.ids) < MOST_IDS:
            self.ids.append(ident(id))
        if waiting_on is None:
            return
        self.kinds[waiting_on.kind] = self.kinds.get(waiting_on.kind, 0) + 1
        if waiting_on.since is not None:
            waited = max(0.0, now - waiting_on.since)
            self.oldest = waited if self.oldest is None else max(self.oldest, waited)

    def fields(self) -> dict[str, Any]:
        kinds = sorted(self.kinds.items(), key=lambda item: -item[1])
        waiting_on = [{"kind": safe_text(kind), "count": count} for kind, count in kinds]
        return {
            "count": self.count,
            "oldest": None if self.oldest is None else round(self.oldest, 3),
            "frames": sites(self.stack.frames, self.stack.source),
            "waiting_on": waiting_on,
            "ids": self.ids,
        }


async def group_stacks(probe: Probe, *, clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
    """Group parked greenlets by identical stack, the most numerous first; `oldest` is seconds waited.

    Asynchronous and chunked; does not involve the observed program.
    """
    if "stacks" not in probe.capabilities:
        reason = probe.missing("stacks")
        return {"available": False, "reason": reason, "live": 0, "looked_at": 0, "total": 0, "rows": []}
    live = probe.live_ids()
    ids = pick(live)
    groups: dict[tuple[Site, ...], _Group] = {}
    now = clock()
    async for samples in sample_chunks(probe, ids):
        for sample in samples:
            if sample.state != "waiting":
                continue
            stack = probe.stack(sample.id)
            if stack is None:
                continue
            group = groups.get(stack.frames)
            if group is None:
                group = groups[stack.frames] = _Group(stack)
            group.add(sample.id, sample.waiting_on, now)
    ordered = sorted(groups.values(), key=lambda group: (-group.count, -(group.oldest or 0.0)))
    return {
        "available": True,
        "reason": "",
        "live": len(live),
        "looked_at": len(ids),
        "total": len(ordered),
        "rows": [group.fields() for group in ordered[:MOST_GROUPS]],
    }
