"""One turn of the hub: what is due, what is ready, the ready batch, and the ends that came of it.

    timers --> descriptors --> ready batch --> every, links of the ended --> link lines
      ^        (here it sleeps)  |        ^                                       |
      |                          +--------+ as long as nothing else is there      |
      +---------------------------------------------------------------------------+

A *batch* is what stood in the ready queue when it began; what is added meanwhile is for
the next one. `hub.batch` counts what is left of it, for three take from its front:

    the hub             switches to a parked greenlet, or calls the entry's `_turn(hub)`, which returns True when it has
                        settled the account of what it ran
    a parking greenlet  switches straight to the next parked one (a relay, see `waiting`)
    an ending one       goes on as the next Greenlet that has not begun (see `carriers`)

Relays may go on for a while when the batch is over (`hub.batch` is negative then), but not
while a test shuffles the batches. Whoever ends stands in `hub.finished` until the batch is
over; his raw links are called then, and his spawned links wait in `hub.link_calls` for a
carrier, one for the whole line while none blocks.
A Timeout that comes late lets what has made its greenlet ready in time go first, for one batch.
"""

from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenlet import greenlet

from greenscope.runtime.accounting import keep_accounts, pass_turn
from greenscope.runtime.carriers import FREE_LIMIT, TRIM_BUSY, TRIM_IDLE, TRIM_PAUSE, Carrier, borrow, trim
from greenscope.runtime.every import every
from greenscope.runtime.timers import LateTimer

if TYPE_CHECKING:
    from greenscope.runtime.hub import Hub

__all__ = ["limit_relays", "make_turn", "poll"]

#: so many Timeouts are laid aside in a turn; after them all else that is due waits for the next one, too
HELD_MOST = 64
#: switches from greenlet to greenlet after the end of a batch, before the hub looks again; some 30 us in all
RELAYS = 64
#: the same while a timer or a descriptor could become due meanwhile: slices may be long
RELAYS_BUSY = 8
#: and where accounts are kept, so that slices are known, none after a turn of so many seconds
RELAY_SECONDS = 0.001


def make_turn(hub: "Hub") -> bool:
    """Make one turn; False when nothing is left that could make another one worth it."""
    if hub.accounted != (hub.now > 0.0):
        keep_accounts(hub)
    if hub.timers.heap:
        run_timers(hub)
    timers, poller, ready = hub.timers, hub.poller, hub.ready
    if ready or hub.finished or hub.link_calls:
        if not poller.idle:
            poll(hub, 0)
    elif len(hub.free) > FREE_LIMIT:
        trim(hub, TRIM_IDLE)
        poll(hub, 0)
        if not ready:
            return True
    else:
        hub.sleeping = True
        if not (ready or hub.finished):  # asked again now that whoever appends knows that we sleep
            deadline = timers.next_deadline()
            if not (timers.refs or poller.refs or hub.holds):
                hub.sleeping = False
                return False
            hub._sleep(deadline)
        hub.sleeping = False
    hub.turn_at = now = monotonic()
    hub.turns += 1
    if len(hub.free) > FREE_LIMIT and now > hub._trim_at:
        hub._trim_at = now + TRIM_PAUSE
        trim(hub, TRIM_BUSY)
    if ready:
        if hub._shuffle is not None:
            hub._shuffle(ready)
        run_batch(hub)
    if hub.finished:
        notify(hub)
    if hub.link_calls:
        run_links(hub)
    return True


