"""Figures over time: how fast totals grow, and a point per second for the charts.

Rates are differences of totals over the last seconds, so an event that was counted is in exactly one
second, however late a tick was. Charts keep ten minutes as columns, in the form in which they are drawn.
"""

from collections import deque
from collections.abc import Iterable


class Meter:
    """Totals that only grow, and how fast they grew over the last seconds."""

    def __init__(self, names: Iterable[str], span: float = 12.0) -> None:
        self.totals = dict.fromkeys(names, 0)
        self._span = span
        self._marks: deque[tuple[float, tuple[int, ...]]] = deque()

    def mark(self, now: float) -> None:
        """Remember the totals of now; once per tick."""
        self._marks.append((now, tuple(self.totals.values())))
        while len(self._marks) > 2 and self._marks[1][0] <= now - self._span:
            self._marks.popleft()

    def rates(self, seconds: float) -> dict[str, float]:
        """Return each total's growth per second over about the last `seconds`."""
        if len(self._marks) < 2:
            return dict.fromkeys(self.totals, 0.0)
        end, last = self._marks[-1]
        begin, first = self._marks[0]
        for t, totals in reversed(self._marks):
            if t <= end - seconds + 1e-9:
                begin, first = t, totals
                break
        span = max(end - begin, 1e-9)
        return {name: round((b - a) / span, 2) for name, a, b in zip(self.totals, first, last, strict=True)}


class Series:
    """One point per second, as columns that a chart takes as they are. `t` is seconds since 1970."""

    def __init__(self, columns: Iterable[str], limit: int) -> None:
        self.columns = ("t", *columns)
        self._points: deque[tuple[float | None, ...]] = deque(maxlen=limit)

    def __len__(self) -> int:
        return len(self._points)

    def add(self, t: float, values: dict[str, float | None]) -> None:
        """Add a point; a column without a value is a hole in its line."""
        self._points.append((t, *(values.get(name) for name in self.columns[1:])))

    def newest(self) -> dict[str, float | None] | None:
        """Return the newest point by column."""
        return dict(zip(self.columns, self._points[-1], strict=True)) if self._points else None

    def data(self, after: float = 0.0) -> dict[str, list[float | None]]:
        """Return the points later than `after` (seconds since 1970), by column."""
        points = [point for point in self._points if point[0] is not None and point[0] > after]
        return {name: [point[index] for point in points] for index, name in enumerate(self.columns)}
