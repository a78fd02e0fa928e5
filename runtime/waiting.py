"""The only file that gives up control: every wait of the runtime goes through `park`.

    park(what)                 the current greenlet stands still until resume() or interrupt()
    resume(raw)                it is ready: the hub switches to it in its next batch
    interrupt(raw, error)      it is ready, and park() will raise

Each raw greenlet says in `waiting_on` how it stands, and that one attribute is the
whole protocol:

    None        running, or parked by hand with hub.switch()
    READY       in the ready queue, to return from park()
    Thrown      in the ready queue, to raise from park()
    other       parked: the object that it waits for (observers read it there)

Whoever parks switches to the hub, or relays: straight to the next in the ready queue, when
that is a parked carrier of the running batch, or of the next one as long as the hub allows it
(`hub.batch_floor`). A relay saves a switch; timers, descriptors and links wait for a few of
them at the most. While somebody watches, whoever parks settles its account first.

So a greenlet stands in the ready queue at most once, and a waker that comes late (a
timer after the event, a second set) finds READY and does nothing: there is nothing
stale to cancel. Whoever called park() finds out by looking whether what it waited for
was granted, was timed out, or both; a grant that an exception makes useless is passed
on by the waitable.
"""

from _thread import get_ident
from collections import OrderedDict
from time import monotonic
from typing import Any, NoReturn

from greenlet import getcurrent

from greenscope.runtime.accounting import open_account, pass_turn
from greenscope.runtime.carriers import Carrier, is_idle, job_of
from greenscope.runtime.exceptions import BlockingSwitchOutError, InvalidSwitchError
from greenscope.runtime.hub import Hub, get_hub
from greenscope.runtime.timers import Timer
from greenscope.runtime.turns import limit_relays

__all__ = [
    "READY",
    "Thrown",
    "call_first",
    "current_hub",
    "idle",
    "interrupt",
    "interrupt_in_turn",
    "park",
    "park_until",
    "resume",
    "sleep",
    "wake",
]


class _Ready:
    waits_as = "ready"

    def __repr__(self) -> str:
        return "READY"


#: in the ready queue
READY = _Ready()


class Thrown:
    """In the ready queue with errors to raise, the first one first."""

    __slots__ = ("errors",)
    waits_as = "ready"

    def __init__(self, error: Any) -> None:
        self.errors: list[Any] = [error]


def current_hub(raw: Any) -> Hub:
    """Return the hub of a raw greenlet of this thread, remembering it there for the next time."""
    try:
        hub: Hub = raw.hub
    except AttributeError:
        hub = raw.hub = get_hub()
        if not isinstance(raw, Hub):
            raw.waiting_on = None
            raw.task = None
            raw.tree_locals = None
            if raw.parent is not None:
                raw.tree_locals = raw.spawn_tree_locals = {}
            open_account(raw, hub.now)
    return hub


def park(waiting_on: Any) -> None:
    """Stand still until resumed; `waiting_on` tells observers what for. Blocks.

    Raises what interrupt() was given, and BlockingSwitchOutError in the hub, where nothing may block.
    """
    raw: Any = getcurrent()
    try:
        hub: Hub = raw.hub
    except AttributeError:
        hub = current_hub(raw)
    if raw is hub:
        raise BlockingSwitchOutError("Impossible to call blocking function in the event loop callback")
    raw.waiting_on = waiting_on
    ready = hub.ready
    try:
        if hub.batch > hub.batch_floor and ready and ready[0].__class__ is Carrier:
            hub.batch -= 1
            following = ready.popleft()
        else:
            following = None
        began = hub.now
        if began:  # as pass_turn() does, without the call
            now = monotonic()
            spent = now - began
            raw.run_time += spent
            raw.switches += 1
            if spent > raw.longest_run:
                raw.longest_run = spent
            raw.parked_at = hub.now = now
            if following is None:
                hub.current = hub
            else:
                hub.current = following
                if now > hub.relay_until:
                    limit_relays(hub, now)
        if following is None:
            hub.switch()
        else:
            following.switch()
    except BaseException:
        _unpark(raw, hub)
        raise
    if raw.waiting_on is not READY:
        _wake_oddly(raw, hub)
    raw.waiting_on = None


