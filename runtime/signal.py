"""Signals whose handler may block: it runs in a greenlet; every other name is the standard library's.

Python calls the handlers of `signal.signal` in the main thread between any two
instructions, in whatever greenlet happens to run; there, nothing may block. A
`signal_handler` only asks its hub for a turn, and the turn begins a new greenlet.

    signal --> Python's own handler, in the main thread --run_callback--> the hub --> a new Greenlet

Any number of them may be there for one signal, besides the handler set by
`signal.signal` before: that one is not called, but comes back after the last cancel().

Deliberate differences from gevent:
1. After the last cancel() the handler from before is back (gevent: the system's default).
2. A signal_handler has no `watcher`; it lives until cancel(), whether anybody keeps it or not.
3. Nothing here needs SIGCHLD, so signal() and getsignal() treat it like any other.
"""

import signal as _std
from collections.abc import Callable
from signal import *  # noqa: F403 - this module stands in for it
from typing import Any

from greenscope.runtime.greenlet import Greenlet
from greenscope.runtime.hub import get_hub

__all__ = [*(name for name in dir(_std) if not name.startswith("_")), "signal_handler"]

#: the handlers of each signal, and what was there before the first of them
_handlers: dict[int, list["signal_handler"]] = {}
_before: dict[int, Any] = {}


class signal_handler:
    """Call `handler(*args, **kwargs)` in a new greenlet whenever the process receives the signal `signalnum`.

    To be made in the main thread. Raises TypeError when `handler` isn't callable, ValueError in other threads and for
    numbers that are no signals, OSError for signals that cannot be caught. Does not block.
    """

    #: what the handler runs in
    greenlet_class: Any = Greenlet

    def __init__(self, signalnum: int, handler: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        if not callable(handler):
            raise TypeError(f"signal handler must be callable, not {handler!r}")
        self.signalnum = signalnum
        self.hub: Any = get_hub()
        self.handler: Callable[..., Any] | None = handler
        self.args: tuple[Any, ...] | None = args
        self.kwargs: dict[str, Any] | None = kwargs
        self._ref = False
        if signalnum not in _handlers:
            _before[signalnum] = _std.signal(signalnum, _on_signal)
            _handlers[signalnum] = []
        _handlers[signalnum].append(self)

    @property
    def ref(self) -> bool:
        """True: it keeps the event loop alive. False by default; set it at any time in the hub's thread."""
        return self._ref

    @ref.setter
    def ref(self, ref: bool) -> None:
        if self.hub is not None and bool(ref) is not self._ref:
            self._ref = bool(ref)
            if ref:
                self.hub.hold()
            else:
                self.hub.release()

    def cancel(self) -> None:
        """Never call the handler again; nothing else ends it (difference 2). Idempotent; main thread only."""
        if self.hub is None:
            return
        left = _handlers[self.signalnum]
        if left == [self]:
            if _std.getsignal(self.signalnum) is _on_signal:
                _std.signal(self.signalnum, _before[self.signalnum])  # difference 1
            del _handlers[self.signalnum], _before[self.signalnum]
        else:
            left.remove(self)
        self.ref = False
        self.hub = self.handler = self.args = self.kwargs = None

    def _begin(self) -> None:
        """Run the handler in a new greenlet; called by the hub."""
        if self.handler is not None:
            self.greenlet_class(self.handler, *(self.args or ()), **(self.kwargs or {})).start()


def _on_signal(signalnum: int, _frame: Any) -> None:
    """Ask the hubs for a turn: here, in the midst of any greenlet, nothing else may happen."""
    for one in list(_handlers.get(signalnum, ())):
        one.hub.run_callback(one._begin)
