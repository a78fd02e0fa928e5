"""Deadlines in a heap: what the hub sleeps for.

Entries are tuples, so that the heap compares floats in C. A cancelled timer stays in
the heap until its deadline or until cancelled ones are more than half of it; then the
heap is rebuilt, so memory is bounded by twice the number of pending timers.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

#: fewer cancelled timers than this are never worth a rebuild
REBUILD_ABOVE = 512


class Timer:
    """A callback at a deadline. `ref=False`: does not keep the loop alive by itself."""

    __slots__ = ("args", "deadline", "function", "ref", "timers")

    #: what a greenlet that sleeps until this timer is shown to wait for
    waits_as = "sleep"

    def __init__(self, timers: "Timers", deadline: float, function: Callable[..., Any], args: Any, ref: bool):
        self.timers = timers
        self.deadline = deadline
        self.function: Callable[..., Any] | None = function
        self.args = args
        self.ref = ref

    @property
    def pending(self) -> bool:
        """True until it fires or is cancelled."""
        return self.function is not None

    def cancel(self) -> None:
        """Make sure that it never fires (any more). Idempotent."""
        if self.function is not None:
            self.function = None
            self.args = ()
            timers = self.timers
            timers.cancelled += 1
            if self.ref:
                timers.refs -= 1
            if timers.cancelled > REBUILD_ABOVE and timers.cancelled * 2 > len(timers.heap):
                timers.rebuild()

    def __repr__(self) -> str:
        return f"<Timer at {self.deadline:.6f}{'' if self.pending else ' done'}>"


class LateTimer(Timer):
    """The timer of a Timeout, which gives way to what has made its greenlet ready in time."""

    __slots__ = ("waited",)
    #: it has given way once, and need not do so again; False when it is pushed
    waited: bool


#: deadline, serial number and timer: what is in the heap
Entry = tuple[float, int, Timer]


class Timers:
    """The timers of one hub. Deadlines are in seconds of the hub's clock."""

    __slots__ = ("cancelled", "heap", "held", "refs", "serial")

    def __init__(self) -> None:
        self.heap: list[Entry] = []
        #: what is due and waits for the next turn, while one lasts
        self.held: list[Entry] = []
        self.serial = 0
        #: pending timers that keep the loop alive
        self.refs = 0
        self.cancelled = 0

    def add(self, deadline: float, function: Callable[..., Any], args: Any = (), ref: bool = True) -> Timer:
        """Call `function(*args)` in the hub once its clock has reached `deadline`; equal ones in order of adding."""
        timer = Timer(self, deadline, function, args, ref)
        self.push(timer)
        return timer

    def push(self, timer: Timer) -> None:
        """Put a timer made for these timers into the heap. Raises ValueError for a deadline that is no number."""
        if timer.deadline != timer.deadline:
            raise ValueError("seconds must be a number, not nan: it would never be over")
        self.serial = serial = self.serial + 1
        heappush(self.heap, (timer.deadline, serial, timer))
        if timer.ref:
            self.refs += 1

    def next_deadline(self) -> float | None:
        """Return the earliest pending deadline, dropping cancelled ones from the top."""
        heap = self.heap
        while heap:
            if heap[0][2].function is not None:
                return heap[0][0]
            heappop(heap)
            self.cancelled -= 1
        return None

    def next_due(self, now: float, last: int) -> Timer | None:
        """Return the earliest timer whose deadline has come (None: no such); take() or hold() it.

        Those added after serial number `last` are for the next turn: one that adds itself again must not starve others.
        """
        heap = self.heap
        while heap and heap[0][0] <= now:
            if heap[0][1] > last:
                return None
            timer = heap[0][2]
            if timer.function is not None:
                return timer
            heappop(heap)
            self.cancelled -= 1
        return None

    def take(self) -> Callable[..., Any]:
        """Take the earliest timer, which is pending, out of the heap, and return what it is to call."""
        timer = heappop(self.heap)[2]
        function = timer.function
        assert function is not None
        timer.function = None
        timer.args = ()
        if timer.ref:
            self.refs -= 1
        return function

    def hold(self) -> None:
        """Lay the earliest timer aside until put_back(): it counts, and can be cancelled, as if it were in the heap."""
        self.held.append(heappop(self.heap))

    def put_back(self) -> None:
        """Put back what was laid aside; again, when a signal has cut that short."""
        for entry in self.held:
            heappush(self.heap, entry)
        self.held.clear()

    def shift(self, seconds: float) -> None:
        """Move every deadline by `seconds`, for a clock that is set."""
        for entries in (self.heap, self.held):
            for _, _, timer in entries:
                timer.deadline += seconds
            entries[:] = [(deadline + seconds, serial, timer) for deadline, serial, timer in entries]

    def rebuild(self) -> None:
        """Drop all cancelled timers."""
        for entries in (self.heap, self.held):
            entries[:] = [entry for entry in entries if entry[2].function is not None]
        heapify(self.heap)
        self.cancelled = 0

    def __len__(self) -> int:
        return max(0, len(self.heap) + len(self.held) - self.cancelled)  # another thread may ask while any changes