def park_until(waiting_on: Any, seconds: float | None) -> bool:
    """Park for at most `seconds` (None: for ever); False when the time ran out. Blocks.

    True does not exclude that the time ran out in the same turn.
    """
    if seconds is None:
        park(waiting_on)
        return True
    raw = getcurrent()
    timer = current_hub(raw).call_later(seconds, resume, (raw,))
    try:
        park(waiting_on)
        return timer.pending
    finally:
        timer.cancel()


def resume(raw: Any) -> None:
    """Make a parked greenlet of this thread ready; a no-op when it is ready already. Does not block."""
    waiting_on = raw.waiting_on
    if waiting_on is not READY and waiting_on.__class__ is not Thrown:
        raw.waiting_on = READY
        hub = raw.hub
        now = hub.now
        if now:
            raw.wait_time += now - (raw.parked_at or now)
        hub.ready.append(raw)


def wake(raw: Any, waiting_on: Any) -> None:
    """Resume a greenlet of any thread that stands in a line for `waiting_on`. Does not block.

    One of another thread, or one that has not got to park() yet, is resumed in its hub's next turn, if it still
    waits for the same then. It may have given up and come back meanwhile: whoever stands in a line looks again.
    """
    hub = raw.hub
    if raw.waiting_on is waiting_on and hub.thread_ident == get_ident():
        raw.waiting_on = READY
        now = hub.now
        if now:
            raw.wait_time += now - (raw.parked_at or now)
        hub.ready.append(raw)
    else:
        hub.run_callback(_wake_parked, raw, waiting_on)


def call_first(line: OrderedDict[Any, Any]) -> None:
    """Take the first greenlet out of a line (raw greenlet -> what it is shown to wait for), and wake() it."""
    try:
        raw, waiting_on = line.popitem(last=False)
    except KeyError:  # another thread was faster
        return
    hub = raw.hub
    if raw.waiting_on is waiting_on and hub.thread_ident == get_ident():  # as wake() does, without the call
        raw.waiting_on = READY
        now = hub.now
        if now:
            raw.wait_time += now - (raw.parked_at or now)
        hub.ready.append(raw)
    else:
        hub.run_callback(_wake_parked, raw, waiting_on)


def _wake_parked(raw: Any, waiting_on: Any) -> None:
    if raw.waiting_on is waiting_on:
        resume(raw)


def resume_threadsafe(raw: Any, hub: Hub) -> None:
    """Do the same from any thread, for a greenlet of `hub`."""
    hub.run_callback(_resume_parked, raw)


def _resume_parked(raw: Any) -> None:
    if raw.waiting_on is not None:
        resume(raw)


def interrupt(raw: Any, error: Any) -> None:
    """Make `error` (instance, type, or exc_info triple) raise where a greenlet stands. Does not block.

    Errors for a greenlet that is ready already are raised by that park(), or by the ones that follow. One of another
    thread's hub is left to that hub.
    """
    waiting_on = getattr(raw, "waiting_on", None)
    if waiting_on is None or raw.hub.thread_ident != get_ident():
        if not is_idle(raw):
            hub: Hub = getattr(raw, "hub", None) or current_hub(getcurrent())
            hub.run_callback(interrupt_job, raw, job_of(raw), error)
    elif waiting_on is READY:  # the error comes in place of what made it ready (timeout's difference 1)
        raw.waiting_on = Thrown(error)
    elif waiting_on.__class__ is Thrown:
        waiting_on.errors.append(error)
    else:
        raw.waiting_on = Thrown(error)
        hub = raw.hub
        now = hub.now
        if now:
            raw.wait_time += now - (raw.parked_at or now)
        hub.ready.append(raw)


def interrupt_in_turn(raw: Any, error: Any) -> None:
    """Do as interrupt(), but let one that is ready have its turn first, and what made it ready. Does not block."""
    if getattr(raw, "waiting_on", None) is READY and raw.hub.thread_ident == get_ident():
        raw.hub.run_callback(interrupt_job, raw, job_of(raw), error)
    else:
        interrupt(raw, error)


def interrupt_job(raw: Any, job: Any, error: Any) -> None:
    """Interrupt a greenlet unless the job that was meant has ended since; in its hub.

    One that stands still by hand is thrown into at once.
    """
    if job_of(raw) is not job:
        return
    if getattr(raw, "waiting_on", None) is not None:
        interrupt(raw, error)
    elif not raw.dead:
        raw.throw(*throw_args(error))


