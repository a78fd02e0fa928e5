"""Where the greenlets of many processes stand: each process groups its own stacks, and equal groups are added up.

Frames are read where they are, in the process, and only what differs comes over the wire: of ten thousand that stand at
one line, one stack.
"""

import asyncio
from typing import Any

from greenscope.app.backends.merged import MergedProbe
from greenscope.app.backends.merged_worker import Worker
from greenscope.app.stacks import MOST_GROUPS, MOST_IDS
from greenscope.app.unix_client import ask

_Row = dict[str, Any]


async def merge_stacks(probe: MergedProbe) -> dict[str, Any]:
    """Return what `group_stacks` does, over all processes that answer."""
    if "stacks" not in probe.capabilities:
        reason = probe.missing("stacks")
        return {"available": False, "reason": reason, "live": 0, "looked_at": 0, "total": 0, "rows": []}
    workers = probe.live_workers()
    answers = await asyncio.gather(*map(_ask, workers))
    groups: dict[tuple[tuple[Any, ...], ...], _Row] = {}
    live = looked_at = 0
    for worker, answer in zip(workers, answers, strict=True):
        live += int(answer.get("live", 0))
        looked_at += int(answer.get("looked_at", 0))
        for row in answer.get("rows", ()):
            row["ids"] = [f"{worker.pid}-{id}" for id in row["ids"]]
            key = tuple((frame["file"], frame["line"], frame["function"]) for frame in row["frames"])
            known = groups.get(key)
            if known is None:
                groups[key] = row
            else:
                _add(known, row)
    ordered = sorted(groups.values(), key=lambda row: (-row["count"], -(row["oldest"] or 0.0)))
    silent = len(workers) - sum(map(bool, answers))
    return {
        "available": True,
        "reason": f"{silent} of {len(workers)} processes did not answer" if silent else "",
        "live": live,
        "looked_at": looked_at,
        "total": len(ordered),
        "rows": ordered[:MOST_GROUPS],
    }


async def _ask(worker: Worker) -> dict[str, Any]:
    """Return a process' own answer (empty: it gave none)."""
    try:
        status, answer = await ask(worker.path, "GET", "/api/stacks")
    except OSError:
        return {}
    return answer if status == 200 and isinstance(answer, dict) else {}


def _add(known: _Row, row: _Row) -> None:
    known["count"] += row["count"]
    known["ids"] = [*known["ids"], *row["ids"]][:MOST_IDS]
    ages = [age for age in (known["oldest"], row["oldest"]) if age is not None]
    known["oldest"] = max(ages, default=None)
    kinds = {wait["kind"]: wait["count"] for wait in known["waiting_on"]}
    for wait in row["waiting_on"]:
        kinds[wait["kind"]] = kinds.get(wait["kind"], 0) + wait["count"]
    ordered = sorted(kinds.items(), key=lambda item: -item[1])
    known["waiting_on"] = [{"kind": kind, "count": count} for kind, count in ordered]
