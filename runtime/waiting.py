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

So a greenlet stands in the ready queue at most once, and a waker that comes late (a
timer after the event, a second set) finds READY and does nothing: there is nothing
stale to cancel. Whoever called park() finds out by looking whether what it waited for
was granted, was timed out, or both; a grant that an exception makes useless is passed
on by the waitable.
"""

from typing import Any

from greenlet import getcurrent
from greenscope.runtime.exceptions import BlockingSwitchOutError, InvalidSwitchError
from greenscope.runtime.hub import Hub, get_hub
from greenscope.runtime.timers import Timer

__all__ = [
    "READY",
    "Thrown",
    "Waiter",
    "current_hub",
    "idle",
    "interrupt",
    "park",
    "park_until",
    "resume",
    "sleep",
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
    return hub


def park(waiting_on: Any) -> None:
    """Stand still until resumed; `waiting_on` tells observers what for. Blocks.

    Raises what interrupt() was given, and BlockingSwitchOutError in the hub, where nothing may block.
    """
    raw = getcurrent()
    try:
        hub = raw.hub
    except AttributeError:
        hub = current_hub(raw)
    if raw is hub:
        raise BlockingSwitchOutError("Impossible to call blocking function in the event loop callback")
    raw.waiting_on = waiting_on
    try:
        hub.switch()
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
        raw.ready_at = hub.now
        hub.ready.append(raw)


def resume_threadsafe(raw: Any, hub: Hub) -> None:
    """Do the same from any thread, for a greenlet of `hub`."""
    hub.run_callback(_resume_parked, raw)


def _resume_parked(raw: Any) -> None:
    if raw.waiting_on is not None:
        resume(raw)


def interrupt(raw: Any, error: Any) -> None:
    """Make `error` (instance, type, or exc_info triple) raise where a greenlet of this thread stands. Does not block.

    Errors for a greenlet that is ready already are raised by that park(), or by the ones that follow.
    """
    waiting_on = getattr(raw, "waiting_on", None)
    if waiting_on is None:
        current_hub(getcurrent()).run_callback(_throw, raw, error)
    elif waiting_on is READY:
        raw.waiting_on = Thrown(error)
    elif waiting_on.__class__ is Thrown:
        waiting_on.errors.append(error)
    else:
        raw.waiting_on = Thrown(error)
        hub = raw.hub
        raw.ready_at = hub.now
        hub.ready.append(raw)


def throw_args(error: Any) -> tuple[Any, ...]:
    """Return an error in the form that greenlet.throw() takes."""
    return error if isinstance(error, tuple) and len(error) == 3 else (error,)


def _throw(raw: Any, error: Any) -> None:
    if getattr(raw, "waiting_on", None) is not None:
        interrupt(raw, error)
    elif not raw.dead:
        raw.throw(*throw_args(error))


def _unpark(raw: Any, hub: Hub) -> None:
    """Leave the ready queue, after a throw by hand that came before our turn."""
    waiting_on, raw.waiting_on = raw.waiting_on, None
    if waiting_on is READY or waiting_on.__class__ is Thrown:
        try:
            hub.ready.remove(raw)
        except ValueError:
            pass
        if waiting_on is not READY:
            for error in waiting_on.errors:
                hub.run_callback(_throw, raw, error)


def _wake_oddly(raw: Any, hub: Hub) -> None:
    waiting_on, raw.waiting_on = raw.waiting_on, None
    if waiting_on.__class__ is not Thrown:
        raise InvalidSwitchError(f"Invalid switch into a greenlet that waits for {waiting_on!r}")
    errors = waiting_on.errors
    for error in errors[1:]:
        hub.run_callback(_throw, raw, error)
    error = errors[0]
    if isinstance(error, tuple):
        type_, value, tb = error
        if value is None:
            value = type_()
        elif not isinstance(value, BaseException):
            value = type_(value)
        raise value.with_traceback(tb)
    raise error


def sleep(seconds: float = 0, ref: bool = True) -> None:
    """Stand still for `seconds`; 0 lets every other ready greenlet have a turn. Blocks.

    With `ref=False` the sleep alone does not keep `wait()` waiting.
    """
    raw = getcurrent()
    try:
        hub = raw.hub
    except AttributeError:
        hub = current_hub(raw)
    if raw is hub:
        raise BlockingSwitchOutError("Impossible to call blocking function in the event loop callback")
    if seconds <= 0:
        raw.waiting_on = READY
        raw.ready_at = hub.now
        hub.ready.append(raw)
        try:
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
    """Let everything that is ready run first, then go on. Blocks."""
    raw = getcurrent()
    hub = current_hub(raw)
    while True:
        sleep(0)
        if len(hub.ready) == 0:
            return


class Waiter:
    """Carry one value or error from the hub to one greenlet (gevent's low-level tool).

    switch() and throw() are for the hub; get() is for the greenlet. What comes before get() is kept for it.
    """

    __slots__ = ("_error", "_filled", "_raw", "hub", "value")
    waits_as = "waiter"

    def __init__(self, hub: Hub | None = None) -> None:
        self.hub = get_hub() if hub is None else hub
        self.clear()

    def clear(self) -> None:
        """Forget what was brought."""
        self._raw: Any = None
        self._filled = False
        self._error: tuple[Any, ...] | None = None
        self.value: Any = None

    @property
    def greenlet(self) -> Any:
        """The greenlet that stands in get(), or None."""
        return self._raw

    def ready(self) -> bool:
        """True when a value or an error is there."""
        return self._filled

    def successful(self) -> bool:
        """True when a value is there."""
        return self._filled and self._error is None

    @property
    def exc_info(self) -> tuple[Any, ...] | None:
        """What throw() was called with, or None."""
        return self._error

    def __str__(self) -> str:
        if not self._filled:
            return f"<{type(self).__name__} greenlet={self._raw}>"
        if self._error is None:
            return f"<{type(self).__name__} greenlet={self._raw} value={self.value!r}>"
        return f"<{type(self).__name__} greenlet={self._raw} exc_info={self._error!r}>"

    def switch(self, value: Any) -> None:
        """Bring a value; hub only when somebody waits in get(). Does not block."""
        self._bring(value, None)

    def switch_args(self, *args: Any) -> None:
        """Bring a tuple of values."""
        self._bring(args, None)

    def throw(self, *throw_args: Any) -> None:
        """Bring an error; hub only when somebody waits in get(). Does not block."""
        self._bring(None, throw_args)

    def _bring(self, value: Any, error: tuple[Any, ...] | None) -> None:
        if self._raw is not None and getcurrent() is not self.hub:
            raise AssertionError("Can only use Waiter.switch method from the Hub greenlet")
        self.value = value
        self._error = error
        self._filled = True
        if self._raw is not None:
            resume(self._raw)

    def get(self) -> Any:
        """Return the value, or raise the error, once it is there. Blocks."""
        if not self._filled:
            if self._raw is not None:
                from greenscope.runtime.exceptions import ConcurrentObjectUseError

                raise ConcurrentObjectUseError(f"This Waiter is already used by {self._raw!r}")
            self._raw = getcurrent()
            try:
                park(self)
            finally:
                self._raw = None
        if self._error is None:
            return self.value
        error = self._error
        if len(error) == 1:
            raise error[0]
        raise error[1].with_traceback(error[2] if len(error) > 2 else None)

    def __call__(self, source: Any) -> None:
        """Be a link: bring the value or the error of what ended."""
        if source.exception is None:
            self.switch(source.value)
        else:
            self.throw(source.exception)
