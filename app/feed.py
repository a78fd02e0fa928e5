"""The feed: the one owner of all that is known about the observed program.

    probe --drain--> tick --> lives, bands, totals --> rows, details, charts      asked for by pages and JSON
                       `----> numbered events -------> the event stream

On a tick (0.25 s, see `Ticker`) the feed takes the probe's buffered events, applies them in order, numbers them,
and tells its subscribers once. All state is changed and read in one thread, the dashboard's, so nothing here is
locked, and nothing ever waits for the program.

What costs time in proportion to the number of live greenlets is done when somebody asks and at most once a
second: orders are shared per (filter, sort), values are sampled for the rows that are shown. Both, and
bursts of events, are worked off in steps; `run` and `wait_query` let the event loop breathe between them,
while `tick` and `query` do it all at once for callers that have no loop.

When the probe had to drop events, totals still count them (it tells how many of which kind), and the state is
put right by comparing with the ids that live: `reconcile`. Readers are told by a `gap` event.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from greenscope.app.breath import breathe
from greenscope.app.details import greenlet_detail, group_detail
from greenscope.app.findings.diagnosis import Diagnosis
from greenscope.app.formatting import Clock, event_fields, hub_row, safe_text, safe_value
from greenscope.app.history import Entry, EventRing
from greenscope.app.lives import Band, Life
from greenscope.app.model import EVENT_KINDS, GreenletRecord, HubSample
from greenscope.app.orders import OrderLimits, Orders
from greenscope.app.population import Population, PopulationLimits
from greenscope.app.probe import Probe
from greenscope.app.query import GreenletQuery, QueryResult
from greenscope.app.rows import Rows
from greenscope.app.selection import Selection, Steps
from greenscope.app.series import Meter, Series
from greenscope.app.sse import to_json
from greenscope.app.ticker import Ticker

#: columns of the charts' series, beside `t`
SERIES = ("spawned", "finished", "failed", "pending", "ready", "running", "waiting", "hub_lag", "switches")


@dataclass(frozen=True)
class FeedLimits(PopulationLimits, OrderLimits):
    """Every bound of the feed. Counts, bytes and seconds."""

    events: int = 10_000
    event_bytes: int = 8 * 1024 * 1024
    chunk: int = 250  # events applied between two breaths
    sample_age: float = 0.2
    reconcile: float = 2.0  # at most this often after drops
    check: float = 10.0  # and this often anyway

    def age_of(self, cost: float) -> float:
        """Return for how long a look at all that took `cost` seconds serves: 10 times that, 1 to 10 sample_age."""
        return max(self.sample_age, min(10.0 * self.sample_age, 10.0 * cost))


class Feed(Ticker):
    """All state about one observed process; see the module. Use it from one thread only."""

    #: whether it is over several processes
    several = False

    def __init__(
        self,
        probe: Probe,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        tick: float = 0.25,
        limits: FeedLimits | None = None,
    ) -> None:
        super().__init__(tick, clock)
        self.probe = probe
        self.limits = limits or FeedLimits()
        self._wall = wall
        self._begin()

    def _begin(self) -> None:
        """Start from nothing, under a new epoch: at first, and in a forked child."""
        self._pid = os.getpid()
        self._epoch = secrets.token_hex(6)
        self.clock = Clock(self._monotonic, self._wall)
        limits = self.limits
        self.population = Population(limits)
        self._orders = Orders(
            self.population, self.probe.sample, self.probe.figures, self._monotonic, limits, self.report_fault
        )
        self._rows = Rows(self.clock, self._pid)
        self.ring = EventRing(limits.events, limits.event_bytes)
        self.started = self._monotonic()
        self.dropped: dict[str, int] = {}
        self.fault = ""
        self._meter = Meter(("spawned", "finished", "failed", "switches"))
        self._series = Series(SERIES, limits.series)
        self._second = self.started
        self._ticked = float("-inf")
        self._lag_peak = 0.0
        self._hubs: list[HubSample] = []
        self._counts: tuple[float, dict[str, int]] = (float("-inf"), {})
        self._groups_seen = float("-inf")
        #: seconds that the last look at all groups took, and the last count
        self._groups_cost = self._counts_cost = 0.0
        self._suspects: tuple[float, set[int], set[int], int] | None = None
        #: what happened before that has been told
        self._told_until = self.started
        self._checked = self.started
        self._lost = 0
        self.diagnosis = Diagnosis(self)

    # -- identity ------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> str:
        """Random per process; in a forked child the state begins anew under another one."""
        if os.getpid() != self._pid:
            self._begin()
        return self._epoch

    @property
    def seq(self) -> int:
        """The number of the newest event."""
        return self.ring.last_seq

    # -- the tick ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Attach the probe and tick until `close`; what fails in a tick is kept for `health` and tried again."""
        self.probe.attach()
        watching = asyncio.create_task(self.diagnosis.watch())
        try:
            await super().run()
        finally:
            watching.cancel()

    def report_fault(self, where: str, error: Exception) -> None:
        """Keep a fault of our own where `health` shows it, and count it; it goes no further."""
        self.fault = safe_text(f"{type(error).__name__} in the {where}: {error}")
        self._count_dropped(where, 1)

    def _on_fault(self, error: Exception) -> None:
        self.report_fault("feed", error)

    def _tick_steps(self) -> Steps:
        if os.getpid() != self._pid:
            self._begin()
        yield from super()._tick_steps()

    def _work_steps(self) -> Steps:
        yield from self._apply_steps()
        now = self._monotonic()
        self.population.expire(now)
        self._measure(now)
        self._check(now)
        yield from self.diagnosis.steps()

    def _apply_steps(self) -> Steps:
        """Take what the probe has, and apply and number it in order."""
        drained = self.probe.drain(prompt=self._suspects is not None)
        self._told_until = drained.until
        for kind, count in drained.dropped.items():
            self._count_dropped(kind, count)
            self.population.count_unseen(kind, count)
            self._lost += count
        events, ring, apply = drained.events, self.ring, self.population.apply
        # in a burst readers are told between the chunks too, or the ring would forget what they had no
        # chance to read
        burst = len(events) > self.limits.events // 4
        for start in range(0, len(events), self.limits.chunk):
            for event in events[start : start + self.limits.chunk]:
                ring.append(Entry(ring.last_seq + 1, event.kind, event.t, event, apply(event)))
                breathe()
            self.diagnosis.read()
            if burst:
                self._tell_subscribers()
            yield
        self.population.count_unseen_members(drained.unseen)  # of groups that these events may have opened

    def _count_dropped(self, kind: str, count: int) -> None:
        self.dropped[kind] = self.dropped.get(kind, 0) + count

    def _measure(self, now: float) -> None:
        """Look at the hubs, and once a second add a point to the charts."""
        self._hubs = self.probe.hubs()
        self._lag_peak = max([self._lag_peak, *(hub.lag for hub in self._hubs)])
        totals = self._meter.totals
        ended = self.population.ended
        totals["spawned"] = self.population.spawned
        totals["finished"] = sum(ended.values())
        totals["failed"] = ended["failed"]
        totals["switches"] = sum(hub.switches or 0 for hub in self._hubs)
        self._meter.mark(now)
        if now - self._second < 1.0:
            return
        self._second = now if now - self._second > 2.0 else self._second + 1.0
        values: dict[str, float | None] = {**self._meter.rates(1.0), **self._live_counts()}
        values["hub_lag"] = round(self._lag_peak, 6)
        if not any(hub.switches is not None for hub in self._hubs):
            values["switches"] = None
        self._lag_peak = 0.0
        unix = round(self.clock.unix(now), 3)
        self._series.add(unix, values)
        if now - self._groups_seen >= max(1.0, 200 * self._groups_cost):
            self.look_at_groups()
        self.population.mark_groups(now, unix)

    def _check(self, now: float) -> None:
        """Compare with the living: at once after drops (but not too often), now and then anyway.

        What differs is a suspicion first, since its event may lie in the probe's buffer; what still differs when
        that has been told is put right.
        """
        if self._suspects is not None:
            since, births, ends, lost = self._suspects
            if self._told_until <= since:
                return
            self._suspects = None
            if self.population.reconcile(self.probe, births, ends) or lost:
                self.population.recover(self.probe, now)
                self._lost -= lost
                self.publish("gap", lost=lost, dropped=dict(self.dropped))
        elif now - self._checked >= (self.limits.reconcile if self._lost else self.limits.check):
            self._checked = now
            births, ends = self.population.compare(self.probe.live_ids())
            self._suspects = self._monotonic(), births, ends, self._lost

    # -- the event stream's side ---------------------------------------------------------------------------

    def publish(self, kind: str, **fields: Any) -> int:
        """Number an event of the dashboard's own (`audit`, `finding`) and return its number.

        `fields` may hold anything that JSON can; texts are made safe. It reaches the streams with the next
        tick.
        """
        if kind not in EVENT_KINDS and kind != "gap":
            raise ValueError(f"kind: {kind!r} is no event; events are {', '.join(EVENT_KINDS)}")
        now = self._monotonic()
        safe = {name: safe_value(value) for name, value in fields.items()}
        entry = Entry(self.ring.last_seq + 1, kind, now, fields={"kind": kind, "t": self.clock.rfc3339(now), **safe})
        self.ring.append(entry)
        return entry.seq

    def event(self, entry: Entry) -> dict[str, Any]:
        """Return an event as it goes out."""
        if entry.event is not None:
            return {"seq": entry.seq, **event_fields(entry.event, entry.record, self.clock)}
        return {"seq": entry.seq, **(entry.fields or {})}

    def event_json(self, entry: Entry) -> str:
        """Return an event as one line of JSON; made once."""
        if entry.json is None:
            self.ring.weigh(entry, to_json(self.event(entry)))
        assert entry.json is not None
        return entry.json

    def recent_events(self, kinds: Collection[str] | None = None, limit: int = 200) -> list[dict[str, Any]]:
        """Return the newest events, newest first, of these kinds (None: of all)."""
        found: list[dict[str, Any]] = []
        for entry in self.ring.newest_first():
            if len(found) >= limit:
                break
            if kinds is None or entry.kind in kinds:
                found.append(self.event(entry))
        return found

    # -- questions -----------------------------------------------------------------------------------------

    def query(self, query: GreenletQuery) -> QueryResult:
        """Answer a query at once; with 100,000 greenlets that can take a while, see `wait_query`."""
        return self._result(query, self._orders.make(query))

    async def wait_query(self, query: GreenletQuery) -> QueryResult:
        """Answer a query without holding up the event loop; equal questions share the work.

        What happened before the question is in the answer, except for orders that take long: of those, one
        that is a little old is used at once while the next one is made.
        """
        if self._is_behind:
            await self._wait_tick()
        return self._result(query, await self.wait_selection(query))

    async def wait_selection(self, query: GreenletQuery, age: float | None = None) -> Selection:
        """Return the order for a query, at most `age` seconds old; see `Orders.wait`."""
        return await self._orders.wait(query, age)

    def look(self, ids: Iterable[int]) -> None:
        """Sample these greenlets now; the rows made of them tell what was seen."""
        now = self._monotonic()
        lives = self.population.lives
        for sample in self.probe.sample(ids):
            life = lives.get(sample.id)
            if life is not None:
                life.look(sample, now)

    def _result(self, query: GreenletQuery, selection: Selection) -> QueryResult:
        rows = self.rows(selection.window(query.offset, query.limit))
        return QueryResult(selection.total, selection.matched, rows)

    def rows(self, ids: Collection[int]) -> list[dict[str, Any]]:
        """Return the rows of these greenlets as they are now; the forgotten are left out."""
        now = self._monotonic()
        lives = self.population.lives
        oldest = now - self.limits.sample_age
        self.look([id for id in ids if id in lives and lives[id].sampled < oldest])
        found = (self.population.find(id) for id in ids)
        return [self._rows.make(life, now) for life in found if life is not None]

    def record(self, id: int) -> GreenletRecord | None:
        """Return the birth record of a greenlet, live or still remembered."""
        life = self.population.find(id)
        return None if life is None else life.record

    def life(self, id: int) -> Life | None:
        """Return what is known about a greenlet, live or still remembered."""
        return self.population.find(id)

    def band(self, id: int) -> Band | None:
        """Return what is known about a group, living or still remembered."""
        return self.population.find_band(id)

    def greenlet(self, id: int) -> dict[str, Any] | None:
        """Return a greenlet's row with its stack, its family and its waits (None: unknown or forgotten)."""
        life = self.population.find(id)
        if life is None and self._is_behind:
            self.tick()
            life = self.population.find(id)
        return None if life is None else greenlet_detail(self, life)

    async def wait_greenlet(self, id: int) -> dict[str, Any] | None:
        """Return what `greenlet` does; a feed whose probe has to ask somebody else waits for that first."""
        return self.greenlet(id)

    def groups(self) -> list[dict[str, Any]]:
        """Return the rows of all living groups and pools."""
        self.look_at_groups()
        return [band.row() for band in self.population.bands.values()]

    def group(self, id: int) -> dict[str, Any] | None:
        """Return a group's row with its members (None: unknown or forgotten)."""
        self.look_at_groups()
        band = self.population.find_band(id)
        return None if band is None else group_detail(self, band)

    def look_at_groups(self) -> None:
        """Sample all groups, unless that was done a moment ago."""
        now = self._monotonic()
        if now - self._groups_seen >= self.limits.age_of(self._groups_cost):
            self._groups_seen = now
            mark = time.perf_counter()
            self.population.look_at_groups(self.probe.groups(), now)
            self._groups_cost = time.perf_counter() - mark

    def _live_counts(self) -> dict[str, int]:
        now = self._monotonic()
        if now - self._counts[0] >= self.limits.age_of(self._counts_cost):
            mark = time.perf_counter()
            self._counts = (now, self.probe.count_states())
            self._counts_cost = time.perf_counter() - mark
        return self._counts[1]

    def counts(self) -> dict[str, int]:
        """Return how many live in each state, and how many have ever ended in each."""
        return {**self._live_counts(), **self.population.ended}

    def rates(self) -> dict[str, dict[str, float]]:
        """Return spawned, finished and failed per second, over the last second (`1s`) and ten (`10s`)."""
        return {"1s": self._meter.rates(1.0), "10s": self._meter.rates(10.0)}

    def series(self, after: float = 0.0) -> dict[str, list[float | None]]:
        """Return the charts' points later than `after`, by column; `t` is seconds since 1970."""
        return self._series.data(after)

    def newest_point(self) -> dict[str, float | None] | None:
        """Return the newest point of the charts, by column (None: the first second is not over)."""
        return self._series.newest()

    def findings(self) -> list[dict[str, Any]]:
        """Return what is wrong, or was within the last ten minutes; open and worst first."""
        return self.diagnosis.rows()

    def hubs(self) -> list[dict[str, Any]]:
        """Return the event loops as they were at the last tick."""
        now = self._monotonic()
        return [hub_row(hub, now) for hub in self._hubs]

    def health(self) -> dict[str, Any]:
        """Return how the program's loops and the watching itself are doing."""
        now = self._monotonic()
        newest = max((hub.sampled for hub in self._hubs), default=None)
        return {
            "epoch": self.epoch,
            "backend": self.probe.backend,
            "uptime": round(max(0.0, now - self.started), 3),
            "hub_lag": max((hub.lag for hub in self._hubs), default=None),
            "sample_age": None if newest is None else round(max(0.0, now - newest), 3),
            "dropped": dict(self.dropped),
            "cost": self.probe.cost(),
            "hubs": self.hubs(),
            "seq": self.seq,
            "live": len(self.population.lives),
            "finished_kept": len(self.population.finished),
            "events_kept": len(self.ring),
            "fault": self.fault or safe_text(next(reversed(getattr(self.probe, "faults", ())), "")),
        }
