"""How ends are told where no switch is traced: with accounting="off", and in the rests of "light" (gevent_throttle).

Nothing is linked, since a link would show.

    a greenlet is freed           its weak reference calls back            -> collected when draining
    it fails                      its hub's `handle_error` is told of it   -> with what, before it is freed
    it has ended and is kept      found by looking when draining           -> its result says how

`has_links()` counts links, and a link costs a turn of the hub, so that none is added. What is called back is a compiled
function, since a Python one would swallow the KeyboardInterrupt that may reach it. What is added instead of links is
one attribute of each hub: gevent looks `handle_error` up on it for every failure. A program may put its own over ours,
or keep ours and put it back: a second one is then put over the program's, and each failure is still written down once.

A greenlet that is freed at its end without having failed is told as succeeded: nobody can tell then whether a
GreenletExit ended it, but for one that was killed through the dashboard. When it ended is known to one drain.
"""

import weakref
from collections.abc import Callable
from time import monotonic
from typing import Any

from gevent import Greenlet, GreenletExit

from greenscope.app.backends import gevent_discovery as discovery
from greenscope.app.backends import gevent_tracing as tracing
from greenscope.app.backends.gevent_arrivals import Arrivals
from greenscope.app.backends.gevent_lane import Lane
from greenscope.app.backends.gevent_registry import ENDED, STARTED, Entry, Registry

#: arrivals that are looked through in the hub at a time (about 2 ms)
MOST_AT_ONCE = 1000
#: with more living greenlets than this the kept ones are looked at once a second only
MOST_LOOKED_AT = 500

_exception_of: Callable[[Any], BaseException | None] = Greenlet.exception.__get__


class Untraced:
    """The ends in a registry whose lanes are not traced. Used from the dashboard's thread, but for the hooks."""

    def __init__(
        self,
        registry: Registry,
        arrivals: Arrivals,
        post: Callable[[Lane, Callable[[], None]], bool],
    ) -> None:
        self._registry = registry
        self._arrivals = arrivals
        self._post = post
        self.closed = False

    def look(self) -> None:
        """Register what has arrived; tell the ends of what was freed, and of what is kept if that is little work."""
        for lane in self._registry.shown_lanes():
            if lane.arrivals:
                self._arrivals.look_from_outside(lane)
        for _ in range(len(self._registry.freed)):
            entry = self._registry.freed.popleft()
            self.settle(entry.lane, entry, None)
        for lane in self._registry.shown_lanes():
            if self.is_blind(lane) and len(lane.entries) <= MOST_LOOKED_AT:
                for entry in lane.living():
                    self.settle(lane, entry, entry())

    @staticmethod
    def is_blind(lane: Lane) -> bool:
        """Tell whether something may have ended unseen in a lane since all of it was looked through."""
        return not lane.traced or lane.rested > lane.swept

    def catch_up(self, lane: Lane) -> bool:
        """Register what has arrived and let go of what was freed, so that a tracer can begin; in the lane's thread.

        Returns False when so much has arrived that some is left for another time.
        """
        self._arrivals.look(lane, lane.shed, MOST_AT_ONCE)
        if lane.arrivals:
            return False
        for entry in list(self._registry.freed):
            if entry.lane is lane and lane.entries.get(entry.address) is entry:
                del lane.entries[entry.address]
        return True

    def settle(self, lane: Lane, entry: Entry, found: Any) -> None:
        """Tell the end of a greenlet, if it has ended, or that it has begun; `found` is None for one that was freed."""
        if entry.ended:
            return
        if found is None:
            self._begin(entry, stillborn=bool(entry.killed_at))
            self._end(lane, entry)
        elif discovery.is_greenlet(found):
            if tracing.has_ended(found):
                self._begin(entry, stillborn=tracing.is_stillborn(found))
                tracing.finish(self._registry, lane, found, monotonic())
            elif not entry.started and discovery.is_begun(found):
                self._begin(entry, stillborn=False)
        elif discovery.is_dead(found):
            tracing.finish(self._registry, lane, found, monotonic())

    def _begin(self, entry: Entry, stillborn: bool) -> None:
        """Let an entry have begun; nobody has seen when."""
        if not entry.started and not stillborn:
            entry.started = entry.born
            if entry.step:
                self._registry.note(entry, STARTED)

    def _end(self, lane: Lane, entry: Entry) -> None:
        if lane.entries.get(entry.address) is entry:
            other = lane.entries.pop(entry.address, None)
            if other is not None and other is not entry:
                lane.entries.setdefault(entry.address, other)  # the address has come again meanwhile
        entry.outcome = entry.outcome or ("killed" if entry.killed_at else "succeeded")
        entry.ended = monotonic()
        if entry.known:
            self._registry.note(entry, ENDED)

    # -- failures

    def keep(self, lane: Lane) -> None:
        """See to it that the failures in a lane's hub are told. Does not block."""
        hub = lane.hub()
        if hub is not None and not self._is_in(hub):
            self._post(lane, lambda: self.install(lane))

    def install(self, lane: Lane) -> None:
        """Be told of the failures in a lane's hub, from now on. Idempotent; call in the lane's thread."""
        hub = lane.hub()
        if hub is not None and not self.closed and not self._is_in(hub):
            hub.handle_error = _Hook(self, lane, hub, hub.__dict__.get("handle_error"))

    def remove(self, lane: Lane) -> None:
        """Take the hook out; where the program has put its own over it, it stays, and only passes on."""
        self.closed = True
        hub = lane.hub()
        if hub is None:
            return
        above, hook = None, hub.__dict__.get("handle_error")
        while type(hook) is _Hook and hook.owner is not self:
            above, hook = hook, hook.before
        if type(hook) is not _Hook:
            return
        if above is not None:
            above.before = hook.before
        elif hook.before is None:
            del hub.handle_error
        else:
            hub.handle_error = hook.before

    def _is_in(self, hub: Any) -> bool:
        """Tell whether our hook is on top of what the program has set; those of other observers may be over it."""
        hook = hub.__dict__.get("handle_error")
        while type(hook) is _Hook:
            if hook.owner is self:
                return True
            hook = hook.before
        return False

    def failed(self, lane: Lane, context: Any, error: Any) -> None:
        """Write down what a greenlet dies of."""
        if self.closed or lane.traced or not discovery.is_greenlet(context) or isinstance(error, GreenletExit):
            return
        if _exception_of(context) is not error:
            return  # an error of one of its links, not its end
        entry = lane.entries.get(id(context))
        if entry is None or entry() is not context:
            entry = self._arrivals.claim(lane, context, monotonic())
        if not entry.ended and not entry.outcome:
            entry.exception = tracing.exception_record(error)
            entry.outcome = "failed"

    def fault(self, error: Exception) -> None:
        """Tell what broke in the hook."""
        self._registry.fault("failure", error)


class _Hook:
    """What stands in a hub's `handle_error`: it tells of the failure, then does what was there before."""

    __slots__ = ("before", "hub", "lane", "owner")

    def __init__(self, owner: Untraced, lane: Lane, hub: Any, before: Any) -> None:
        self.owner = owner
        self.lane = lane
        self.hub = weakref.ref(hub)
        self.before = before

    def __call__(self, context: Any, kind: Any, value: Any, tb: Any) -> Any:
        try:
            self.owner.failed(self.lane, context, value)
        except Exception as error:
            self.owner.fault(error)
        if self.before is not None:
            return self.before(context, kind, value, tb)
        hub = self.hub()
        return None if hub is None else type(hub).handle_error(hub, context, kind, value, tb)
