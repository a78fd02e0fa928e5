"""Links on every greenlet at once: what an observer uses instead of one link each.

    every.link_value(callback)        callback(greenlets) with those that ended without an error
    every.link_value(one, killed)     killed(greenlets) with those of them that a GreenletExit has ended
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

    __slots__ = ("_on_exception", "_on_killed", "_on_value", "listening")

    def __init__(self) -> None:
        self._on_value: tuple[Callback, ...] = ()
        #: of some of those, what gets the killed ones instead
        self._on_killed: dict[Callback, Callback] = {}
        self._on_exception: tuple[Callback, ...] = ()
        #: False: nobody is linked, and nothing has to be called
        self.listening = False

    def link_value(self, callback: Callback, killed: Callback | None = None) -> None:
        """Call `callback(greenlets)` in the hub, a list of greenlets that have ended without an error.

        Those among them that a GreenletExit has ended go to `killed(greenlets)`, when it is given.
        """
        if killed is not None:
            self._on_killed = {**self._on_killed, callback: killed}
        self._on_value = (*self._on_value, callback)
        self.listening = True

    def link_exception(self, callback: Callback) -> None:
        """Call `callback(greenlets)` in the hub, a list of greenlets that have failed."""
        self._on_exception = (*self._on_exception, callback)
        self.listening = True

    def unlink(self, callback: Callback) -> None:
        """Remove a callback of either kind, with what goes with it; a no-op when it is not there."""
        self._on_value = tuple(one for one in self._on_value if one != callback)
        self._on_killed = {one: killed for one, killed in self._on_killed.items() if one != callback}
        self._on_exception = tuple(one for one in self._on_exception if one != callback)
        self.listening = bool(self._on_value or self._on_exception)

    def has(self, callback: Callback) -> bool:
        """Tell whether a callback is linked."""
        return callback in self._on_value or callback in self._on_exception

    def notify(self, finished: list[Any], cut_short: list[Any]) -> None:
        """Call the callbacks with the greenlets that have ended; called by the hub.

        `cut_short` are those of them that failed or were killed, each once: in by far the most batches, none.
        """
        if not cut_short:
            for callback in self._on_value:
                try:  # as _call() does, without the call
                    callback(finished)
                except BaseException:
                    self._fail(callback, callback)
            return
        failed = [greenlet for greenlet in cut_short if greenlet._exc_info is not None]
        killed = [greenlet for greenlet in cut_short if greenlet._exc_info is None]
        others = set(map(id, cut_short))  # the program's greenlets may have no hash
        lived = [greenlet for greenlet in finished if id(greenlet) not in others]
        for callback in self._on_value:
            on_killed = self._on_killed.get(callback)
            if on_killed is not None:
                self._call(callback, callback, lived)
                self._call(callback, on_killed, killed)
            else:
                self._call(callback, callback, [one for one in finished if one._exc_info is None])
        for callback in self._on_exception:
            self._call(callback, callback, failed)

    def _call(self, linked: Callback, callback: Callback, greenlets: list[Any]) -> None:
        if greenlets:
            try:
                callback(greenlets)
            except BaseException:
                self._fail(linked, callback)

    def _fail(self, linked: Callback, callback: Callback) -> None:
        self.unlink(linked)
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
