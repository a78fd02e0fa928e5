"""The greenlet of one submit(), and how a future gets its outcome.

Whoever holds the future is told how the greenlet ended, and nobody else: neither the
hub's error report nor, for a SystemExit, the main greenlet of its thread.
"""

from collections.abc import Callable
from concurrent.futures import CancelledError, InvalidStateError
from typing import Any

from greenscope.runtime.exceptions import GreenletExit
from greenscope.runtime.futures import WaitableFuture
from greenscope.runtime.greenlet import Greenlet

__all__ = ["Submission", "settle"]


class Submission(Greenlet):
    """The greenlet of one submit(): its outcome goes to the future, also that it was killed."""

    def __init__(self, future: WaitableFuture[Any], function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        Greenlet.__init__(self, function)
        self.args = args
        self.kwargs = kwargs
        self._future: WaitableFuture[Any] | None = future

    def forget_future(self) -> None:
        """Be a greenlet like others, in a forked child: whoever holds the future is in the parent."""
        self._future = None

    def _on_value(self, value: Any) -> None:
        super()._on_value(value)
        if self._future is None:
            return
        if isinstance(value, GreenletExit):
            settle(self._future, error=CancelledError("its greenlet was killed"))
        else:
            settle(self._future, value)

    def _report_error(self, error: BaseException, tb: Any) -> None:
        """Give the error to whoever holds the future, and to nobody else: also SystemExit."""
        if self._future is None:
            super()._report_error(error, tb)
        else:
            settle(self._future, error=error)


def settle(future: WaitableFuture[Any], value: Any = None, error: BaseException | None = None) -> None:
    """Give a future its outcome, unless it has one."""
    try:
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
    except InvalidStateError:
        pass
