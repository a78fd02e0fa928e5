"""What Event, AsyncResult and the locks share: greenlets in line, and raw links.

Two kinds stand in line. A *waiter* is a parked greenlet of this module's waits: it is
resumed at once. A *link* is anybody's callback: it is called in the hub's next turn, as
in gevent. Both may belong to the hub of another thread; then that hub is asked to.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent
from greenscope.runtime.hub import Hub, get_hub, get_hub_if_exists
from greenscope.runtime.waiting import current_hub, park_until, resume


class Waiting:
    """One greenlet in line; `granted` says that what it waits for is its own now."""

    __slots__ = ("granted", "hub", "raw")

    def __init__(self) -> None:
        self.raw: Any = getcurrent()
        self.hub: Hub = current_hub(self.raw)
        self.granted = False

    def grant(self) -> None:
        """Give it what it waits for, from any thread. Does not block."""
        self.granted = True
        hub = self.hub
        raw = self.raw
        if hub is get_hub_if_exists():
            if raw.waiting_on is not None:
                resume(raw)
        else:
            hub.run_callback(_resume_granted, self)


def _resume_granted(waiting: Waiting) -> None:
    raw = waiting.raw
    if raw.waiting_on is not None:
        resume(raw)


class Linkable:
    """An object with waiters in line and raw links."""

    __slots__ = ("__weakref__", "_links", "_notifying", "_waiters")

    def __init__(self) -> None:
        self._waiters: deque[Waiting] = deque()
        self._links: list[Callable[[Any], Any]] = []
        self._notifying = False

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
        self._links.append(callback)
        if self.ready():
            self._schedule_links()

    def unlink(self, callback: Callable[[Any], Any]) -> None:
        """Remove a callback; a no-op when it is not there."""
        try:
            self._links.remove(callback)
        except ValueError:
            pass

    def _schedule_links(self) -> None:
        if self._links and not self._notifying:
            self._notifying = True
            get_hub().run_callback(self._notify_links)

    def _notify_links(self) -> None:
        self._notifying = False
        links, self._links = self._links, []
        for link in links:
            try:
                link(self)
            except BaseException as error:
                get_hub().handle_error((link, self), type(error), error, error.__traceback__)

    def _wait_in_line(self, seconds: float | None) -> bool:
        """Park in line until granted; False when `seconds` passed before. Blocks."""
        waiting = Waiting()
        self._waiters.append(waiting)
        try:
            park_until(self, seconds)
        finally:
            if not waiting.granted:
                try:
                    self._waiters.remove(waiting)
                except ValueError:
                    pass
        return waiting.granted
