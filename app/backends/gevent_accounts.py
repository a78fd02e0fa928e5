"""What the counters of an entry say of its whole life.

A tracer that rests now and then (gevent_throttle) has seen a part of each life, evenly spread: what it has counted,
divided by that part, is an estimate of the whole (a ratio estimate, as of a sample of time). A life of which too little
was seen has no times: that is told as unknown, not as zero.
"""

from greenscope.app.backends.gevent_registry import Entry

#: run, ready and wait time (seconds), switches, longest run (seconds)
Account = tuple[float | None, float | None, float | None, int | None, float | None]
NO_ACCOUNT: Account = (None, None, None, None, None)
#: the least part of a life from which the whole is told
LEAST_SEEN = 0.02


def seen_share(entry: Entry, until: float) -> float:
    """Return how much of an entry's life its tracer has seen, 0 to 1."""
    rested = entry.lane.rest_until(until) - entry.rested
    if rested <= 0.0:
        return 1.0
    life = until - entry.born
    return max(0.0, 1.0 - rested / life) if life > 0.0 else 0.0


def account(entry: Entry, until: float, full: bool, stretch: float = 0.0) -> Account:
    """Return the times and switches of a life up to `until`; `stretch` is what it has run since its last switch."""
    seen = seen_share(entry, until)
    if seen < LEAST_SEEN:
        return NO_ACCOUNT
    run, switches = entry.run + stretch, entry.switches
    if seen < 1.0:
        run, switches = run / seen, round(switches / seen)
    ready = wait = None
    if entry.started:
        idle = max(0.0, until - entry.started - run)
        ready = min(entry.ready, idle) if full else None
        wait = idle - (ready or 0.0)
    return run, ready, wait, switches, max(entry.longest, stretch)
