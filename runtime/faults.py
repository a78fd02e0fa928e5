"""Errors that nobody else handles: where the hub reports them, and which ones go on to the main greenlet.

    error of a greenlet, a callback or a link --> handle_error --> print_exception --> exception_stream
    KeyboardInterrupt, SystemExit, SystemError --^      +--> handle_system_error --> raised in the main greenlet
    GreenletExit, SystemExit: not printed

`handle_error` and `print_exception` may be replaced, on one hub or in a subclass, as
gevent's users do. They may therefore fail, and no such failure ends the loop.
"""

import sys
import traceback
from collections.abc import Callable
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from greenscope.runtime.exceptions import HubDestroyed

__all__ = ["ErrorHandler", "describe"]


class ErrorHandler(greenlet):
    """The part of a hub that takes in errors; its parent is the main greenlet."""

    #: raised into the hub, these go on to the main greenlet
    SYSTEM_ERROR: Any = (KeyboardInterrupt, SystemExit, SystemError)
    #: these are not reported on stderr
    NOT_ERROR: Any = (GreenletExit, SystemExit)

    def run_callback(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call `function(*args)` in the hub in its next turn."""
        raise NotImplementedError

    def on_loop_fault(self, error: BaseException) -> None:
        """Hand an error of the loop itself to the main greenlet; Ctrl-C while we slept is one, but none to report."""
        if isinstance(error, self.SYSTEM_ERROR):
            self._throw_main(error.with_traceback(None))
        else:
            self._report(None, error)

    def ends_hub(self, entry: Any) -> bool:
        """Handle an error that came out of a ready entry; True for the end of the hub itself."""
        error = sys.exc_info()[1]
        if error is None or isinstance(error, HubDestroyed):
            return True
        self._report(entry, error)
        return False

    def _report(self, context: Any, error: BaseException) -> None:
        """Call handle_error(), which anybody may replace and which may therefore fail."""
        try:
            self.handle_error(context, type(error), error, error.__traceback__)
        except HubDestroyed:
            raise
        except BaseException as fault:
            self.print_exception(context, type(fault), fault, fault.__traceback__)

    @property
    def exception_stream(self) -> Any:
        """Where errors are written: sys.stderr, or the stream that was set; None when that was: nothing is written."""
        return vars(self).get("_exception_stream", sys.stderr)

    @exception_stream.setter
    def exception_stream(self, stream: Any) -> None:
        self._exception_stream = stream

    def handle_error(self, context: Any, type: Any, value: Any, tb: Any) -> None:
        """Report an error that nobody else handles; a system error goes on to the main greenlet."""
        if isinstance(value, str):
            value = type(value)
        if not issubclass(type, self.NOT_ERROR):
            self.print_exception(context, type, value, tb)
        if context is None or issubclass(type, self.SYSTEM_ERROR):
            self.handle_system_error(type, value, tb)

    def handle_system_error(self, type: Any, value: Any, tb: Any = None) -> None:
        """Raise an error in the main greenlet, now when we are the hub, else in the hub's next turn."""
        if value is None:
            value = type()
        if getcurrent() is self:
            self._throw_main(value)
        else:
            self.run_callback(self._throw_main, value)

    def _throw_main(self, value: BaseException) -> None:
        main: Any = self.parent
        main.throw(value)

    def print_exception(self, context: Any, t: Any, v: Any, tb: Any) -> None:
        """Write an error and whose it was to exception_stream; never raises, writes nothing when there is none."""
        stream = self.exception_stream
        if not stream:
            return
        try:
            if v is None:
                stream.write(f"{t.__name__}\n")
            else:
                traceback.print_exception(t, v, tb, file=stream)
            if context is not None:
                stream.write(f"{describe(context)} failed with {t.__name__}\n\n")
        except Exception:
            pass


def describe(context: Any) -> str:
    """Return a text for the context of an error, also when its repr raises."""
    try:
        return context if isinstance(context, str) else repr(context)
    except BaseException:
        return f"<unprintable {type(context).__name__}>"