def run_batch(hub: "Hub") -> None:
    """Run what stands in the ready queue, batch after batch as long as a whole turn would find nothing else to do."""
    ready = hub.ready
    popleft = ready.popleft
    accounted = hub.now > 0.0
    while True:
        if accounted:
            hub.now = hub.turn_at
        hub.batch = size = len(ready)
        if hub._shuffle is not None:
            hub.batch_floor = size
        else:
            hub.batch_floor = -RELAYS_BUSY if hub.timers.heap or hub.poller.refs else -RELAYS
        while hub.batch > 0:
            hub.batch -= 1
            entry = popleft()
            try:
                if entry.__class__ is Carrier or isinstance(entry, greenlet):
                    hub.current = entry
                    entry.switch()
                else:
                    hub.current = hub
                    settled = entry._turn(hub)
                    if accounted and not settled and hub.current is hub:
                        hub.now = monotonic()
                if accounted and hub.current is not hub:  # it left by hand
                    pass_turn(hub.current, hub)
            except BaseException:
                if hub.ends_hub(entry):
                    raise
        hub.switches += size - hub.batch
        hub.current = None
        if not ready or hub.finished or hub.link_calls or hub.timers.heap or hub.poller.refs:
            return
        if hub.accounted != accounted or hub._shuffle is not None or len(hub.free) > FREE_LIMIT:
            return
        # a whole turn would find nothing else to do than the next batch
        hub.turn_at = monotonic()
        hub.turns += 1


def limit_relays(hub: "Hub", now: float) -> None:
    """End the relays beyond the batch when this turn has taken long; called when `now` is past `hub.relay_until`."""
    hub.relay_until = until = hub.turn_at + RELAY_SECONDS
    if now > until:
        hub.batch_floor = 0


def run_timers(hub: "Hub") -> None:
    """Call what is due; timers that are added meanwhile are for the next turn.

    A late one (a Timeout) gives way, once and for one batch, to what made its own greenlet ready in time: a timer that
    was due before it, or a descriptor. Else, after a long turn, a sleep or a read that was over long ago would be cut
    off. And of several for one greenlet, one at a time: the first may be the end of the others.
    """
    timers, ready = hub.timers, hub.ready
    #: the ids of those whom this turn has made ready so far
    fresh: set[int] = set()
    asked = False
    now = hub.clock()
    last = timers.serial
    if hub.now:
        hub.now = monotonic()
    while (timer := timers.next_due(now, last)) is not None:
        args = timer.args
        before = len(ready)
        if isinstance(timer, LateTimer):
            if not asked and not timer.waited:
                asked = True
                if not hub.poller.idle:
                    poll(hub, 0)
                    fresh.update(map(id, islice(ready, before, None)))
                    continue  # the program may have run meanwhile
            raw = args[0]
            gives_way = id(raw) in fresh and not timer.waited
            if gives_way or is_interrupted(raw):
                timer.waited = timer.waited or gives_way
                timers.hold()
                if len(timers.held) < HELD_MOST:
                    continue
                break
        function = timers.take()
        try:
            function(*args)
        except BaseException:
            if hub.ends_hub(function):
                raise
        for at in range(before - len(ready), 0):
            fresh.add(id(ready[at]))
    if timers.held:
        timers.put_back()


def is_interrupted(raw: Any) -> bool:
    """Return True when an error is on its way to a greenlet: leaving a `with`, it may cancel what is due next."""
    from greenscope.runtime.waiting import Thrown  # which imports the hub

    return isinstance(getattr(raw, "waiting_on", None), Thrown)


def poll(hub: "Hub", timeout: float | None) -> None:
    """Call what descriptors that are ready ask for. Blocks the thread up to `timeout` seconds, None: until one is."""
    fired = hub.poller.poll(timeout)
    if hub.now:
        hub.now = monotonic()
    for watch in fired:
        function = watch.function
        if function is None:
            continue
        try:
            function(*watch.args)
        except BaseException:
            if hub.ends_hub(function):
                raise


def notify(hub: "Hub") -> None:
    """Call the links of the greenlets that ended in this batch: those of every greenlet, then its own."""
    finished, hub.finished = hub.finished, []
    cut_short = hub.cut_short
    if cut_short:
        hub.cut_short = []
    if every.listening:
        only = every.only
        if only is None or cut_short:
            every.notify(finished, cut_short)
        else:  # as notify() does, without the calls
            try:
                only(finished)
            except BaseException as error:
                every.fail(only, only, error, finished)
    for greenlet_ in finished:
        if greenlet_._links:
            greenlet_._notify_links()


def run_links(hub: "Hub") -> None:
    """Run the callbacks of link(): each may block, so they run in carriers, one as long as none blocks."""
    while hub.link_calls:
        borrow(hub, None).switch()
