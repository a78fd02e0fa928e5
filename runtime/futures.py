"""Futures: a result made in one native thread and waited for in another, or in a greenlet.

A `concurrent.futures.Future` makes a native thread stand still. This one does so only
where the thread has no hub: where it has one, just the greenlet that asks parks. So a
future of a RuntimeThread or a ThreadPoolExecutor can be waited for from anywhere, with
`result()` or beside others with `greenscope.runtime.wait([...])`.

While a greenlet waits, its hub is held: the wake-up will come from another thread,
and the hub cannot see that.
"""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from greenlet import getcurrent

from greenscope.runtime.hub import Hub, get_hub, get_hub_if_exists
from greenscope.runtime.waiting import current_hub, park_until, resume

__all__ = ["WaitableFuture"]

_ResultT = TypeVar("_ResultT")


class FutureLink:
    """One callback of one hub; fires there once, unless it was dropped before."""

    __slots__ = ("callback", "hub")

    def __init__(self, hub: Hub, callback: Callable[[Any], Any]) -> None:
        self.hub: Hub | None = hub
        self.callback = callback
        hub.hold()

    def drop(self) -> bool:
        """Let go of the hub, in its thread; False when that was done before."""
        hub, self.hub = self.hub, None
        if hub is None:
            return False
        hub.release()
        return True

    def post(self, future: Any) -> None:
        """Fire in the hub's next turn; from any thread."""
        hub = self.hub
        if hub is not None:
            hub.run_callback(self.fire, future)

    def fire(self, future: Any) -> None:
        """Call the callback; in the hub."""
        if self.drop():
            self.callback(future)


class WaitableFuture(Future[_ResultT]):
    """A Future on which greenlets wait without standing in the way of others."""

    waits_as = "future"

    def __init__(self) -> None:
        super().__init__()
        #: in order; there may be thousands, and two threads may be at them
        self._links: OrderedDict[FutureLink, None] = OrderedDict()
        self.add_done_callback(_notify_links)

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """Call `callback(self)` in this thread's hub when it is done, also when it is already. Must not block."""
        self._link(callback)

    def _link(self, callback: Callable[[Any], Any]) -> FutureLink:
        link = FutureLink(get_hub(), callback)
        self._links[link] = None
        if self.done():  # perhaps since a moment ago, and then whoever did it may have missed the link
            _notify_links(self)
        return link

    def unlink(self, callback: Callable[[Any], Any]) -> None:
        """Remove a callback, in the thread that linked it; a no-op when it is not there."""
        for link in list(self._links):
            if link.callback == callback:
                self._drop(link)
                return

    def _drop(self, link: FutureLink) -> None:
        self._links.pop(link, None)  # it may be posted just now: drop() makes that a no-op
        link.drop()

    def result(self, timeout: float | None = None) -> _ResultT:
        """Return the result, or raise the error, once it is there. Blocks the greenlet, or a thread without hub.

        Raises TimeoutError after `timeout` seconds, CancelledError when it was cancelled.
        """
        return super().result(self._wait_done(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error, None when there was none, once it is done. Blocks and raises as result() does."""
        return super().exception(self._wait_done(timeout))

    def _wait_done(self, timeout: float | None) -> float | None:
        """Park until it is done where there is a hub to park in; returns the seconds left to wait natively."""
        if self.done():
            return 0
        hub = get_hub_if_exists()
        raw: Any = getcurrent()
        if hub is None or raw is hub:
            return timeout
        current_hub(raw)

        def wake(future: Any) -> None:
            if raw.waiting_on is self:
                resume(raw)

        link = self._link(wake)
        try:
            park_until(self, timeout)
        finally:
            self._drop(link)
        return 0


def _notify_links(future: Any) -> None:
    links = future._links
    while links:
        try:
            link, _ = links.popitem(last=False)  # two threads may be here: each link is taken once
        except KeyError:
            return
        link.post(future)
