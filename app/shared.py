"""One computation for everybody who asks at the same time.

Some answers are dear (the stacks of ten thousand greenlets) and ten open tabs ask for them at once. `Shared` runs
one computation at a time, gives its result to all who came meanwhile, and keeps it for a moment: the longer it took,
the longer, so that computing never takes more than a part of the time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """The latest result of `compute`, at most `keep` seconds old, or five times as long as it took to make."""

    def __init__(
        self,
        compute: Callable[[], Awaitable[T]],
        keep: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._compute = compute
        self._keep = keep
        self._clock = clock
        self._task: asyncio.Task[T] | None = None
        self._done = float("-inf")
        self._cost = 0.0

    async def get(self) -> T:
        """Return the result, computed now or a moment ago. Raises what `compute` raised."""
        task = self._task
        here = asyncio.get_running_loop()
        stale = task is not None and task.done() and self._clock() - self._done >= max(self._keep, 5 * self._cost)
        if task is None or task.get_loop() is not here or stale or (task.done() and not _succeeded(task)):
            task = self._task = here.create_task(self._run())
        # One who goes away must not take the answer from the others.
        return await asyncio.shield(task)

    async def _run(self) -> T:
        begun = self._clock()
        try:
            return await self._compute()
        finally:
            self._done = self._clock()
            self._cost = self._done - begun


def _succeeded(task: "asyncio.Task[T]") -> bool:
    return not task.cancelled() and task.exception() is None
