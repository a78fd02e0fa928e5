"""Links on every greenlet at once: what an observer uses instead of one link each.

    every.link_value(callback)        callback(greenlet) for each one that ends without an error
    every.link_exception(callback)    callback(greenlet) for each one that fails

They are called in the hub by the same notification as a greenlet's own links, just
before those, and so must not block. One registration serves a million greenlets, which
is what makes watching cost a call per end instead of two links per spawn. A callback
that raises is removed and reported on stderr once.
"""

import sys
import traceback
from collections.abc import Callable
from typing import Any

__all__ = ["EveryGreenlet", "every"]

Callback = Callable[[Any], Any]


class EveryGreenlet:
    """Stands for all greenlets of the process, those to come included."""

    __slots__ = ("_on_exception", "_on_value", "listening")

    def __init__(self) -> None:
        self._on_value: tuple[Callback, ...] = ()
        self._on_exception: tuple[Callback, ...] = ()
        #: False: nobody is linked, and nothing has to be called
        self.listening = False

    def link_value(self, callback: Callback) -> None:
        """Call `callback(greenlet)` in the hub for each greenlet that ends without an error."""
        self._on_value = (*self._on_value, callback)
        self.listening = True

    def link_exception(self, callback: Callback) -> None:
        """Call `callback(greenlet)` in the hub for each greenlet that fails."""
        self._on_exception = (*self._on_exception, callback)
        self.listening = True

    def unlink(self, callback: Callback) -> None:
        """Remove a callback of either kind; a no-op when it is not there."""
        self._on_value = tuple(one for one in self._on_value if one != callback)
        self._on_exception = tuple(one for one in self._on_exception if one != callback)
        self.listening = bool(self._on_value or self._on_exception)

    def has(self, callback: Callback) -> bool:
        """Tell whether a callback is linked."""
        return callback in self._on_value or callback in self._on_exception

    def notify(self, finished: list[Any]) -> None:
        """Call the callbacks for each of the greenlets that have ended; called by the hub."""
        for greenlet in finished:
            for callback in self._on_value if greenlet._exc_info is None else self._on_exception:
                try:
                    callback(greenlet)
                except BaseException:
                    self.unlink(callback)
                    self._report(callback)

    @staticmethod
    def _report(callback: Callback) -> None:
        try:
            sys.stderr.write(f"greenscope: a link on every greenlet raised and was removed: {callback!r}\n")
            traceback.print_exc()
        except Exception:
            pass


#: the process' one
every = EveryGreenlet()
