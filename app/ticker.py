"""Work that is done on a tick, in steps: when it is done, how it lets others go on, who is told.

What happens between two ticks is worked off together and told once, however much it was: an aggregator that woke per
event would observe itself. A tick may take long, so its work is a generator of steps. `run` lets the event loop go on
between them, `tick` does all at once for callers that have no loop; while one tick is under way another one does
nothing.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from greenscope.app.breath import HOLD, breathe
from greenscope.app.selection import Steps


class Ticker(ABC):
    """Does the work of its subclass every `interval` seconds, by a clock of monotonic seconds. For one thread only."""

    def __init__(self, interval: float, clock: Callable[[], float]) -> None:
        self.interval = interval
        self._monotonic = clock
        self._subscribers: dict[int, Callable[[], None]] = {}
        self._next_subscriber = 0
        self._closed = False
        self._wake: asyncio.Event | None = None
        self._ticking = False
        self._ticked = float("-inf")

    @abstractmethod
    def _work_steps(self) -> Steps:
        """Do the work of one tick."""

    @abstractmethod
    def _on_fault(self, error: Exception) -> None:
        """Take note of what failed in a tick of `run`; the next one tries again."""

    @property
    def now(self) -> float:
        """The monotonic second."""
        return self._monotonic()

    async def run(self) -> None:
        """Tick until `close`."""
        self._wake = asyncio.Event()
        while not self._closed:
            begun = time.monotonic()
            try:
                await self._wait_tick()
            except Exception as error:
                self._on_fault(error)
            pause = max(self.interval / 10, self.interval - (time.monotonic() - begun))
            try:
                async with asyncio.timeout(pause):  # not wait_for: that is four turns of the loop instead of two
                    await self._wake.wait()
            except TimeoutError:
                pass

    def close(self) -> None:
        """Let `run` end. What is known stays readable."""
        self._closed = True
        if self._wake is not None:
            self._wake.set()

    def tick(self) -> None:
        """Do the work of one tick at once (nothing while another tick is under way)."""
        if not self._ticking:
            for _ in self._tick_steps():
                pass

    async def _wait_tick(self) -> None:
        if not self._ticking:
            begun = time.perf_counter()
            for _ in self._tick_steps():
                breathe()
                if time.perf_counter() - begun > HOLD:
                    await asyncio.sleep(0)
                    begun = time.perf_counter()

    @property
    def _is_behind(self) -> bool:
        """Whether the last tick is so long ago that whoever has just acted could miss what came of it."""
        return not self._ticking and self._monotonic() - self._ticked > self.interval / 5

    def _tick_steps(self) -> Steps:
        self._ticking = True
        try:
            self._ticked = self._monotonic()
            yield from self._work_steps()
            self._tell_subscribers()
        finally:
            self._ticking = False

    def subscribe(self, on_tick: Callable[[], None]) -> Callable[[], None]:
        """Call `on_tick` at the end of each tick; the returned function ends that."""
        key = self._next_subscriber
        self._next_subscriber += 1
        self._subscribers[key] = on_tick
        return lambda: self._subscribers.pop(key, None) and None

    def _tell_subscribers(self) -> None:
        for subscriber in list(self._subscribers.values()):
            subscriber()
