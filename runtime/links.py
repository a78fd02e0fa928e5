"""What runs when something ends: the callbacks of link(), link_value(), link_exception().

A raw link is called in the hub and must not block. A spawned link may block, so it is
put in line for a carrier: one carrier serves the whole line of a turn as long as no
callback blocks, and the next one goes on when one does. So a link costs a call, not a
greenlet, and a callback that fails or hangs stops no other. Until its turn comes it
stays with its source, where unlink() finds it.
"""

from collections.abc import Callable
from typing import Any

from greenlet import greenlet

from greenscope.runtime.hub import get_hub

__all__ = ["FailureSpawnedLink", "SpawnedLink", "SuccessSpawnedLink"]


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
