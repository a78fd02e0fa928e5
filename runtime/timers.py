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
    """The timer of a Timeout, which gives way to whatever was due before it, or came from outside."""

    __slots__ = ("waited",)
    #: it has given way once, and need not do so again; False when it is pushed
    waited: bool


#: deadline, serial number and timer: what is in the heap
Entry = tuple[float, int, Timer]


class Timers:
    """The timers of one hub. Deadlines are in seconds of the hub's clock."""

    __slots__ = ("cancelled", "heap", "refs", "serial")

    def __init__(self) -> None:
        self.heap: list[Entry] = []
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

    def pop_due(self, now: float, last: int) -> Entry | None:
        """Take the earliest entry whose deadline has come out of the heap (None: no such); take() or put_back() it.

        Those added after serial number `last` are for the next turn: one that adds itself again must not starve others.
        """
        heap = self.heap
        while heap and heap[0][0] <= now:
            if heap[0][1] > last:
                return None
            entry = heappop(heap)
            if entry[2].function is not None:
                return entry
            self.cancelled -= 1
        return None

    def take(self, timer: Timer) -> Callable[..., Any] | None:
        """Return what a timer that was popped is to call, and let it be done; None when it was cancelled meanwhile."""
        function = timer.function
        if function is None:
            self.cancelled = max(0, self.cancelled - 1)
            return None
        timer.function = None
        timer.args = ()
        if timer.ref:
            self.refs -= 1
        return function

    def put_back(self, entry: Entry) -> None:
        """Put what was popped back to where it was, unless it was cancelled meanwhile."""
        if entry[2].function is None:
            self.cancelled = max(0, self.cancelled - 1)
        else:
            heappush(self.heap, entry)

    def shift(self, seconds: float) -> None:
        """Move every deadline by `seconds`, for a clock that is set."""
        for _, _, timer in self.heap:
            timer.deadline += seconds
        self.heap[:] = [(deadline + seconds, serial, timer) for deadline, serial, timer in self.heap]

    def rebuild(self) -> None:
        """Drop all cancelled timers from the heap."""
        self.heap[:] = [entry for entry in self.heap if entry[2].function is not None]
        heapify(self.heap)
        self.cancelled = 0

    def __len__(self) -> int:
        return max(0, len(self.heap) - self.cancelled)  # another thread may ask while either changes
