"""The state as a reader of the stream gets it first: what events tell, gathered at one moment.

Values that never change are gathered at once, which takes milliseconds also for a hundred thousand
greenlets; texts are made of them part by part, while later events are applied already. What is told is what
events tell, no more, so that a reader who applies the later events has what the feed has.
"""

from collections.abc import Iterator
from typing import Any, Final

from greenscope.app.feed import Feed
from greenscope.app.formatting import ident, safe_text
from greenscope.app.sse import frame
from greenscope.app.wanted import SnapshotMode

#: snapshots of at most so many greenlets are kept for others who come at the same moment
SHARED_ROWS: Final = 5_000


class Snapshots:
    """Snapshots as frames; made once for all who begin at the same number, as after a restart of many pages."""

    def __init__(self, feed: Feed, rows: int) -> None:
        self._feed = feed
        self._rows = rows
        self._kept: dict[SnapshotMode, tuple[str, list[bytes], Iterator[bytes]]] = {}

    def frames(self, mode: SnapshotMode) -> Iterator[bytes]:
        """Return the frames of the state of now; each is made when it is asked for."""
        id = f"{self._feed.epoch}-{self._feed.seq}"
        if len(self._feed.population.lives) > SHARED_ROWS:
            self._kept.clear()
            return self._make(mode, id)
        kept = self._kept.get(mode)
        if kept is None or kept[0] != id:
            kept = self._kept[mode] = (id, [], self._make(mode, id))
        return _share(kept[1], kept[2])

    def _make(self, mode: SnapshotMode, id: str) -> Iterator[bytes]:
        for value, is_last in snapshot_parts(self._feed, mode, self._rows):
            yield frame("snapshot", value, id if is_last else "")


def _share(made: list[bytes], source: Iterator[bytes]) -> Iterator[bytes]:
    """Go through frames that others may have asked for already."""
    index = 0
    while True:
        if index == len(made):
            found = next(source, None)
            if found is None:
                return
            made.append(found)
        yield made[index]
        index += 1


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
            ident(band.id): {"name": safe_text(band.name), "kind": band.kind, "size": band.size}
            for band in population.bands.values()
        },
    }
    parts = max(1, -(-len(cores) // rows))
    for part in range(parts):
        greenlets = {
            ident(record.id): {
                "name": safe_text(record.name),
                "function": safe_text(record.function),
                "state": "started" if begun else "pending",
                "created": clock.rfc3339(record.created),
                "started": clock.rfc3339(started),
                "groups": [ident(group) for group in groups],
                "kill_requested": clock.rfc3339(kill_requested),
            }
            for record, begun, started, groups, kill_requested in cores[part * rows : (part + 1) * rows]
        }
        value = {"seq": seq, "part": part + 1, "parts": parts, **(head if part == 0 else {}), "greenlets": greenlets}
        yield value, part + 1 == parts
