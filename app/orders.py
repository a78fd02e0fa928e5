"""Orders that are shared: who asks the same within a moment gets the same selection, made once.

An order over all greenlets costs in proportion to their number, so it is made when somebody asks, in steps
between which the event loop goes on, and kept. The more it took to make, the longer it is good: orders
never take more than a part of the time. Those that sort or filter by what only a look at the living tells
begin with a survey of all, which is shared in the same way.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from greenscope.app.breath import HOLD, breathe
from greenscope.app.model import Figures, GreenletSample
from greenscope.app.population import Population
from greenscope.app.query import GreenletQuery
from greenscope.app.selection import Selection, Steps, fill, reach_of

#: an order is kept this many times as long as it took to make: so each takes a twentieth of the time at the most
KEPT = 20


@dataclass(frozen=True)
class OrderLimits:
    """How long orders are good, in seconds, and how many are kept."""

    order_age: float = 1.0  # an order that took long to make is at most this old when somebody asks
    stale_order: float = 5.0  # until it is this old, it is shown while the next one is made
    slow_order: float = 0.02  # what took longer than this to make took long
    survey_age: float = 0.5  # a look at all is as new as this
    orders: int = 64
    survey_chunk: int = 250  # greenlets sampled between two breaths: fewer than make the garbage collector run


class Orders:
    """The orders of one population; `sample` and `figures` are the probe's, `clock` is in monotonic seconds."""

    def __init__(
        self,
        population: Population,
        sample: Callable[[Iterable[int]], list[GreenletSample]],
        figures: Callable[[Iterable[int]], list[Figures]],
        clock: Callable[[], float],
        limits: OrderLimits,
        report_fault: Callable[[str, Exception], None],
    ) -> None:
        self.making: dict[tuple[Any, ...], asyncio.Task[Selection]] = {}
        self._population = population
        self._sample = sample
        self._figures = figures
        self._clock = clock
        self._limits = limits
        self._report_fault = report_fault
        self._kept: dict[tuple[Any, ...], Selection] = {}
        self._surveyed = (float("-inf"), float("-inf"))  # figures only, and whole
        self._survey_cost = 0.0

    def __len__(self) -> int:
        return len(self._kept)

    def make(self, query: GreenletQuery) -> Selection:
        """Return the order for a query, made at once if there is none that is new enough."""
        selection = self._fresh(query, None)
        if selection is None:
            selection = Selection(reach_of(query))
            for _ in self._steps(query, selection):
                pass
            self._keep(_key(query), selection)
        return selection

    async def wait(self, query: GreenletQuery, age: float | None = None) -> Selection:
        """Return the order for a query, made in steps if there is none that is at most `age` seconds old.

        Without an age it may be as old as KEPT times what it took to make. One that is slow to make is shown
        a little longer, while the next one is made.
        """
        selection = self._fresh(query, age)
        if selection is not None:
            return selection
        key = _key(query)
        loop = asyncio.get_running_loop()
        stale = self._kept.get(key)
        slow = stale is not None and stale.cost > self._limits.slow_order
        shown = stale is not None and slow and self._clock() - stale.made < self._limits.stale_order
        task = self.making.get(key)
        if task is None or task.get_loop() is not loop:
            task = loop.create_task(self._make(key, query, gently=shown))
            task.add_done_callback(self._on_made)
            self.making[key] = task
        if stale is not None and shown:
            return stale
        return await asyncio.shield(task)

    async def _make(self, key: tuple[Any, ...], query: GreenletQuery, gently: bool) -> Selection:
        """Make an order in steps; `gently`, since nobody waits for it, leaves as much time to others as it takes."""
        selection = Selection(reach_of(query))
        mark = time.perf_counter()
        try:
            for _ in self._steps(query, selection):
                breathe()
                worked = time.perf_counter() - mark
                if gently or worked > HOLD:
                    await asyncio.sleep(worked if gently else 0)
                    mark = time.perf_counter()
            self._keep(key, selection)
        finally:
            self.making.pop(key, None)
        return selection

    def _on_made(self, task: "asyncio.Task[Selection]") -> None:
        """Report what went wrong also when nobody waits any more."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._report_fault("order", error)

    def _fresh(self, query: GreenletQuery, age: float | None) -> Selection | None:
        found = self._kept.get(_key(query))
        if found is None:
            return None
        if age is None:
            age = min(self._limits.order_age, KEPT * found.cost)
        # one that was slow to make is kept longer, so that orders never take more than a part of the time
        return found if self._clock() - found.made < max(age, KEPT * found.cost) else None

    def _keep(self, key: tuple[Any, ...], selection: Selection) -> None:
        selection.made = self._clock()
        self._kept.pop(key, None)
        self._kept[key] = selection
        while len(self._kept) > self._limits.orders:
            del self._kept[next(iter(self._kept))]

    def _steps(self, query: GreenletQuery, selection: Selection) -> Steps:
        busy = 0.0
        mark = time.perf_counter()
        for _ in self._all_steps(query, selection):
            busy += time.perf_counter() - mark
            yield
            mark = time.perf_counter()
        selection.cost = busy + time.perf_counter() - mark

    def _all_steps(self, query: GreenletQuery, selection: Selection) -> Steps:
        if query.needs_samples:
            yield from self._survey_steps(query.needs_places)
        population = self._population
        yield from fill(selection, query, population.lives, population.finished, population.bands, self._clock())

    def _survey_steps(self, whole: bool) -> Steps:
        """Look at all live greenlets, unless that was done a moment ago; keep the looks whole if asked."""
        now = self._clock()
        if now - self._surveyed[whole] < max(self._limits.survey_age, 5 * self._survey_cost):
            return
        self._surveyed = (now, now if whole else self._surveyed[True])
        lives = self._population.lives
        ids = list(lives)
        chunk = self._limits.survey_chunk
        cost = 0.0
        for start in range(0, len(ids), chunk):
            mark = time.perf_counter()
            part = ids[start : start + chunk]
            if whole:
                for sample in self._sample(part):
                    if (life := lives.get(sample.id)) is not None:
                        life.look(sample, now)
            else:
                for figures in self._figures(part):
                    if (life := lives.get(figures[0])) is not None:
                        life.note(figures)
            cost += time.perf_counter() - mark
            yield
        self._survey_cost = cost


def _key(query: GreenletQuery) -> tuple[Any, ...]:
    return (*query.selection, query.sort, reach_of(query))
