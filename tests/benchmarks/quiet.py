"""Tell the moments when a machine is quiet: a core is shared with neighbours that nobody here sees or can stop.

They come and go within seconds and make everything up to twice as slow, and bounds in microseconds mean nothing then.
So a loop that takes some milliseconds is timed before each round of a measurement and after it (`pace`): a round counts
when both times are close to the best that was seen at all.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

#: how much slower than at its best the loop is at most when the machine is quiet
QUIET = 1.15
#: turns of the loop: some milliseconds
TURNS = 40_000

clock = time.perf_counter


def pace() -> float:
    """Return what one turn of the loop takes now, us."""
    now = time.monotonic
    total = 0.0
    began = clock()
    for _ in range(TURNS):
        total += now()
    return (clock() - began) / TURNS * 1e6


def best_pace(seconds: float = 3.0) -> float:
    """Return the best pace within some seconds, us."""
    end = clock() + seconds
    best = pace()
    while clock() < end:
        best = min(best, pace())
    return best


@dataclass(frozen=True, slots=True)
class Round:
    """A figure, and the slower of the paces before and after it."""

    figure: float
    pace: float


class Rounds:
    """The rounds of one measurement."""

    def __init__(self, best: float) -> None:
        self.best = best
        self._rounds: list[Round] = []

    def measure(self, work: Callable[[], float]) -> None:
        """Do one round."""
        before = pace()
        figure = work()
        after = pace()
        self._rounds.append(Round(figure, max(before, after)))
        self.best = min(self.best, before, after)

    def quiet(self) -> list[float]:
        """Return the figures of the rounds that were quiet."""
        return [one.figure for one in self._rounds if one.pace <= self.best * QUIET]

    def all(self) -> list[float]:
        """Return the figures of all rounds."""
        return [one.figure for one in self._rounds]
