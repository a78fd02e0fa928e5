"""The watchdog: a look at the hubs twelve times a second, to see a block while it lasts.

    look ---> hub's turn lasts > 0.1 s ---> `blocked` begin ---> more looks, a stack each ---> `blocked` end, ledger
       `----> we ourselves came late -----> nobody could run: the interpreter was held, and by whom is seen afterwards

It is a task of the dashboard's loop, in the dashboard's thread, and only reads: `Probe.hubs` is a few attributes per
hub, and a frame walk for one whose turn lasts. The observed program pays for the moments in which this thread has the
interpreter, nothing else. Those are few: as long as turns are short, a look every 80 ms is enough to catch each one
that becomes long; from a turn of 20 ms on it looks every 20 ms.

Who is to blame for a long turn? The stacks of its looks are counted by the program's own innermost frame, and the most
frequent one is the culprit. If several greenlets were seen running within one turn, no single one held the hub: the
turn was crowded, and the ledger says so.

Our own lateness tells when the interpreter was held (a call into C that does not let go of it): a look that comes more
than 0.2 s late, though this thread has used hardly any processor time itself, in the middle of a hub's turn. When that
call returns, the interpreter is handed on, mostly to us, and the frame seen then is still the one that made the call
(where it is not, `suspects` finds out by the accounts).
A machine that stops the whole process looks the same, but for the processor time of the process: that is told, too. And
if hubs have made turns meanwhile, it was only this thread that stood: a host app's handler had its loop, say.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from greenscope.app.findings.ledger import Block, Ledger, LedgerEntry
from greenscope.app.findings.sites import program_site
from greenscope.app.findings.suspects import Stretch, find_ended, find_living
from greenscope.app.history import Entry
from greenscope.app.model import Event, HubSample, Site

if TYPE_CHECKING:
    from greenscope.app.feed import Feed

#: seconds between two looks, and between two at a turn that has lasted for long enough to be watched closely
PERIOD: Final = 0.08
CLOSE_PERIOD: Final = 0.02
CLOSE_AFTER: Final = 0.02
#: a turn that lasts longer is a block
BLOCKED_AFTER: Final = 0.1
#: a look that comes so much too late tells that the interpreter was held
HELD_AFTER: Final = 0.2
#: of the lateness, this much processor time of our own says that we were late by our own fault
OWN_SHARE: Final = 0.5
#: and less than this of the whole process says that it did not run at all
STOPPED_SHARE: Final = 0.15
#: two begins closer than this (seconds) are of one turn
_SAME: Final = 0.01
#: a turn that lasts this share of our lateness was there all the time
_COVERS: Final = 0.8
_STACKS_KEPT: Final = 50
STRETCHES_KEPT: Final = 100
#: so many turns may an idle hub make at the edges of a time in which nobody can run; a busy one as before, twice
_TURNS_IDLE: Final = 3
#: the latest stretches and ends that are compared with each other
_SUSPECTED: Final = 5
#: one greenlet seen in this share of a turn's looks has held it alone
_ALONE: Final = 0.6
#: seconds between two of the places where hubs run, and how many of those are kept
PLACE_EVERY: Final = 0.1
PLACES_KEPT: Final = 200
#: looks over which lag is told
LAGS_KEPT: Final = 600
#: after a fault of its own it looks again in so many seconds
_RETRY: Final = 1.0

#: who runs: thread, function, file, first line
Job = tuple[str, str, str, int]


@dataclass(slots=True)
class _Turn:
    """The present turn of one hub, as far as looks have seen it. Counters are in milliseconds."""

    thread: str
    number: int
    began: float
    lag: float = 0.0
    seen: float = 0.0
    runners: Counter[int | None] = field(default_factory=Counter)
    sites: Counter[Site] = field(default_factory=Counter)
    stacks: dict[Site, tuple[Site, ...]] = field(default_factory=dict)
    held: float = 0.0
    stopped: float = 0.0
    told: bool = False
    entry: LedgerEntry | None = None


class Watchdog:
    """Looks at the hubs of a feed's probe. `own_time` and `process_time` give processor seconds."""

    def __init__(
        self,
        feed: "Feed",
        ledger: Ledger,
        *,
        own_time: Callable[[], float] = time.thread_time,
        process_time: Callable[[], float] = time.process_time,
    ) -> None:
        self.feed = feed
        self.ledger = ledger
        self._own_time = own_time
        self._process_time = process_time
        self._turns: dict[int, _Turn] = {}
        #: second, own and process' processor time of the latest look
        self._latest: tuple[float, float, float] | None = None
        #: seconds until the next look
        self.period = PERIOD
        self._since = time.perf_counter()
        self._busy = 0.0
        self.looks = 0
        #: who has ended after a long slice: it may be told of before we notice that we are late
        self._ended: deque[Entry] = deque(maxlen=_SUSPECTED)
        self._unexplained: deque[Stretch] = deque(maxlen=_SUSPECTED)
        #: stretches in which nobody could run, and nobody is known to have been it
        self.held_by_others: deque[Stretch] = deque(maxlen=STRETCHES_KEPT)
        #: stretches in which the process as a whole did not run
        self.stopped: deque[Stretch] = deque(maxlen=STRETCHES_KEPT)
        #: where hubs were running at the latest looks
        self.places: deque[tuple[float, Job, Site | None]] = deque(maxlen=PLACES_KEPT)
        self._turns_seen = 0
        #: turns between the latest two looks in time
        self._turned = 0
        self._placed = float("-inf")
        self._lags: deque[tuple[float, float, float]] = deque(maxlen=LAGS_KEPT)

    # -- looking

    async def run(self) -> None:
        """Look until cancelled; a fault of its own is reported and does not end it."""
        loop = asyncio.get_running_loop()
        next_look: asyncio.TimerHandle

        def look_again() -> None:
            nonlocal next_look
            next_look = loop.call_later(self._look_safely(), look_again)

        # a task that sleeps takes another turn of the loop for each look
        next_look = loop.call_later(self.period, look_again)
        try:
            await loop.create_future()
        finally:
            next_look.cancel()

    def _look_safely(self) -> float:
        """Look, and return in how many seconds to look again."""
        try:
            self.look()
        except Exception as error:
            self.feed.report_fault("watchdog", error)
            self._turns.clear()
            self._latest = None
            return _RETRY
        return self.period

    def look(self) -> None:
        """Look at every hub once. Does not block."""
        now = self.feed.now
        own = self._own_time()
        late, ran = self._lateness(now, own)
        hubs = self.feed.probe.hubs()
        covered = False
        idle = not self._have_turned(hubs, late > 0)
        for hub in hubs:
            turn = self._see(hub, now)
            if late and turn is not None and turn.lag >= _COVERS * late:
                covered = True
                stretch = min(turn.lag, late + self.period)
                turn.held += stretch if ran else 0.0
                turn.stopped += 0.0 if ran else stretch
        for ident in self._turns.keys() - {hub.thread_ident for hub in hubs}:
            self._end(ident, now, now)
        for turn in self._turns.values():
            if turn.lag >= BLOCKED_AFTER:
                self._show(turn, now)
        if late and not ran and idle:
            self.stopped.append(Stretch(now, late))
        elif late and ran and not covered:
            self._note_held(Stretch(now, late), idle)
        lag = max((hub.lag for hub in hubs), default=0.0)
        self._lags.append((now, self.period + late, lag))
        self.period = CLOSE_PERIOD if lag >= CLOSE_AFTER else PERIOD
        if now - self._placed >= PLACE_EVERY:
            self._placed = now
            self._note_places(hubs, now)
        self.looks += 1
        self._busy += self._own_time() - own

    def _have_turned(self, hubs: list[HubSample], late: bool) -> bool:
        """Tell whether hubs have made more turns since the last look than fit in at its edges: somebody could run."""
        turns = sum(hub.turns for hub in hubs)
        turned, before = abs(turns - self._turns_seen), self._turned
        self._turns_seen = turns
        if not late:
            self._turned = turned
        return turned > 2 * before + _TURNS_IDLE * len(hubs)

    def _note_held(self, stretch: Stretch, idle: bool) -> None:
        """Find out who held the interpreter; if nobody seems to have, and hubs did not turn either, it was another."""
        told = (find_ended(stretch, entry) for entry in reversed(self._ended))
        block = next((block for block in told if block is not None), None)
        if block is None:
            block = find_living(stretch, self.feed.probe, self.feed.population)
        if block is not None:
            self._book(block)
            return
        self._unexplained.append(stretch)
        if idle:
            self.held_by_others.append(stretch)

    def on_end(self, entry: Entry) -> None:
        """Look whether a greenlet that has ended, and had a long slice, was the one who held the interpreter."""
        self._ended.append(entry)
        for stretch in list(self._unexplained):
            block = find_ended(stretch, entry)
            if block is not None:
                self._unexplained.remove(stretch)
                if stretch in self.held_by_others:
                    self.held_by_others.remove(stretch)
                self._book(block)
                return

    def _lateness(self, now: float, own: float) -> tuple[float, bool]:
        """Return for how long this thread could not run though it wanted to (0: it could), and whether others ran."""
        process = self._process_time()
        latest, self._latest = self._latest, (now, own, process)
        if latest is None:
            return 0.0, True
        late = now - latest[0] - self.period
        if late <= HELD_AFTER or own - latest[1] >= OWN_SHARE * late:
            return 0.0, True
        return late, process - latest[2] >= STOPPED_SHARE * late

    def _see(self, hub: HubSample, now: float) -> _Turn | None:
        """Take in what a look saw of one hub; return its present turn (None: it is idle, or between two)."""
        turn = self._turns.get(hub.thread_ident)
        began = hub.sampled - hub.lag
        if turn is not None and not _continues(turn, hub, began):
            self._end(hub.thread_ident, now, began if hub.lag > 0 else now)
            turn = None
        if hub.lag <= 0:
            return None
        if turn is None:
            turn = self._turns[hub.thread_ident] = _Turn(hub.thread, hub.turns, began, seen=began)
        weight = max(1, round((now - turn.seen) * 1000))
        turn.lag, turn.seen = hub.sampled - turn.began, now
        turn.runners[hub.running] += weight
        if hub.blocked_in:
            site = program_site(hub.blocked_in)
            if site is not None:
                turn.sites[site] += weight
                if site in turn.stacks or len(turn.stacks) < _STACKS_KEPT:
                    turn.stacks[site] = hub.blocked_in
        return turn

    def _show(self, turn: _Turn, now: float) -> None:
        block = _block(turn, turn.lag)
        turn.entry = self.ledger.show(block, turn.entry)
        if not turn.told:
            turn.told = True
            self._publish("begin", block)

    def _end(self, ident: int, now: float, latest: float) -> None:
        """End a turn that was there at the last look, and is over since the `latest` second at the latest."""
        turn = self._turns.pop(ident)
        if not turn.told:
            return
        lasted = turn.lag + max(0.0, min(latest, now) - turn.seen) / 2
        self._book(_block(turn, self._exactly(turn, lasted, now)), turn.entry)

    def _book(self, block: Block, entry: LedgerEntry | None = None) -> None:
        """Enter a block that is over, and tell of it."""
        self.ledger.book(block, entry)
        if block.holders == 1 and getattr(self.feed.probe, "tells_blocks", False):
            return  # the probe's own event tells the end
        ended = Event("blocked", block.began + block.lasted, block.greenlet, detail={"duration": block.lasted})
        self.feed.population.apply(ended)
        self._publish("end", block)

    def _exactly(self, turn: _Turn, lasted: float, now: float) -> float:
        """Return how long a block lasted, by the account of the one who held it where there is one that fits."""
        holder, alone = _holder(turn)
        if holder is None or not alone:
            return lasted
        for sample in self.feed.probe.sample([holder]):
            longest = sample.longest_run
            if longest is not None and turn.lag - _SAME <= longest <= now - turn.began + _SAME:
                return longest
        return lasted

    # -- telling

    def _publish(self, phase: str, block: Block) -> None:
        fields: dict[str, Any] = {"phase": phase, "duration": round(block.lasted, 6), "thread": block.thread}
        if block.greenlet is not None:
            fields["greenlet"] = str(block.greenlet)
            record = self.feed.record(block.greenlet)
            if record is not None:
                fields |= {"name": record.name, "function": record.function}
        if block.held:
            fields["held"] = round(block.held, 6)
        if block.holders > 1:
            fields["holders"] = block.holders
        self.feed.publish("blocked", **fields, place=block.culprit, stack=block.stack)

    def _note_places(self, hubs: Iterable[HubSample], now: float) -> None:
        """Note where the hubs are running: ten places a second tell what a busy hub is busy with."""
        running = [hub.running for hub in hubs if hub.running is not None]
        for sample in self.feed.probe.sample(running) if running else ():
            record = self.feed.record(sample.id)
            if record is not None and sample.state == "running":
                job = (record.thread, record.function, record.file, record.line)
                self.places.append((now, job, sample.place))

    def lag_share(self, since: float) -> float:
        """Return the share of the time after the `since` second in which a hub was in a turn of more than 0.1 s."""
        lags = [(took, lag) for t, took, lag in self._lags if t >= since]
        whole = sum(took for took, _ in lags)
        return sum(took for took, lag in lags if lag >= BLOCKED_AFTER) / whole if whole else 0.0

    def cost(self) -> dict[str, float]:
        """Return what looking costs in processor time: `look_us`, microseconds each, and `share` of a core."""
        elapsed = max(1e-9, time.perf_counter() - self._since)
        return {"look_us": self._busy / max(1, self.looks) * 1e6, "share": self._busy / elapsed}