def throw_args(error: Any) -> tuple[Any, ...]:
    """Return an error in the form that greenlet.throw() takes."""
    return error if isinstance(error, tuple) and len(error) == 3 else (error,)


class _Vacancy:
    """The place in the ready queue of one that left it; the hub has counted it, so it stays."""

    def _turn(self, hub: Hub) -> None:
        pass


_VACANCY = _Vacancy()


def _unpark(raw: Any, hub: Hub) -> None:
    """Leave the ready queue, after a throw by hand that came before our turn."""
    waiting_on, raw.waiting_on = raw.waiting_on, None
    if waiting_on is not READY and waiting_on.__class__ is not Thrown:
        now = hub.now
        if now:
            raw.wait_time += now - (raw.parked_at or now)
    else:
        try:
            hub.ready[hub.ready.index(raw)] = _VACANCY  # other threads append only: the index stays true
        except ValueError:
            pass
        if isinstance(waiting_on, Thrown):
            _interrupt_again(raw, hub, waiting_on.errors)


def _interrupt_again(raw: Any, hub: Hub, errors: list[Any]) -> None:
    for error in errors:
        hub.run_callback(interrupt_job, raw, job_of(raw), error)


def _wake_oddly(raw: Any, hub: Hub) -> None:
    waiting_on, raw.waiting_on = raw.waiting_on, None
    if waiting_on.__class__ is not Thrown:
        raise InvalidSwitchError(f"Invalid switch into a greenlet that waits for {waiting_on!r}")
    error, *more = waiting_on.errors
    _interrupt_again(raw, hub, more)
    try:
        raise_error(error)
    finally:  # else it would hold this frame, and the frame would hold it, until the next full collection
        del waiting_on, error, more


def raise_error(error: Any) -> NoReturn:
    """Raise an instance, a type or an exc_info triple, as greenlet.throw() would.

    An instance begins a new traceback: it may have been raised in many greenlets before.
    """
    tb = None
    if isinstance(error, tuple) and len(error) == 3:
        type_, error, tb = error
        if error is None:
            error = type_
        elif not isinstance(error, BaseException):
            error = type_(error)
    if isinstance(error, BaseException):
        error = error.with_traceback(tb)
    try:
        raise error
    finally:
        del error, tb


def sleep(seconds: float = 0, ref: bool = True) -> None:
    """Stand still for `seconds`; 0 lets every other ready greenlet have a turn. Blocks.

    With `ref=False` the sleep alone does not keep `wait()` waiting.
    """
    raw: Any = getcurrent()
    try:
        hub: Hub = raw.hub
    except AttributeError:
        hub = current_hub(raw)
    if raw is hub:
        raise BlockingSwitchOutError("Impossible to call blocking function in the event loop callback")
    if seconds <= 0:
        raw.waiting_on = READY
        ready = hub.ready
        ready.append(raw)
        try:
            if hub.batch > hub.batch_floor and ready[0].__class__ is Carrier:
                hub.batch -= 1
                following = ready.popleft()
                began = hub.now
                if began:  # as pass_turn() does, without the call; who is ready at once has not parked
                    hub.now = now = monotonic()
                    spent = now - began
                    raw.run_time += spent
                    raw.switches += 1
                    if spent > raw.longest_run:
                        raw.longest_run = spent
                    hub.current = following
                    if now > hub.relay_until:
                        limit_relays(hub, now)
                if following is not raw:
                    following.switch()
            else:
                if hub.now:
                    pass_turn(raw, hub)
                hub.switch()
        except BaseException:
            _unpark(raw, hub)
            raise
        if raw.waiting_on is not READY:
            _wake_oddly(raw, hub)
        raw.waiting_on = None
        return
    timer = Timer(hub.timers, hub.clock() + seconds, resume, (raw,), ref)
    hub.timers.push(timer)
    try:
        park(timer)
    finally:
        timer.cancel()


def idle(priority: int = 0) -> None:
    """Let everything that is ready run first, then go on; of several that do so, in order. Blocks."""
    raw = getcurrent()
    hub = current_hub(raw)
    idlers = hub.idlers
    idlers.add(raw)
    try:
        while True:
            sleep(0)
            if len(hub.ready) <= len(idlers) - (raw in idlers) and not (hub.finished or hub.link_calls):
                return  # nobody is ready but others of us
    finally:
        idlers.discard(raw)
