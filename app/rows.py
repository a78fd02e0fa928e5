"""Rows of the greenlets that are shown: the same ones, four times a second.

A table asks for the same few hundred rows again and again, and of each only some figures differ. `Rows`
keeps what was made of a greenlet's birth, its place and its wait, and makes a new row by copying and
filling in; a row of an ended one is kept whole. The nested values are shared between copies, so whoever
gets a row may replace its fields, but not change what is in them.
"""

from typing import Any

from greenscope.app.breath import breathe
from greenscope.app.formatting import Clock, duration, site, waiting
from greenscope.app.lives import Life
from greenscope.app.model import Site, WaitRecord


class _Kept:
    __slots__ = ("begun", "final", "groups", "place", "place_fields", "row", "waiting", "waiting_fields")

    def __init__(self, life: Life, row: dict[str, Any]) -> None:
        sample = life.sample
        self.row = row
        self.begun = life.started
        self.final = life.final
        self.groups = life.groups
        self.place: Site | None = sample.place if sample else None
        self.place_fields = row["place"]
        self.waiting: WaitRecord | None = sample.waiting_on if sample else None
        self.waiting_fields = row["waiting_on"]


class Rows:
    """Makes rows, and keeps the parts of at most `limit` of them."""

    def __init__(self, clock: Clock, pid: int, limit: int = 4_000) -> None:
        self._clock = clock
        self._pid = pid
        self._limit = limit
        self._kept: dict[int, _Kept] = {}

    def make(self, life: Life, now: float) -> dict[str, Any]:
        """Return the row of a greenlet as last seen; `now` is the monotonic second that `age` is told for."""
        breathe()
        kept = self._kept.get(life.record.id)
        if kept is None or kept.begun != life.started or kept.final != life.final or kept.groups != life.groups:
            row = life.row(self._clock, now, self._pid)
            if len(self._kept) >= self._limit:
                self._kept.clear()
            self._kept[life.record.id] = _Kept(life, row)
            return row.copy()
        row = kept.row.copy()
        if life.final is not None:
            return row
        row["state"] = life.state
        row["age"] = duration(now - life.record.created)
        sample = life.sample
        if sample is None:
            return row
        if sample.place is not kept.place and sample.place != kept.place:
            kept.place, kept.place_fields = sample.place, site(sample.place)
        if sample.waiting_on is not kept.waiting and sample.waiting_on != kept.waiting:
            kept.waiting, kept.waiting_fields = sample.waiting_on, waiting(sample.waiting_on, self._clock)
        row["place"] = kept.place_fields
        row["waiting_on"] = kept.waiting_fields
        row["run_time"] = duration(sample.run_time)
        row["ready_time"] = duration(sample.ready_time)
        row["wait_time"] = duration(sample.wait_time)
        row["switches"] = sample.switches
        row["longest_run"] = duration(sample.longest_run)
        return row
