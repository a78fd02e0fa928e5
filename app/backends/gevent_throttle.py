"""How much of the time a lane is traced: all of it, unless that would cost the program too much.

    look, 20 times a second     switches since the last look x what one costs > SHARE of the time
         |                                                            |
         |  no: traced on                                             v  yes
         '-----------------------------------------  rests for as many looks as bring it down to SHARE,
                                                     then is traced for one look again

Tracing a switch costs the same however short the run was. A program that switches 5,000 times a second does not feel
it, one that switches 150,000 times would lose a tenth of its time. So with accounting="light" the price is bounded and
not the precision: of a lane that is busy switching a part of the time is seen, evenly spread, and what an entry has
counted then stands for its whole life (`seen_share`). What is in its place meanwhile is what accounting="off" has:
lives that last are known, failures are told at once, other ends when somebody looks.

The decision is made in the watchdog's thread, tracing begins and ends in the lane's own.
"""

from collections.abc import Callable
from time import monotonic

import greenlet

from greenscope.app.backends import gevent_tracing as tracing
from greenscope.app.backends.gevent_lane import Lane
from greenscope.app.backends.gevent_registry import Registry
from greenscope.app.backends.gevent_untraced import Untraced

#: of a lane's time that tracing may take
SHARE = 0.01
#: how much more a call of the tracer costs in a program than in a loop that does nothing else: its caches are cold
COLD = 2.5
#: looks at the most from one that is traced to the next
MOST = 16
#: seconds of tracing that are enough to judge by; more at a time do not make the rest longer
ENOUGH, LONGEST = 0.04, 0.1


class _Pace:
    """What is known of a lane since it was looked at, or since its tracer came back."""

    __slots__ = ("asked", "at", "lane", "switches", "until")

    def __init__(self, lane: Lane, now: float) -> None:
        self.lane = lane
        #: when the rest ends, and whether that was asked for
        self.until = 0.0
        self.asked = False
        self.restart(lane, now)

    def restart(self, lane: Lane, now: float) -> None:
        """Count switches from now on."""
        self.at = now
        self.switches = 2 * lane.hub_entry.switches


class Throttle:
    """Lets tracers rest. `post` runs something in a lane's hub, `begin` starts the account of whoever runs there."""

    def __init__(
        self,
        registry: Registry,
        untraced: Untraced,
        post: Callable[[Lane, Callable[[], None]], bool],
        begin: Callable[[Lane], None],
    ) -> None:
        self.share = SHARE
        self._registry = registry
        self._untraced = untraced
        self._post = post
        self._begin = begin
        self._paces: dict[int, _Pace] = {}
        self.closed = False

    def look(self, lane: Lane, now: float) -> None:
        """Decide whether a lane's tracer rests or works from now on. Call from the watchdog's thread."""
        pace = self._paces.get(lane.ident)
        if pace is None or pace.lane is not lane:  # a native thread's number comes again
            pace = self._paces[lane.ident] = _Pace(lane, now)
        if lane.resting:
            if now >= pace.until and not pace.asked:
                pace.asked = True
                pace.asked = self._post(lane, lambda: self.resume(lane)) and pace.asked
            return
        seconds = now - pace.at
        if not lane.traced or seconds < ENOUGH or now < pace.until:
            return
        rate = (2 * lane.hub_entry.switches - pace.switches) / seconds
        pace.restart(lane, now)
        looks = self.looks(rate)
        if looks > 1:
            lane.rate = rate
            pace.until = now + (looks - 1) * min(seconds, LONGEST)
            self._post(lane, lambda: self.rest(lane))

    def looks(self, rate: float) -> int:
        """Return of how many looks one may be traced at so many switches a second."""
        taken = rate * tracing.measure(full=False) * 1e-9 * COLD
        return max(1, min(MOST, round(taken / self.share + 0.5))) if taken > self.share else 1

    def rest(self, lane: Lane) -> None:
        """Take the tracer out for a while; call in the lane's thread. Not where another tool has chained to it."""
        if self.closed or not lane.traced or lane.trace is None or greenlet.gettrace() is not lane.trace:
            return
        self._untraced.install(lane)
        lane.since = lane.last = monotonic()
        lane.resting = True  # first: a signal may interrupt this anywhere, and whoever rests is asked to come back
        greenlet.settrace(lane.previous)
        lane.traced = False
        lane.current = lane.hub_entry

    def resume(self, lane: Lane) -> None:
        """Put the tracer back, unless there is too much to catch up with at once: then it is asked again.

        Call in the lane's thread. What a signal handler raises here leaves the lane at rest, until it is asked again.
        """
        lane.resuming = True
        try:
            if self.closed or not lane.resting or lane.trace is None:
                return
            if not lane.traced:
                if lane.looking or not self._untraced.catch_up(lane):
                    return
                now = monotonic()
                lane.rested += now - lane.since
                lane.switched += lane.rate * (now - lane.since)
                lane.since = now
                self._begin(lane)
                tracing.install(lane, lane.trace)
            lane.resting = False
        finally:
            lane.resuming = False
            pace = self._paces.get(lane.ident)
            if pace is not None and pace.lane is lane:
                pace.asked = False
                pace.restart(lane, monotonic())
