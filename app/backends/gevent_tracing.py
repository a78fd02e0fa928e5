"""Switch tracing: who ran how long, who began, who ended; one Python call per switch, in the hub's thread.

`greenlet.settrace` has one slot per thread. The tracer keeps whoever was there before and calls it after itself, with
the same arguments and outside of its own guard: what the other raises goes where it always went.

The guard: an error in the tracer's own lines is a bug of the observer. It is written down, the hook is taken out, the
program goes on. Anything else that surfaces here (KeyboardInterrupt, what a signal handler raises) belongs to
the program and is passed on; greenlet then throws it into the greenlet that gets control, which is where it would
have been raised without us, and removes the hook, which the watchdog puts back.

An end is seen here rather than through a link: a link would show in the program's own `has_links()` and cost one more
turn of the hub per greenlet. At the moment of the switch out of a dead greenlet gevent has just stored its result, so
`successful()`, `value` and `exception` say what any link would be told.

`longest run` and `run time` are wall-clock time between switches (`time.monotonic`), as the hub feels it. The time
in which a greenlet was ready but not run cannot be seen, since gevent does not tell when it wakes one up; with
`full` accounting it is estimated from the beginning of the loop's turn.
"""

from collections.abc import Callable
from time import monotonic, perf_counter_ns
from types import TracebackType
from typing import Any

import greenlet
from gevent import Greenlet, GreenletExit

from greenscope.app.backends.frames import traceback_sites
from greenscope.app.backends.gevent_discovery import hidden
from greenscope.app.backends.gevent_lane import Lane
from greenscope.app.backends.gevent_notes import Block
from greenscope.app.backends.gevent_registry import ENDED, SHED, STARTED, Entry, Registry, hub_entry
from greenscope.app.model import ExceptionRecord

Tracer = Callable[[str, Any], None]
#: adopts a greenlet that the lane does not know, at its first switch
Adopt = Callable[[Lane, Any, float], Entry]

#: a run longer than this (seconds) is a block of the hub, told as an event
BLOCKED_AFTER = 0.1

# The base classes' own, so that no override of the program runs here.
_is_dead: Callable[[Any], bool] = greenlet.greenlet.dead.__get__
_successful: Callable[[Any], bool] = Greenlet.successful
_exception_of: Callable[[Any], BaseException | None] = Greenlet.exception.__get__
_PLAIN = (str, int, float, bool, bytes, type(None))
_ONE_LINE = 1000
_measured: dict[bool, float] = {}


def make_tracer(registry: Registry, lane: Lane, adopt: Adopt, full: bool) -> Tracer:
    """Return the trace function of a lane; `full` also estimates ready time."""
    entries, identity, clock = lane.entries, id, monotonic
    is_dead, blocked_after = _is_dead, BLOCKED_AFTER

    def trace(event: str, args: Any) -> None:
        previous = lane.previous
        if not lane.traced:  # closed, while another tool has chained to us
            if previous is not None:
                previous(event, args)
            return
        try:
            now = clock()
            origin, target = args
            current = lane.current
            if current is not lane.hub_entry:
                lasted = now - lane.last
                current.run += lasted
                current.since = now
                if lasted > current.longest:
                    current.longest = lasted
                if lasted > blocked_after:
                    _note_block(registry, lane, current, now, lasted)
                if not origin if current.plain else is_dead(origin):
                    end(registry, lane, current, origin, now, event)
            elif not origin:
                finish(registry, lane, origin, now, event)
            try:
                entry = entries[identity(target)]
            except KeyError:
                entry = adopt(lane, target, now)
            entry.switches += 1
            if not entry.started or entry.rested != lane.rested:
                if entry() is not target:  # the address of a greenlet that vanished unseen
                    entry = adopt(lane, target, now)
                if not entry.started:
                    begin(registry, lane, entry, now)
            if full and current.kind == "hub":
                _estimate_ready(lane, entry, now)
            lane.current = entry
            lane.last = now
        except RecursionError:
            pass  # the program is at the end of its stack: this one switch goes without an account
        except BaseException as error:
            if not is_ours(error):
                raise
            registry.fault("switch tracing", error)
            lane.traced = False
            greenlet.settrace(previous)
        if previous is not None:
            previous(event, args)

    return trace


def begin(registry: Registry, lane: Lane, entry: Entry, now: float) -> None:
    """Write down that a greenlet has begun."""
    entry.started = now
    if entry.kind == "greenlet":
        lane.pending -= 1
    if entry.step and entry.known:
        registry.note(entry, STARTED)


def _estimate_ready(lane: Lane, entry: Entry, now: float) -> None:
    """Add the time since the loop's turn began, in which gevent may have woken this one up at any moment."""
    hub = lane.hub()
    number = hub.loop.iteration if hub is not None and hub.loop is not None else 0
    if number != lane.batch_number:
        lane.batch_number, lane.batch_since = number, now
    entry.ready += now - max(entry.since, lane.batch_since)


def install(lane: Lane, trace: Tracer) -> None:
    """Put the tracer into this thread's slot, or put it back; call in the lane's thread."""
    current: Any = greenlet.gettrace()
    if current is trace:
        return
    lane.previous = current
    lane.trace = trace
    lane.traced = True
    greenlet.settrace(trace)


def uninstall(lane: Lane) -> None:
    """Take the tracer out of this thread's slot; one that another tool has chained to goes on as a mere passage."""
    trace, lane.traced = lane.trace, False
    if trace is not None and greenlet.gettrace() is trace:
        greenlet.settrace(lane.previous)
        lane.trace = None


