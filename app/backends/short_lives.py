"""How many of the greenlets that come and go between two looks are told one by one; the others are only counted.

A burst must not make the observer the program's heaviest part, so no more are told than a person could follow. Up to
SHORT_RATE a second everything is told, as for a server under an everyday load; of a crowd, more than CROWD a
second, so few that what is told of it costs next to nothing: nobody follows those. The native probe counts for all hubs
together, gevent's for each, since that one's hooks decide, each in its own thread.
"""

#: short lives told a second, and at once
SHORT_RATE, SHORT_BURST = 250, 500
#: lives a second that make a crowd, and the part of SHORT_RATE that is told of one
CROWD, CROWD_SHARE = 1_000, 0.1
#: seconds over which they are counted, at least: a few at one moment are no crowd
_COUNTED_OVER = 0.25


def crowd_of(lives: float, seconds: float) -> float:
    """Return how many a second so many in some seconds are."""
    return lives / max(seconds, _COUNTED_OVER)


def short_lives(rate: float, crowd: float, seconds: float) -> float:
    """Return how many more may be told after some seconds, at `rate` a second, where `crowd` a second come."""
    return rate * seconds * (CROWD_SHARE if crowd > CROWD else 1.0)


class Allowance:
    """How many short lives may still be told, and how many were only counted; written by hooks, read per tick.

    Each step is one that the interpreter does not divide, so that no thread loses another one's count.
    """

    __slots__ = ("_members", "left", "shed")

    def __init__(self, left: float = SHORT_BURST) -> None:
        self.left = left
        #: all that were ever counted
        self.shed = 0
        #: of those that were in groups, by the numbers of these
        self._members: dict[tuple[int, ...], int] = {}

    def count_members(self, into: list[tuple[int, ...] | None]) -> None:
        """Count lives by the groups that each was in (None: in none)."""
        if into.count(into[0]) == len(into):
            self._count(into[0], len(into))
            return
        for groups in into:
            self._count(groups, 1)

    def _count(self, groups: tuple[int, ...] | None, lives: int) -> None:
        while groups:
            try:
                self._members[groups] += lives
                return
            except KeyError:  # the first since they were taken
                self._members.setdefault(groups, 0)

    def take_members(self) -> list[tuple[tuple[int, ...], int]]:
        """Return how many were counted of which groups since the last time."""
        return [(groups, self._members.pop(groups, 0)) for groups in list(self._members)]
