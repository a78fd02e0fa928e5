"""What has happened, within bounds: the latest events, the finished greenlets, a point per second for the charts.

Everything here forgets. The event ring keeps the newest 10,000 events or 8 MiB, whichever is less, and
knows the number of the oldest that it still has, so that a reader who comes back too late is told. Finished
greenlets are kept by count and by age, and those that failed longer than those that succeeded: a failure is
what somebody comes back for. Charts have one point per second for ten minutes.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from greenscope.app.lives import Life
from greenscope.app.model import Event, GreenletRecord

#: bytes that an event's record takes beside its texts (measured, rounded up)
_ENTRY_BYTES: Final = 400


class Entry:
    """A numbered event. Its JSON is made when somebody wants it, and then kept."""

    __slots__ = ("event", "fields", "json", "kind", "record", "seq", "t", "weight")

    def __init__(
        self,
        seq: int,
        kind: str,
        t: float,
        event: Event | None = None,
        record: GreenletRecord | None = None,
        fields: dict[str, Any] | None = None,
    ) -> None:
        self.seq = seq
        self.kind = kind
        self.t = t
        self.event = event
        self.record = record
        self.fields = fields
        self.json: str | None = None
        self.weight = _ENTRY_BYTES
        if event is not None:
            if event.exception is not None:
                self.weight += len(event.exception.message)
            if event.detail:
                self.weight += _ENTRY_BYTES
            if event.record is not None:
                self.weight += len(event.record.name)
        elif fields is not None:
            self.weight += 2 * _ENTRY_BYTES


class EventRing:
    """The newest events; numbers are consecutive, so a number tells at once whether it is still there."""

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self.limit = limit
        self.limit_bytes = limit_bytes
        self.bytes = 0
        self.last_seq = 0
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def first_seq(self) -> int:
        """The number of the oldest event that is still here (one past the last when there is none)."""
        return self.last_seq - len(self._entries) + 1

    def append(self, entry: Entry) -> None:
        """Add the next event; the oldest go when a bound is passed. Its number must be the next one."""
        self.last_seq = entry.seq
        entries = self._entries
        entries.append(entry)
        self.bytes += entry.weight
        while len(entries) > self.limit or (self.bytes > self.limit_bytes and len(entries) > 1):
            self.bytes -= entries.popleft().weight

    def weigh(self, entry: Entry, json: str) -> None:
        """Keep an event's JSON and count its bytes."""
        entry.json = json
        if entry.seq >= self.first_seq:
            self.bytes += len(json)
            entry.weight += len(json)

    def after(self, seq: int) -> list[Entry]:
        """Return the events numbered above `seq`, oldest first; cheap when they are few."""
        count = max(0, min(self.last_seq - seq, len(self._entries)))
        newest = list(islice(reversed(self._entries), count))
        newest.reverse()
        return newest

    def newest_first(self) -> Iterator[Entry]:
        """Go through the events from the newest back."""
        return reversed(self._entries)


class Retention:
    """Finished greenlets.

    Successes and kills go first, at most `limit` or `age` seconds; failures last longer.
    """

    def __init__(self, limit: int, age: float, failures_age: float) -> None:
        self.limit = limit
        self.age = age
        self.failures_age = failures_age
        self._others: dict[int, Life] = {}
        self._failures: dict[int, Life] = {}

    def __len__(self) -> int:
        return len(self._others) + len(self._failures)

    def __iter__(self) -> Iterator[Life]:
        yield from self._failures.values()
        yield from self._others.values()

    def get(self, id: int) -> Life | None:
        """Return a finished greenlet that is still kept."""
        return self._failures.get(id) or self._others.get(id)

    def of_states(self, states: frozenset[str]) -> list[Life]:
        """Return those that ended in one of these states."""
        found = list(self._failures.values()) if "failed" in states else []
        if {"succeeded", "killed"} <= states:
            found += self._others.values()
        elif not states.isdisjoint({"succeeded", "killed"}):
            found += [life for life in self._others.values() if life.state in states]
        return found

    def add(self, life: Life) -> list[Life]:
        """Keep a finished greenlet; return those that had to go for it."""
        store = self._failures if life.state == "failed" else self._others
        store[life.record.id] = life
        gone: list[Life] = []
        while len(self) > self.limit:
            # failures may take up to four fifths of the room, a wave of them not all
            from_others = len(self._others) > self.limit // 5 or not self._failures
            gone.append(_pop_oldest(self._others if from_others else self._failures))
        return gone

    def expire(self, now: float) -> list[Life]:
        """Forget what is too old; return it."""
        gone: list[Life] = []
        for store, age in ((self._others, self.age), (self._failures, self.failures_age)):
            while store:
                oldest = next(iter(store.values()))
                if oldest.ended is None or oldest.ended > now - age:
                    break
                gone.append(_pop_oldest(store))
        return gone


def _pop_oldest(store: dict[int, Life]) -> Life:
    return store.pop(next(iter(store)))


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
