"""What Event, AsyncResult and the locks share: greenlets in line, and raw links.

Two kinds wait. A `Waiting` is a greenlet that stands in line, in order of arrival; it
is resumed at once. A *link* is anybody's callback: it is called in the hub's next
turn, as in gevent. Both may belong to the hub of another thread; then that hub is asked.

The line is an OrderedDict: first in, first out, and whoever gives up leaves from the
middle at no cost, so that 20,000 waiters can be killed in any order.

Threads: straight-line code without calls isn't interrupted under the GIL, and each
operation of the line is one call into C. Whoever waits stands in line first and looks
at the condition afterwards; whoever changes it does so first and looks at the line
afterwards. So one of the two always sees the other.
"""

from _thread import get_ident
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent

from greenscope.runtime.hub import Hub, get_hub
from greenscope.runtime.timeout import Timeout, limit
from greenscope.runtime.waiting import current_hub, park, park_until, resume

__all__ = ["Linkable", "Waiting", "stand_in_line"]


class Waiting:
    """One greenlet in line; `granted` says that it was called out of it."""

    __slots__ = ("granted", "hub", "raw", "robbed")

    def __init__(self, raw: Any, hub: Hub) -> None:
        self.raw = raw
        self.hub = hub
        self.granted = False
        #: it was called, but somebody else was faster: next time it need not hurry (see semaphore)
        self.robbed = False

    def wait(self, shown: Any, seconds: float | None) -> bool:
        """Park until granted, shown as waiting for `shown`; False when `seconds` passed. Blocks."""
        if seconds is None:
            park(shown)
            return True
        return park_until(shown, seconds)

    def clock(self) -> float:
        """Return the time by which wait() counts, seconds."""
        return self.hub.clock()

    def grant(self) -> None:
        """Call it out of the line, from any thread. Does not block."""
        self.granted = True
        raw = self.raw
        hub = self.hub
        if raw is not None and raw.waiting_on is not None and hub.thread_ident == get_ident():
            resume(raw)
        else:
            hub.run_callback(_resume_granted, self)

    def leave(self) -> None:
        """Be out of reach of a grant() that comes too late."""
        self.raw = None


def _resume_granted(waiting: Waiting) -> None:
    raw = waiting.raw
    if raw is not None and raw.waiting_on is not None:
        resume(raw)


def stand_in_line(line: OrderedDict[Any, None]) -> Waiting:
    """Put the current greenlet at the end of a line. It has to leave() in any case."""
    raw: Any = getcurrent()
    try:
        hub = raw.hub
    except AttributeError:
        hub = current_hub(raw)
    waiting = Waiting(raw, hub)
    line[waiting] = None
    return waiting


class Linkable:
    """An object with waiters in line and raw links."""

    __slots__ = ("__weakref__", "_links", "_waiters", "hub")

    #: links are called only as long as ready() is still true
    _links_while_ready = False

    def __init__(self, hub: Hub | None = None) -> None:
        self._waiters: OrderedDict[Any, None] = OrderedDict()
        self._links: list[Callable[[Any], Any]] = []
        #: where the links are called: the hub of the thread that waited or linked first
        self.hub = hub

    def ready(self) -> bool:
        """Return True when a wait would not block."""
        raise NotImplementedError

    def linkcount(self) -> int:
        """Return how many greenlets and callbacks wait."""
        return len(self._waiters) + len(self._links)

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """Call `callback(self)` in the hub when it is ready, also when it is already. It must not block or raise."""
        if not callable(callback):
            raise TypeError(f"Expected callable: {callback!r}")
        self._owning_hub()
        self._links.append(callback)
        if self.ready():
            self._schedule_links()

    def unlink(self, callback: Callable[[Any], Any]) -> None:
        """Remove a callback; a no-op when it is not there."""
        try:
            self._links.remove(callback)
        except ValueError:
            pass

    def _owning_hub(self) -> Hub:
        hub = self.hub
        if hub is None or hub.dead:
            hub = self.hub = get_hub()
        return hub

    def _schedule_links(self) -> None:
        self._owning_hub().loop.run_callback_threadsafe(self._notify_links)

    def _notify_links(self) -> None:
        """Call the links that were there when we began, each once."""
        for _ in range(len(self._links)):
            if not self._links or (self._links_while_ready and not self.ready()):
                return
            link = self._links.pop(0)
            try:
                link(self)
            except BaseException as error:
                get_hub().handle_error((link, self), type(error), error, error.__traceback__)

    def _grant_all(self) -> None:
        """Call everybody out of the line."""
        empty: OrderedDict[Any, None] = OrderedDict()
        line = self._waiters
        self._waiters = empty  # no call since the line was read: nobody can have come in between
        for waiting in line:
            waiting.grant()

    def _wait_in_line(self, timeout: Any, shown: Any) -> bool:
        """Park in line until granted; False when `timeout` (seconds or a Timeout) passed before. Blocks."""
        seconds, given = (None, None) if timeout is None else limit(timeout)
        waiting = stand_in_line(self._waiters)
        if self.hub is None:
            self.hub = waiting.hub
        try:
            if self.ready():
                return True
            waiting.wait(shown, seconds)
            return waiting.granted
        except Timeout as error:
            if error is not given:
                raise
            return False
        finally:
            waiting.leave()
            if not waiting.granted:
                self._waiters.pop(waiting, None)

    def _at_fork_reinit(self) -> None:
        """Forget, in a forked child, whoever waited in the parent."""
        self.hub = None
        self._links.clear()
        self._waiters.clear()
