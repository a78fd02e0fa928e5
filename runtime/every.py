"""Links on every greenlet at once: what an observer uses instead of one link each.

    every.link_value(callback)        callback(greenlets) with those that ended without an error
    every.link_exception(callback)    callback(greenlets) with those that failed

They are called in the hub by the same notification as a greenlet's own links, just
before those, and so must not block: once per batch of the hub, with all that ended in it,
in order of ending. One registration serves a million greenlets, and one call a hundred,
which is what makes watching cost a few steps per end instead of two links per spawn. A
callback that raises is removed and reported on stderr once.
"""

import sys
import traceback
from collections.abc import Callable
from typing import Any

__all__ = ["EveryGreenlet", "every"]

Callback = Callable[[list[Any]], Any]


class EveryGreenlet:
    """Stands for all greenlets of the process, those to come included."""

    __slots__ = ("_on_exception", "_on_value", "listening")

    def __init__(self) -> None:
        self._on_value: tuple[Callback, ...] = ()
        self._on_exception: tuple[Callback, ...] = ()
        #: False: nobody is linked, and nothing has to be called
        self.listening = False

    def link_value(self, callback: Callback) -> None:
        """Call `callback(greenlets)` in the hub, a list of greenlets that have ended without an error."""
        self._on_value = (*self._on_value, callback)
        self.listening = True

    def link_exception(self, callback: Callback) -> None:
        """Call `callback(greenlets)` in the hub, a list of greenlets that have failed."""
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
        """Call the callbacks with the greenlets that have ended; called by the hub."""
        for greenlet in finished:
            if greenlet._exc_info is not None:
                break
        else:  # by far the most batches
            self._call(self._on_value, finished)
            return
        failed = [greenlet for greenlet in finished if greenlet._exc_info is not None]
        if len(failed) < len(finished):
            self._call(self._on_value, [greenlet for greenlet in finished if greenlet._exc_info is None])
        self._call(self._on_exception, failed)

    def _call(self, callbacks: tuple[Callback, ...], greenlets: list[Any]) -> None:
        for callback in callbacks:
            try:
                callback(greenlets)
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
