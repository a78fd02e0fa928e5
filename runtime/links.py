"""What runs when something ends: the callbacks of link(), link_value(), link_exception().

A raw link is called in the hub and must not block. A spawned link may block, so it is
put in line for a carrier: one carrier serves the whole line of a turn as long as no
callback blocks, and the next one goes on when one does. So a link costs a call, not a
greenlet, and a callback that fails or hangs stops no other. Until its turn comes it
stays with its source, where unlink() finds it.
"""

from collections import deque
from collections.abc import Callable
from types import MethodType
from typing import Any

from greenlet import greenlet

from greenscope.runtime.carriers import VALUE, Carrier
from greenscope.runtime.hub import Hub, get_hub
from greenscope.runtime.waiting import resume

__all__ = ["FailureSpawnedLink", "Linked", "SpawnedLink", "SuccessSpawnedLink"]


class SpawnedLink:
    """A link whose callback runs in a raw greenlet of its own; equal to its callback, for unlink()."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[Any], Any]) -> None:
        if not callable(callback):
            raise TypeError(f"Expected callable: {callback!r}")
        self.callback = callback

    def __call__(self, source: Any) -> None:
        """Call it for something that keeps no line of spawned links; in the hub."""
        if self.concerns(source):
            greenlet(self.callback, get_hub()).switch(source)

    def concerns(self, source: Any) -> bool:
        """Return True when the callback is to be called for how the source ended."""
        return True

    def __eq__(self, other: object) -> bool:
        return bool(self.callback == getattr(other, "callback", other))

    def __hash__(self) -> int:
        return hash(self.callback)

    def __str__(self) -> str:
        return str(self.callback)

    def __repr__(self) -> str:
        return repr(self.callback)


class SuccessSpawnedLink(SpawnedLink):
    """A spawned link that is called only when the source succeeded."""

    __slots__ = ()

    def concerns(self, source: Any) -> bool:
        """Return True when the source succeeded."""
        return bool(source.successful())


class FailureSpawnedLink(SpawnedLink):
    """A spawned link that is called only when the source failed."""

    __slots__ = ()

    def concerns(self, source: Any) -> bool:
        """Return True when the source failed."""
        return not source.successful()


#: links in order: callables, and the raw greenlets that join; a long line becomes a deque once it is served
Line = list[Any] | deque[Any]
#: a line this short is served fastest from a list
SHORT_LINE = 16
#: links that wait for a carrier instead of being called in the hub
_SPAWNED = (SpawnedLink, SuccessSpawnedLink, FailureSpawnedLink)


class Linked:
    """What has an end and tells it: the part of a Greenlet that keeps its links.

    It ends when `_state` reaches VALUE, and its hub then calls `_notify_links`.
    """

    hub: Hub
    _state: int
    _links: Line | None = None
    _spawned_links: Line | None = None

    def has_links(self) -> int:
        """Return how many links wait for its end."""
        return len(self._links or ()) + len(self._spawned_links or ())

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """Call `callback(self)` in the hub when it has ended, also when it has already. It must not block or raise."""
        if not callable(callback):
            raise TypeError(f"Expected callable: {callback!r}")
        links = self._links
        if links is None:
            self._links = [callback]
        else:
            links.append(callback)
        if self._state >= VALUE:
            self.hub.run_callback(self._notify_links)

    def link(self, callback: Callable[[Any], Any], SpawnedLink: Any = SpawnedLink) -> None:
        """Call `callback(self)` in a greenlet of its own when it has ended, also when it has already."""
        self.rawlink(SpawnedLink(callback))

    def link_value(self, callback: Callable[[Any], Any], SpawnedLink: Any = SuccessSpawnedLink) -> None:
        """Do as link(), only when it ended without an error."""
        self.rawlink(SpawnedLink(callback))

    def link_exception(self, callback: Callable[[Any], Any], SpawnedLink: Any = FailureSpawnedLink) -> None:
        """Do as link(), only when it failed."""
        self.rawlink(SpawnedLink(callback))

    def unlink(self, callback: Any) -> None:
        """Remove a callback of any kind of link; a no-op when it is not there."""
        for links in (self._links, self._spawned_links):
            if links:
                try:
                    links.remove(callback)
                    return
                except ValueError:
                    pass

    def unlink_all(self) -> None:
        """Remove all links; whoever joins goes on waiting."""
        for links in (self._links, self._spawned_links):
            if links:
                joining = [link for link in links if isinstance(link, greenlet)]
                links.clear()
                links.extend(joining)

    # -- called by the hub and by carriers

    def _notify_links(self) -> None:
        """Call the links, in order, and put the spawned ones in line; called by the hub."""
        links = self._links
        if links and len(links) > SHORT_LINE:
            links = self._links = deque(links)
        while links:
            link: Any = links.pop(0) if links.__class__ is list else pop_first(links)
            kind = link.__class__
            if kind is MethodType:  # of a group, by far the most frequent
                pass
            elif kind is Carrier or isinstance(link, greenlet):  # it joins
                if link.waiting_on is self:
                    resume(link)
                continue
            elif kind in _SPAWNED:
                if self._spawned_links is None:
                    self._spawned_links = [link]
                    self.hub.link_calls.append(self)
                else:
                    self._spawned_links.append(link)
                continue
            try:
                link(self)
            except BaseException as error:
                self.hub.handle_error((link, self), type(error), error, error.__traceback__)

    def _next_spawned_link(self) -> Callable[[Any], Any] | None:
        """Take the next callback that a carrier has to call, None when there are no more; called by carriers."""
        links = self._spawned_links
        if links and len(links) > SHORT_LINE and links.__class__ is list:
            links = self._spawned_links = deque(links)
        while links:
            link: Any = pop_first(links)
            if link.concerns(self):
                callback: Callable[[Any], Any] = link.callback
                return callback
        self._spawned_links = None
        return None


def pop_first(line: Line) -> Any:
    """Take the first link of a line."""
    return line.popleft() if line.__class__ is deque else line.pop(0)  # type: ignore[call-arg]
