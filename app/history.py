"""What has happened, within bounds: the latest events, and the finished greenlets.

Everything here forgets. The event ring keeps the newest 10,000 events or 8 MiB, whichever is less, and
knows the number of the oldest that it still has, so that a reader who comes back too late is told. Finished
greenlets are kept by count and by age, and those that failed longer than those that succeeded: a failure is
what somebody comes back for.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
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
        # ordered ones: to find its first key, a dict goes past the places of all that were deleted before
        self._others: OrderedDict[int, Life] = OrderedDict()
        self._failures: OrderedDict[int, Life] = OrderedDict()

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
            gone.append((self._others if from_others else self._failures).popitem(last=False)[1])
        return gone

    def discard(self, which: Callable[[int], bool]) -> None:
        """Forget those whose id is meant."""
        for store in (self._failures, self._others):
            for id in [id for id in store if which(id)]:
                del store[id]

    def expire(self, now: float) -> list[Life]:
        """Forget what is too old; return it."""
        gone: list[Life] = []
        for store, age in ((self._others, self.age), (self._failures, self.failures_age)):
            while store:
                oldest = next(iter(store.values()))
                if oldest.ended is None or oldest.ended > now - age:
                    break
                gone.append(store.popitem(last=False)[1])
        return gone