def _continues(turn: _Turn, hub: HubSample, began: float) -> bool:
    """Tell whether a hub is still in the turn that it was in."""
    if hub.lag <= 0:
        return False
    return abs(began - turn.began) < _SAME if hub.turns != turn.number else began < turn.began + _SAME


def _holder(turn: _Turn) -> tuple[int | None, bool]:
    """Return the greenlet that was running for most of a turn, and whether it held the turn alone."""
    ((runner, spent),) = turn.runners.most_common(1)
    return runner, spent >= _ALONE * turn.runners.total()


def _block(turn: _Turn, lasted: float) -> Block:
    """Make the record of a turn: its culprit is the function, and in it the line, with the most time."""
    functions: Counter[tuple[str, str]] = Counter()
    for site, spent in turn.sites.items():
        functions[site.file, site.function] += spent
    culprit: Site | None = None
    lines: dict[int, int] = {}
    if functions:
        ((function, _),) = functions.most_common(1)
        own = {site: spent for site, spent in turn.sites.items() if (site.file, site.function) == function}
        culprit = max(own, key=lambda site: own[site])
        lines = {site.line: spent for site, spent in own.items()}
    runner, alone = _holder(turn)
    return Block(
        thread=turn.thread,
        began=turn.began,
        lasted=lasted,
        culprit=culprit,
        lines=lines,
        stack=turn.stacks.get(culprit, ()) if culprit is not None else (),
        greenlet=runner if alone else None,
        held=turn.held,
        stopped=turn.stopped,
        holders=1 if alone else len(turn.runners),
    )
