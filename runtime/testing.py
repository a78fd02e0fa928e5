"""Tools for tests: a seeded scheduler and a virtual clock.

    from greenscope.runtime import testing

    def test_worker_gives_up():
        testing.run(worker_gives_up)            # an hour of sleep takes no time, any order of turns may come

Which of the ready greenlets has its turn first is nobody's promise. The seeded
scheduler takes another order in every turn, made from a seed that a failing test
prints; with that seed the same turns come again. The virtual clock stands still while
anything is ready and jumps to the next timer when nothing is. So a test needs no real
sleep, and a race that waits for its moment is found in hundreds of runs a second.

Both work on the hub of the thread that enters them and leave it as it was. What waits
for a descriptor or another thread waits in real time, and virtual time then stands
still for as long as `patience` seconds: a sleeping thread is not overtaken by a timer.
"""

import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from greenscope.runtime.greenlet import Greenlet
from greenscope.runtime.hub import Hub, get_hub
from greenscope.runtime.turns import poll

__all__ = ["SeededScheduler", "VirtualClock", "run", "seeded_scheduler", "virtual_clock"]

_T = TypeVar("_T")


class SeededScheduler:
    """Shuffles the ready greenlets of each turn; callbacks keep their order, as gevent promises it for them."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
        self._random = random.Random(self.seed)

    def __call__(self, ready: deque[Any]) -> None:
        """Take another order; called by the hub. Other threads may append meanwhile, so only what is there moves."""
        entries = list(ready)
        places = [i for i, entry in enumerate(entries) if hasattr(entry, "gr_frame")]
        if len(places) > 1:
            moved = [entries[i] for i in places]
            self._random.shuffle(moved)
            for place, entry in zip(places, moved, strict=True):
                entries[place] = entry
            for _ in entries:
                ready.popleft()
            ready.extendleft(reversed(entries))

    def __repr__(self) -> str:
        return f"<SeededScheduler seed={self.seed}>"


class VirtualClock:
    """A clock that jumps to the next timer as soon as nothing is ready. Seconds; starts at `start`."""

    def __init__(self, start: float = 0.0, patience: float = 0.05) -> None:
        self._now = start
        #: real seconds for which descriptors and other threads may hold time still before it jumps
        self.patience = patience
        #: how often it jumped
        self.jumps = 0

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once; timers that are due then fire in the hub's next turn. Does not block."""
        if seconds < 0:
            raise ValueError(f"seconds must not be negative, a clock never goes back: {seconds}")
        self._now += seconds

    def sleep(self, hub: Hub, deadline: float | None) -> None:
        """Stand in for the hub's sleep: look at what comes from outside, then jump."""
        outside = bool(hub.poller.refs or hub.holds)
        if deadline is None:
            poll(hub, None)
            return
        if deadline > self._now:
            poll(hub, self.patience if outside else 0.0)
            if not (hub.ready or hub.finished or hub.link_calls):
                self.jumps += 1
                self._now = max(self._now, deadline)

    def __repr__(self) -> str:
        return f"<VirtualClock at {self._now:.6f}>"


@contextmanager
def seeded_scheduler(seed: int | None = None) -> Iterator[SeededScheduler]:
    """Shuffle every turn of this thread's hub inside the `with` block; when that raises, print the seed to stderr."""
    hub = get_hub()
    scheduler = SeededScheduler(seed)
    before, hub._shuffle = hub._shuffle, scheduler
    try:
        yield scheduler
    except BaseException:
        print(f"greenscope: the order of turns came from seed {scheduler.seed}", file=sys.stderr)
        raise
    finally:
        hub._shuffle = before


@contextmanager
def virtual_clock(start: float | None = None, patience: float = 0.05) -> Iterator[VirtualClock]:
    """Put this thread's hub on a virtual clock inside the `with` block (default: from the hub's own time on).

    Timers that were set before count by it, too. On leaving, timers still pending keep the time that was left to them.
    """
    hub = get_hub()
    real = hub.clock
    entered = real()
    clock = VirtualClock(entered if start is None else start, patience)
    began = clock()
    hub.timers.shift(began - entered)
    hub.clock = clock
    outer = vars(hub).get("_sleep")
    hub._sleep = lambda deadline: clock.sleep(hub, deadline)  # type: ignore[method-assign]
    try:
        yield clock
    finally:
        if outer is None:
            del hub._sleep
        else:
            hub._sleep = outer  # type: ignore[method-assign]
        hub.clock = real
        hub.timers.shift(real() - clock())


def run(function: Callable[..., _T], *args: Any, seed: int | None = None, clock: str = "virtual", **kwargs: Any) -> _T:
    """Return `function(*args, **kwargs)`, run in a new greenlet under the seeded scheduler. Blocks; main greenlet.

    `clock` is "virtual" or "real". Raises what the function raises, after the seed was printed to stderr, and LoopExit
    when it can never end.
    """
    if clock not in ("virtual", "real"):
        raise ValueError(f'clock must be "virtual" or "real", not {clock!r}')
    with ExitStack() as stack:
        stack.enter_context(seeded_scheduler(seed))
        if clock == "virtual":
            stack.enter_context(virtual_clock())
        greenlet = _Tested(function, *args, **kwargs)
        greenlet.start()
        try:
            value: _T = greenlet.get()
        finally:
            greenlet.kill()
        return value


class _Tested(Greenlet):
    """The greenlet of run(): its error is raised there, so it is not reported on stderr."""

    def _report_error(self, error: BaseException, tb: Any) -> None:
        pass
