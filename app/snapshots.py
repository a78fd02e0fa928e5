"""The state as a reader of the stream gets it first: what events tell, gathered at one moment.

Values that never change are gathered at once, which takes milliseconds also for a hundred thousand
greenlets; texts are made of them part by part, while later events are applied already. What is told is what
events tell, no more, so that a reader who applies the later events has what the feed has.
"""

from collections.abc import Iterator
from typing import Any

from greenscope.app.feed import Feed
from greenscope.app.formatting import safe_text
from greenscope.app.wanted import SnapshotMode


def snapshot_parts(feed: Feed, mode: SnapshotMode, rows: int) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield the state of now, in parts of so many rows, and whether a part is the last.

    What events tell is gathered when the first part is asked for.
    """
    population, clock, seq = feed.population, feed.clock, feed.seq
    cores = [life.core() for life in population.lives.values()] if mode == "full" else []
    head: dict[str, Any] = {
        "t": clock.rfc3339(feed.now),
        "totals": {"spawned": population.spawned, **population.ended},
        "groups": {
            str(band.id): {"name": safe_text(band.name), "kind": band.kind, "size": band.size}
            for band in population.bands.values()
        },
    }
    parts = max(1, -(-len(cores) // rows))
    for part in range(parts):
        greenlets = {
            str(record.id): {
                "name": safe_text(record.name),
                "function": safe_text(record.function),
                "state": "started" if begun else "pending",
                "created": clock.rfc3339(record.created),
                "started": clock.rfc3339(started),
                "groups": [str(group) for group in groups],
                "kill_requested": clock.rfc3339(kill_requested),
            }
            for record, begun, started, groups, kill_requested in cores[part * rows : (part + 1) * rows]
        }
        value = {"seq": seq, "part": part + 1, "parts": parts, **(head if part == 0 else {}), "greenlets": greenlets}
        yield value, part + 1 == parts