def finish(registry: Registry, lane: Lane, origin: Any, now: float, event: str = "switch") -> None:
    """Write down how a greenlet has ended, unless another thread did so first. Runs no code of the program."""
    entry = lane.entries.pop(id(origin), None)
    if entry is None or entry.ended:
        return
    if entry.kind == "hub":
        lane.entries[id(origin)] = entry
        return
    _close(registry, lane, entry, origin, now, event)


def _close(registry: Registry, lane: Lane, entry: Entry, origin: Any, now: float, event: str) -> None:
    if issubclass(type(origin), Greenlet):
        if _successful(origin):
            value = origin.value
            entry.outcome = "succeeded" if value is None or not issubclass(type(value), GreenletExit) else "killed"
        else:
            entry.outcome = "failed"
            entry.exception = exception_record(_exception_of(origin))
    elif event == "throw":
        entry.outcome = "failed"
        entry.exception = ExceptionRecord("", "a raw greenlet does not keep what it died of; it is printed by gevent")
    else:
        entry.outcome = "killed" if entry.killed_at else "succeeded"
    if not entry.started and entry.kind == "greenlet":
        lane.pending -= 1
    if not entry.step and entry.outcome == "succeeded":
        lane.left -= 1
    entry.ended = now
    if entry.known:
        registry.note(entry, ENDED)


def end(registry: Registry, lane: Lane, entry: Entry, origin: Any, now: float, event: str) -> None:
    """Log the end of a greenlet that is being switched out of for the last time, or shed its life.

    Whoever takes the entry out of the lane tells or counts it: a look of the dashboard may be faster. It may also begin
    to tell of the life at any moment: it writes `step` and then reads `skipped`, here it is the other way round, so
    that one of the two sees the other.
    """
    if not _is_dead(origin):
        return  # it has failed, and switches while the hub writes the error down
    if lane.left > 0 or entry.step or not _is_shed(lane, entry, origin):
        finish(registry, lane, origin, now, event)
    elif lane.entries.pop(id(origin), None) is not None:
        entry.skipped = SHED
        if entry.step:
            entry.skipped = 0
            _close(registry, lane, entry, origin, now, event)
        else:
            entry.ended = now
            entry.outcome = "succeeded"
            lane.shed.add(entry.groups)


def _is_shed(lane: Lane, entry: Entry, origin: Any) -> bool:
    """Tell whether a life that nobody has looked at need only be counted: it has succeeded, and nobody killed it."""
    # gevent's compiled functions do not check what they are given: only an entry's own greenlet may be asked
    own: bool = entry() is origin
    if not own or entry.kind != "greenlet" or lane.entries.get(id(origin)) is not entry:
        return False
    if entry.killed_at or not _successful(origin):
        return False
    value = origin.value
    return value is None or not issubclass(type(value), GreenletExit)


def is_stillborn(ended: Any) -> bool:
    """Tell whether a Greenlet that has ended was killed before it began: its exit was never raised."""
    error = ended.value if _successful(ended) else _exception_of(ended)
    return isinstance(error, BaseException) and error.__traceback__ is None


def has_ended(found: Any) -> bool:
    """Tell whether a Greenlet has a result, or died; readable from any thread, unlike its `dead`."""
    return bool(_successful(found)) or _exception_of(found) is not None


def measure(full: bool, rounds: int = 200, tries: int = 20) -> float:
    """Return what the tracer costs per switch on this machine (ns), measured once on a lane that nobody sees.

    The best of several tries: others want the GIL meanwhile.
    """
    known = _measured.get(full)
    if known is None:
        now = monotonic()
        current = greenlet.getcurrent()
        entry = hub_entry(current, now)
        lane = Lane(0, "", current, entry, now)
        entry.lane = lane
        lane.traced = True
        trace = make_tracer(Registry(), lane, lambda lane, target, now: entry, full)
        args = (current, current)
        known = float("inf")
        for _ in range(tries):
            begin = perf_counter_ns()
            for _ in range(rounds):
                trace("switch", args)
            known = min(known, (perf_counter_ns() - begin) / rounds)
        _measured[full] = known
    return known


def exception_record(error: BaseException | None) -> ExceptionRecord | None:
    """Return how a greenlet failed, without calling the exception's own code.

    The message is str() where that is a built-in one over plain values; otherwise the plain ones among its arguments.
    """
    if error is None:
        return None
    name = type(error).__qualname__
    try:
        args = error.args
        plain = all(type(arg) in _PLAIN for arg in args)
        if plain and type(type(error).__str__) is type(BaseException.__str__):
            text = str(error)
        else:
            text = ", ".join(str(arg) for arg in args if type(arg) in _PLAIN)
        text = text[:_ONE_LINE]
    except Exception:
        text = f"<unprintable {name}>"
    return ExceptionRecord(name, text, traceback_sites(error.__traceback__, hidden))


def _note_block(registry: Registry, lane: Lane, entry: Entry, now: float, lasted: float) -> None:
    stack = lane.block_stack if lane.block_began == lane.last else ()
    registry.note_other(Block(entry, now, lasted, stack), "blocked")


def is_ours(error: BaseException) -> bool:
    """Tell whether an error comes from the observer's own lines, not from a signal handler run between them."""
    if not isinstance(error, Exception):
        return False
    tb: TracebackType | None = error.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    module = "" if tb is None else tb.tb_frame.f_globals.get("__name__", "")
    return isinstance(module, str) and module.startswith("greenscope.")
