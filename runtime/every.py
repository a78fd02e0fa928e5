"""Links on every greenlet at once: what an observer uses instead of one link each.

    every.link_value(callback)        callback(greenlets) with those that ended without an error
    every.link_value(one, killed)     killed(greenlets) with those of them that a GreenletExit has ended
    every.link_exception(callback)    callback(greenlets) with those that failed

They are called in the hub by the same notification as a greenlet's own links, just
before those, and so must not block: once per batch of the hub, with all that ended in it,
in order of ending. One registration serves a million greenlets, and one call a hundred,
which is what makes watching cost a few steps per end instead of two links per spawn. A
callback that raises is removed and reported on stderr once. What a signal's handler raised
in it is the program's: the hub hands it to the main greenlet, as if it had slept, and the
callback stays.
"""

import sys
import traceback
from collections.abc import Callable
from operator import is_not
from typing import Any

from greenscope.runtime.carriers import VALUE
from greenscope.runtime.instruments import hooks
from greenscope.runtime.interruption import AT_THE_END, is_programs

__all__ = ["EveryGreenlet", "every"]

Callback = Callable[[list[Any]], Any]


class EveryGreenlet:
    """Stands for all greenlets of the process, those to come included."""

    __slots__ = ("_on_exception", "_on_value", "listening", "only")

    def __init__(self) -> None:
        #: each with what gets the killed ones, None: itself
        self._on_value: tuple[tuple[Callback, Callback | None], ...] = ()
        self._on_exception: tuple[Callback, ...] = ()
        #: False: nobody is linked, and nothing has to be called
        self.listening = False
        #: what a batch is to be told in which nobody failed or was killed, when that is one callback (else None)
        self.only: Callback | None = None

    def link_value(self, callback: Callback, killed: Callback | None = None) -> None:
        """Call `callback(greenlets)` in the hub, a list of greenlets that have ended without an error.

        Those among them that a GreenletExit has ended go to `killed(greenlets)`, when it is given.
        """
        self._set_on_value((*self._on_value, (callback, killed)))

    def link_exception(self, callback: Callback) -> None:
        """Call `callback(greenlets)` in the hub, a list of greenlets that have failed."""
        self._on_exception = (*self._on_exception, callback)
        self.listening = True

    def unlink(self, callback: Callback) -> None:
        """Remove a callback of either kind, with what goes with it; a no-op when it is not there."""
        self._on_exception = tuple(one for one in self._on_exception if one != callback)
        self._set_on_value(tuple(pair for pair in self._on_value if pair[0] != callback))

    def _set_on_value(self, pairs: tuple[tuple[Callback, Callback | None], ...]) -> None:
        self._on_value = pairs
        self.only = pairs[0][0] if len(pairs) == 1 else None
        self.listening = bool(pairs or self._on_exception)

    def has(self, callback: Callback) -> bool:
        """Tell whether a callback is linked."""
        return any(one == callback for one, _ in self._on_value) or callback in self._on_exception

    def notify(self, finished: list[Any], cut_short: list[Any]) -> None:
        """Call the callbacks with the greenlets that have ended; called by the hub.

        `cut_short` are those of them that failed or were killed, each once: in by far the most batches, none.
        """
        if not cut_short:
            for callback, _ in self._on_value:
                self._call(callback, callback, finished)
            return
        failed = [greenlet for greenlet in cut_short if greenlet._state > VALUE]
        killed = [greenlet for greenlet in cut_short if greenlet._state <= VALUE] if failed else cut_short
        lived: list[Any] = []
        if len(cut_short) != len(finished) or any(map(is_not, cut_short, finished)):
            others = set(map(id, cut_short))  # the program's greenlets may have no hash
            lived = [greenlet for greenlet in finished if id(greenlet) not in others]
        for callback, on_killed in self._on_value:
            if on_killed is None:
                self._call(callback, callback, [one for one in finished if one._state == VALUE])
            elif self._call(callback, callback, lived):
                self._call(callback, on_killed, killed)
        for callback in self._on_exception:
            self._call(callback, callback, failed)

    def _call(self, linked: Callback, callback: Callback, greenlets: list[Any]) -> bool:
        """Call what was linked, or its partner; False when it raised, and was unlinked."""
        try:
            if greenlets:
                callback(greenlets)
        except BaseException as error:
            return self.fail(linked, callback, error, greenlets)
        return True

    def fail(self, linked: Callback, callback: Callback, error: BaseException, greenlets: list[Any]) -> bool:
        """Deal with what a callback has just raised; False: by a fault of its own, for which it was unlinked."""
        try:
            if is_programs(error):
                raise error
            if isinstance(error, AT_THE_END):
                hooks.interrupted += 1
                return True
            self.unlink(linked)
            self._report(callback)
            return False
        except BaseException as another:  # a signal's, or the program's: for the main greenlet, in the hub's next turn
            hooks.interrupted += 1
            hub = greenlets[0].hub
            hub.run_callback(hub.on_loop_fault, another)
            return True
        finally:
            del error  # whose traceback refers to this frame

    @staticmethod
    def _report(callback: Callback) -> None:
        try:
            sys.stderr.write(f"greenscope: a link on every greenlet raised and was removed: {callback!r}\n")
            traceback.print_exc()
        except Exception as error:
            if is_programs(error):
                raise


#: the process' one
every = EveryGreenlet()
