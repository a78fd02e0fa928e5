"""Waiter: one value or error, carried from the hub to the one greenlet that waits for it.

The tool that gevent's users build their own waitables from. The runtime's own do
without: they park (`waiting`) and look at their own state.
"""

from typing import Any

from greenlet import getcurrent

from greenscope.runtime.exceptions import ConcurrentObjectUseError
from greenscope.runtime.hub import Hub, get_hub
from greenscope.runtime.waiting import park, raise_error, resume

__all__ = ["Waiter"]


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
                raise ConcurrentObjectUseError(f"This Waiter is already used by {self._raw!r}")
            self._raw = getcurrent()
            try:
                park(self)
            finally:
                self._raw = None
        if self._error is None:
            return self.value
        error = self._error
        return raise_error(error[0] if len(error) == 1 else (*error, None)[:3])

    def __call__(self, source: Any) -> None:
        """Be a link: bring the value or the error of what ended."""
        if source.exception is None:
            self.switch(source.value)
        else:
            self.throw(source.exception)
