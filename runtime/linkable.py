"""What Event, AsyncResult and the locks share: greenlets in line, and raw links.

Two kinds wait. A *waiter* is a raw greenlet that stands in line, in order of arrival;
called out of the line, it is resumed at once. A *link* is anybody's callback: it is
called in the hub's next turn, as in gevent. Both may belong to the hub of another
thread; then that hub is asked.

The line is an OrderedDict: first in, first out, and whoever gives up leaves from the
middle at no cost, so that 20,000 waiters can be killed in any order. Whoever calls
takes the greenlet out of the line; so `raw in line` is all that a waiter has to ask
when it is resumed, whatever resumed it.

Threads: straight-line code without calls isn't interrupted under the GIL, and each
operation of the line is one call into C. Whoever waits stands in line first and looks
at the condition afterwards; whoever changes it does so first and looks at the line
afterwards. So one of the two always sees the other.
"""

from _thread import get_ident
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent

from greenscope.runtime.hub import Hub, get_hub
from greenscope.runtime.timeout import Timeout, limit
from greenscope.runtime.waiting import current_hub, park, park_until, wake

__all__ = ["Line", "Linkable", "stand_until_called"]

#: the raw greenlets in line, first come first, each with what it is shown to wait for
Line = OrderedDict[Any, Any]


def stand_until_called(line: Line, raw: Any, shown: Any, seconds: float | None) -> bool:
    """Park as long as `raw`, the current greenlet, stands in line; False when `seconds` passed before. Blocks."""
    if seconds is None:
        while raw in line:
            park(shown)
        return True
    hub = raw.hub
    deadline = hub.clock() + seconds
    while raw in line:
        if not park_until(shown, max(0.0, deadline - hub.clock())):
            return raw not in line
    return True


class Linkable:
    """An object with waiters in line and raw links."""

    __slots__ = ("__weakref__", "_links", "_waiters", "hub")

    #: links are called only as long as ready() is still true
    _links_while_ready = False

    def __init__(self, hub: Hub | None = None) -> None:
        self._waiters: Line = OrderedDict()
        #: in order; None: there were none yet
        self._links: deque[Callable[[Any], Any]] | None = None
        #: where the links are called: the hub of the thread that waited or linked first
        self.hub = hub

    def ready(self) -> bool:
        """Return True when a wait would not block."""
        raise NotImplementedError

    def linkcount(self) -> int:
        """Return how many greenlets and callbacks wait."""
        return len(self._waiters) + len(self._links or ())

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """Call `callback(self)` in the hub when it is ready, also when it is already. It must not block or raise."""
        if not callable(callback):
            raise TypeError(f"Expected callable: {callback!r}")
        self._owning_hub()
        links = self._links
        if links is None:
            links = deque()
            if self._links is None:  # no other thread comes in between: there is no call
                self._links = links
            links = self._links
        links.append(callback)
        if self.ready():
            self._schedule_links()

    def unlink(self, callback: Callable[[Any], Any]) -> None:
        """Remove a callback; a no-op when it is not there."""
        links = self._links
        while links:
            try:
                links.remove(callback)
                return
            except ValueError:
                return
            except IndexError:  # another thread was at them meanwhile
                pass

    def _owning_hub(self) -> Hub:
        hub = self.hub
        if hub is None or hub.dead:
            hub = self.hub = get_hub()
        return hub

    def _schedule_links(self) -> None:
        hub = self._owning_hub()
        if hub.thread_ident == get_ident():
            hub.loop.run_callback(self._notify_links)
        else:
            hub.loop.run_callback_threadsafe(self._notify_links)

    def _notify_links(self) -> None:
        """Call the links that were there when we began, each once."""
        links = self._links or deque()
        for _ in range(len(links)):
            if self._links_while_ready and not self.ready():
                return
            try:
                link = links.popleft()
            except IndexError:  # somebody has unlinked others meanwhile
                return
            try:
                link(self)
            except BaseException as error:
                get_hub().handle_error((link, self), type(error), error, error.__traceback__)

    def _call_all(self) -> None:
        """Call everybody out of the line who stands there now."""
        line = self._waiters
        try:
            for _ in range(len(line)):
                raw, shown = line.popitem(last=False)
                wake(raw, shown)
        except KeyError:
            pass  # another thread calls them, too, or some gave up there

    def _wait_in_line(self, timeout: Any, shown: Any) -> bool:
        """Stand in line until called; False when `timeout` (seconds or a Timeout) passed before. Blocks."""
        raw: Any = getcurrent()
        try:
            hub = raw.hub
        except AttributeError:
            hub = current_hub(raw)
        if self.hub is None:
            self.hub = hub
        line = self._waiters
        if timeout is None:  # as stand_until_called() does, without the call: thousands may wait, each with its frames
            line[raw] = shown
            try:
                if self.ready():
                    line.pop(raw, None)
                else:
                    while raw in line:
                        park(shown)
                return True
            except BaseException:
                line.pop(raw, None)
                raise
        seconds, given = limit(timeout)
        line[raw] = shown
        try:
            if self.ready() or stand_until_called(line, raw, shown, seconds):
                return True
        except Timeout as error:
            if error is not given:
                raise
            return False
        finally:
            line.pop(raw, None)
        if given is not None and given.throws is not given:
            raise given.throws
        return False

    def _at_fork_reinit(self) -> None:
        """Forget, in a forked child, whoever waited in the parent."""
        self.hub = None
        if self._links is not None:
            self._links.clear()  # somebody may be calling them
        self._waiters.clear()
