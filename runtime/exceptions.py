"""The runtime's own exceptions, under the names that gevent's users know.

`GreenletExit` is greenlet's own: it ends a greenlet without being an error.
"""

from greenlet import GreenletExit

__all__ = [
    "BlockingSwitchOutError",
    "ConcurrentObjectUseError",
    "GreenletExit",
    "HubDestroyed",
    "InvalidSwitchError",
    "InvalidThreadUseError",
    "LoopExit",
]


class LoopExit(Exception):
    """A wait could never end: nothing is ready, no timer is set, nothing else can wake the hub."""

    @property
    def hub(self) -> object:
        """The hub that ran dry (None when unknown)."""
        return self.args[1] if len(self.args) > 1 else None

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class BlockingSwitchOutError(AssertionError):
    """A call that blocks was made where nothing may block: in the hub itself, in a timer or a raw link."""


class InvalidSwitchError(AssertionError):
    """A parked greenlet was switched to by somebody other than what it waits for."""


class ConcurrentObjectUseError(AssertionError):
    """An object that serves one greenlet at a time was used by a second one."""


class InvalidThreadUseError(RuntimeError):
    """An object was used from a thread in which it cannot work."""


class HubDestroyed(GreenletExit):
    """The hub was destroyed while it ran."""
