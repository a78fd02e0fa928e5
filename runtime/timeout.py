"""Raise an exception in the current greenlet after some time.

A Timeout is an exception that throws itself: at its deadline the hub interrupts the
greenlet that started it, wherever that greenlet stands, unless it has ended.

After a turn that took long, much may be due at once. Then a Timeout gives way, once and for
one batch of the hub, to a timer that was due before it or a descriptor, if that has made its
greenlet ready.

Deliberate differences from gevent:
1. A greenlet that is ready when its Timeout expires gets the Timeout when its turn comes,
   instead of the result that made it ready, unless that came by a timer or a descriptor.
"""

from collections.abc import Callable
from typing import Any

from greenlet import getcurrent

from greenscope.runtime.carriers import job_of
from greenscope.runtime.timers import LateTimer, Timer
from greenscope.runtime.waiting import current_hub, interrupt_job

__all__ = ["Timeout", "with_timeout"]

_NONE = object()


class Timeout(BaseException):
    """Raise `exception` (None: this instance) in the greenlet that starts it, `seconds` after start().

    `seconds=None` never expires. `exception=False`: the `with` statement swallows it. With `ref=False` it does not
    keep the event loop alive. As a context manager it starts on entry and ends on exit.
    """

    _timer: Timer | None = None

    def __init__(
        self,
        seconds: float | None = None,
        exception: Any = None,
        ref: bool = True,
        priority: int = -1,
    ) -> None:
        BaseException.__init__(self)
        self.seconds = seconds
        self.exception = exception
        self._ref = ref

    def start(self) -> None:
        """Begin to count. Raises AssertionError when it counts already. Does not block."""
        if self.pending:
            raise AssertionError(f"{self!r} is already started; to restart it, cancel it first")
        if self.seconds is None:
            return
        raw = getcurrent()
        args = (raw, job_of(raw), self.throws)
        hub = current_hub(raw)
        timer = LateTimer(hub.timers, hub.clock() + self.seconds, interrupt_job, args, self._ref)
        timer.waited = False
        hub.timers.push(timer)
        self._timer = timer

    @property
    def throws(self) -> Any:
        """What it raises at its deadline: itself, or the exception that it was given."""
        exception = self.exception
        return self if exception is None or exception is False or isinstance(exception, str) else exception

    @classmethod
    def start_new(cls, timeout: Any = None, exception: Any = None, ref: bool = True) -> "Timeout":
        """Return a started Timeout: `timeout` itself when it is one, else a new one of that many seconds."""
        if isinstance(timeout, Timeout):
            if not timeout.pending:
                timeout.start()
            return timeout
        new = cls(timeout, exception, ref=ref)
        new.start()
        return new

    @property
    def pending(self) -> bool:
        """True from start() until it expires or is cancelled."""
        return self._timer is not None and self._timer.pending

    def cancel(self) -> None:
        """Stop counting; it can be started again. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    close = cancel

    def __enter__(self) -> "Timeout":
        if not self.pending:
            self.start()
        return self

    def __exit__(self, type_: Any, value: Any, tb: Any) -> bool | None:
        self.cancel()
        return True if value is self and self.exception is False else None

    def __repr__(self) -> str:
        exception = "" if self.exception is None else f" exception={self.exception!r}"
        pending = " pending" if self.pending else ""
        return f"<{type(self).__name__} at {id(self):#x} seconds={self.seconds}{exception}{pending}>"

    def __str__(self) -> str:
        if self.seconds is None:
            return ""
        text = f"{self.seconds} second{'' if self.seconds == 1 else 's'}"
        if self.exception is None:
            return text
        return f"{text} (silent)" if self.exception is False else f"{text}: {self.exception}"

    def __lt__(self, other: Any) -> bool:
        seconds = getattr(other, "seconds", other)
        try:
            return bool(self.seconds < seconds)
        except TypeError:
            return NotImplemented


def with_timeout(seconds: float | None, function: Callable[..., Any], *args: Any, **kwds: Any) -> Any:
    """Return `function(*args, **kwds)`, cut off after `seconds`. Blocks.

    Then returns the keyword argument `timeout_value` when it was given, else raises Timeout.
    """
    timeout_value = kwds.pop("timeout_value", _NONE)
    timeout = Timeout.start_new(seconds)
    try:
        return function(*args, **kwds)
    except Timeout as error:
        if error is timeout and timeout_value is not _NONE:
            return timeout_value
        raise
    finally:
        timeout.cancel()


def limit(timeout: Any) -> tuple[float | None, Timeout | None]:
    """Split a `timeout` argument into seconds and the Timeout to raise when it was given as one.

    One that counts already interrupts by itself: then there are no seconds.
    """
    if isinstance(timeout, Timeout):
        return (None if timeout.pending else timeout.seconds), timeout
    return timeout, None
