"""Who among the living was born since it was looked last: a bounded number at a time, and nobody is missed.

    alive, in order of registration:   looked at ........ | not looked at yet .......... newest
                                       ^ swept, a part     ^ found from the end, backwards
                                         in each look

Ids do not tell the order: a thread takes one, and another thread may register many before the first one goes on. So it
is looked on until many in a row are old. And who is registered may be without its birth when it is looked at, as its
thread was stopped there: what was looked at is swept again, part by part, for such as that.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from math import inf
from typing import Any

#: so many are looked at from the end first, and swept
LOOKED_AT = 1_000
#: so many in a row that are old are the end of what is new
OLD_IN_A_ROW = 100


class Newborn:
    """Finds those in the registry `alive` whose birth is not told."""

    def __init__(self, alive: dict[int, Any]) -> None:
        self.alive = alive
        #: who was looked at and is left for the next time
        self.held: dict[int, Any] = {}
        #: how many were not looked at, at least
        self.more = 0
        #: nobody of those was born before that, in monotonic seconds
        self._unseen = inf
        #: the greatest id among those that were looked at, and among those that were found
        self._old = self._found = 0
        #: who of those that were found was looked at before, oldest first
        self._again: dict[int, None] = {}
        #: whom to sweep next
        self._to_sweep: list[int] = []

    @property
    def until(self) -> float:
        """Whoever is left was born then or later."""
        return min(first_born(self.held.values(), inf), self._unseen)

    def forget(self) -> None:
        """Forget whoever is left."""
        self.held.clear()
        self._to_sweep.clear()
        self._again.clear()
        self.more, self._unseen = 0, inf

    def find(self, since: float, most: int, limit: int) -> list[int]:
        """Return the ids of those whose birth may not be told, oldest first: those held, then `most` others at most.

        More when else more than `limit` would be left. It was looked last at `since`.
        """
        held = [id for id, one in self.held.items() if has_birth(one)]
        self._again = dict.fromkeys([*held, *self._sweep()])
        since, self.more, self._unseen = min(since, self._unseen), 0, inf
        latest = self._latest()
        if len(latest) == LOOKED_AT and any(id > self._old for id in latest[:OLD_IN_A_ROW]):
            ids = self._ids_since()
            most = max(most, len(self._again) + len(ids) - limit)
            latest = ids[:most]
            self.more = len(ids) - len(latest)
            if self.more:
                self._unseen = first_born(map(self.alive.get, ids[most : most + LOOKED_AT]), since)
        self._found = max(latest, default=0)
        return [*self._again, *latest]

    def look(self, ids: list[int], most: int) -> Iterator[tuple[int, Any]]:
        """Go through those that were found; while `most` of them are held, nobody else is looked at but once more.

        A crowd is long, and by far the most of it is not looked at: so each is fetched when its turn has come.
        """
        held, self.held = self.held, {}
        again, find = self._again.copy(), self.alive.get
        for at, id in enumerate(ids):
            one = find(id)
            if id in self._again:
                if id not in again:
                    continue
                del again[id]  # it may be among the latest as well
                if not has_birth(one):
                    if one is None and has_birth(held.get(id)):  # its end is being noted, its birth with it
                        self._unseen = min(self._unseen, first_born([held[id]], inf))
                    continue
            elif len(self.held) >= most:
                left = filter(has_birth, map(find, islice(ids, at, None)))
                self._unseen = min(self._unseen, first_born(islice(left, LOOKED_AT), inf))
                return
            else:
                self._old = max(self._old, id)
                if not has_birth(one):
                    continue
            yield id, one
        self._old = max(self._old, self._found)

    def _sweep(self) -> list[int]:
        """Return the ids of those who were looked at before and have a birth, among the next few."""
        if not self._to_sweep:
            self._to_sweep = list(self.alive)
        swept = self._to_sweep[-LOOKED_AT:]
        del self._to_sweep[-LOOKED_AT:]
        return [id for id in swept if id <= self._old and has_birth(self.alive.get(id))]

    def _latest(self) -> list[int]:
        """Return the ids of those who were registered last, oldest first."""
        while True:
            try:
                latest = list(islice(reversed(self.alive), LOOKED_AT))
            except RuntimeError:  # somebody was born, or ended, before the look began
                continue
            latest.reverse()
            return latest

    def _ids_since(self) -> list[int]:
        """Return the ids of those who were registered since, in that order, with a few that are old.

        Where many in a row are old, everybody before them is, so the place is found by halves.
        """
        ids = list(self.alive)
        first, last = 0, len(ids) // OLD_IN_A_ROW  # in full rows: `first` is old, or the first of all; `last` is new
        while last - first > 1:
            row = (first + last) // 2
            if max(ids[row * OLD_IN_A_ROW : (row + 1) * OLD_IN_A_ROW]) > self._old:
                last = row
            else:
                first = row
        return ids[first * OLD_IN_A_ROW :]


def has_birth(one: Any) -> bool:
    """Tell whether its birth is known, and not told; not so of one that is being registered just now, or of None."""
    return getattr(one, "_greenscope_origin", None) is not None


def first_born(some: Iterable[Any], since: float) -> float:
    """Return when the first of some was born, `since` when one lives whose birth is not known, or when nobody does."""
    born = [getattr(one, "_greenscope_born", None) or since for one in some if one is not None]
    return min(born, default=since)
