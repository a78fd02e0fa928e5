"""Event and AsyncResult: wait until somebody says so.

An Event is a flag that can be set and cleared any number of times; whoever waited
while it was set learns so, even if it is cleared before they run. An AsyncResult is
set once, to a value or to an exception. It is callable, so it can stand wherever a
link can: `greenlet.link(result)`.

Deliberate difference from gevent:
1. A greenlet that finds the event set goes on at once, also when others who waited
   longer are ready but have not run yet.
"""

from typing import Any

from greenscope.runtime.linkable import Linkable
from greenscope.runtime.timeout import Timeout, limit

__all__ = ["AsyncResult", "Event"]

_UNSET: Any = object()


class Event(Linkable):
    """A flag for which any number of greenlets can wait; set() may come from another thread."""

    __slots__ = ("_flag",)
    waits_as = "event"

    def __init__(self) -> None:
        Linkable.__init__(self)
        self._flag = False

    def __str__(self) -> str:
        cls = type(self)
        state = "set" if self._flag else "clear"
        return f"<{cls.__module__}.{cls.__name__} at {id(self):#x} {state} _links[{self.linkcount()}]>"

    def is_set(self) -> bool:
        """Return True when the flag is set."""
        return self._flag

    isSet = ready = is_set

    def set(self) -> None:
        """Set the flag; all that wait become ready. Does not block."""
        self._flag = True
        if self._waiters:
            self._call_all()
        if self._links:
            self._schedule_links()

    def clear(self) -> None:
        """Clear the flag: wait() will block again. Does not block."""
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is set; False when `timeout` seconds passed before. Blocks unless it is set."""
        return self._flag or self._wait_in_line(timeout, self)

    def _reset_internal_locks(self) -> None:
        """Do nothing: threading.Event has it, for forks."""


class AsyncResult(Linkable):
    """A value or an exception that will come; any number of greenlets can wait for it."""

    __slots__ = ("_exc_info", "_value")
    waits_as = "result"

    def __init__(self) -> None:
        Linkable.__init__(self)
        self._value: Any = _UNSET
        self._exc_info: Any = ()

    def __str__(self) -> str:
        parts = [type(self).__name__]
        if self._exc_info:
            parts.append(f"exception={self._exc_info[1]!r}")
        elif self._value is _UNSET:
            parts.append("unset")
        else:
            parts.append(f"value={self._value!r}")
        return f"<{' '.join(parts)} _links[{self.linkcount()}]>"

    # -- state

    def ready(self) -> bool:
        """Return True when it holds a value or an exception."""
        return self._value is not _UNSET or bool(self._exc_info)

    done = ready

    def successful(self) -> bool:
        """Return True when it holds a value."""
        return self._value is not _UNSET

    @property
    def value(self) -> Any:
        """The value, None before and without."""
        return None if self._value is _UNSET else self._value

    @property
    def exc_info(self) -> Any:
        """The (type, exception, traceback) that it holds, () before and without."""
        return self._exc_info

    @property
    def exception(self) -> BaseException | None:
        """The exception that it holds, None before and without."""
        return self._exc_info[1] if self._exc_info else None

    # -- setting

    def set(self, value: Any = None) -> None:
        """Hold a value; all that wait become ready. Does not block."""
        self._value = value
        self._notify()

    set_result = set

    def set_exception(self, exception: BaseException, exc_info: Any = None) -> None:
        """Hold an exception; all that wait become ready. With `exc_info` it is raised with that traceback."""
        self._exc_info = tuple(exc_info) if exc_info else (type(exception), exception, None)
        self._notify()

    def _notify(self) -> None:
        if self._waiters:
            self._call_all()
        if self._links:
            self._schedule_links()

    def __call__(self, source: Any) -> None:
        """Be a link: hold what `source` (a Greenlet, an AsyncResult) ended with."""
        if source.successful():
            self.set(source.value)
        else:
            self.set_exception(source.exception, getattr(source, "exc_info", None))

    # -- waiting

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the value, or raise the exception, once it is there. Blocks.

        Raises Timeout when it isn't after `timeout` seconds, at once when `block` is false.
        """
        if self._value is not _UNSET:
            return self._value
        if not self._exc_info:
            if not block:
                raise Timeout()
            if not self._wait_in_line(timeout, self):
                seconds, given = limit(timeout)
                raise given.throws if given is not None else Timeout(seconds)
            if self._value is not _UNSET:
                return self._value
        return self._raise_exception()

    def get_nowait(self) -> Any:
        """Return the value, or raise the exception, or Timeout when nothing is there. Does not block."""
        return self.get(block=False)

    def result(self, timeout: float | None = None) -> Any:
        """Do as get(), for those who know futures."""
        return self.get(timeout=timeout)

    def wait(self, timeout: float | None = None) -> Any:
        """Wait until it is ready or `timeout` seconds have passed; returns the value, or None without. Blocks."""
        if not self.ready():
            self._wait_in_line(timeout, self)
        return self.value

    def _raise_exception(self) -> Any:
        raise self._exc_info[1].with_traceback(self._exc_info[2])

    def cancel(self) -> bool:
        """Return False: a result can't be cancelled."""
        return False

    cancelled = cancel
