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
        #: who of those that were found was looked at before
        self._again: set[int] = set()
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

    def find(self, since: float, most: int, limit: int) -> dict[int, Any]:
        """Return those whose birth is not told, oldest first: those held, then about `most` others at most.

        More when else more than `limit` would be left. It was looked last at `since`.
        """
        waiting = {id: one for id, one in self.held.items() if has_birth(one)}
        waiting.update(self._sweep())
        self._again = set(waiting)
        since, self.more, self._unseen = min(since, self._unseen), 0, inf
        latest = self._latest()
        if len(latest) == LOOKED_AT and any(id > self._old for id, _ in latest[:OLD_IN_A_ROW]):
            ids = self._ids_since()
            most = max(most, len(waiting) + len(ids) - limit)
            latest = [(id, self.alive.get(id)) for id in ids[:most]]
            self.more = len(ids) - len(latest)
            if self.more:
                self._unseen = first_born(map(self.alive.get, ids[most : most + LOOKED_AT]), since)
        self._found = max((id for id, _ in latest), default=0)
        waiting.update(found for found in latest if has_birth(found[1]))
        return waiting

    def look(self, waiting: dict[int, Any], most: int) -> Iterator[tuple[int, Any]]:
        """Go through those that were found; while `most` of them are held, nobody else is looked at but once more."""
        self.held = {}
        for at, (id, one) in enumerate(waiting.items()):
            if id not in self._again:
                if len(self.held) >= most:
                    self._unseen = min(self._unseen, first_born(islice(waiting.values(), at, at + LOOKED_AT), inf))
                    return
                self._old = max(self._old, id)
            yield id, one
        self._old = max(self._old, self._found)

    def _sweep(self) -> list[tuple[int, Any]]:
        """Return those who were looked at before and have a birth, among the next few."""
        if not self._to_sweep:
            self._to_sweep = list(self.alive)
        swept = self._to_sweep[-LOOKED_AT:]
        del self._to_sweep[-LOOKED_AT:]
        found = [(id, self.alive.get(id)) for id in swept if id <= self._old]
        return [(id, one) for id, one in found if has_birth(one)]

    def _latest(self) -> list[tuple[int, Any]]:
        """Return those who were registered last, oldest first."""
        while True:
            try:
                latest = list(islice(reversed(self.alive.items()), LOOKED_AT))
            except RuntimeError:  # somebody was born, or ended, before the look began
                continue
            latest.reverse()
            return latest

    def _ids_since(self) -> list[int]:
        """Return the ids of those who were registered since, in that order, with a few that are old."""
        ids = list(self.alive)
        at = len(ids)
        while at > 0 and max(ids[max(0, at - OLD_IN_A_ROW) : at]) > self._old:
            at -= OLD_IN_A_ROW
        return ids[max(0, at - OLD_IN_A_ROW) :]


def has_birth(one: Any) -> bool:
    """Tell whether its birth is known, and not told; not so of one that is being registered just now, or of None."""
    return getattr(one, "_greenscope_origin", None) is not None


def first_born(some: Iterable[Any], since: float) -> float:
    """Return when the first of some was born, `since` when one lives whose birth is not known, or when nobody does."""
    born = [getattr(one, "_greenscope_born", None) or since for one in some if one is not None]
    return min(born, default=since)
