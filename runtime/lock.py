"""Locks: Semaphore, BoundedSemaphore, DummySemaphore and RLock.

The first two are the business of `semaphore`. An RLock is a semaphore with an owner,
who may acquire it again; observers read the owner and so see who waits for whom.
"""

from collections.abc import Callable
from typing import Any

from greenscope.runtime.greenlet import getcurrent
from greenscope.runtime.hub import Hub
from greenscope.runtime.semaphore import BoundedSemaphore, Semaphore

__all__ = ["BoundedSemaphore", "DummySemaphore", "RLock", "Semaphore"]


class DummySemaphore:
    """A Semaphore with as many slots as anybody wants: nothing ever blocks."""

    def __init__(self, value: int | None = None) -> None:
        """Take a value, for the same signature as Semaphore; it means nothing."""

    def __str__(self) -> str:
        return f"<{type(self).__name__}>"

    def locked(self) -> bool:
        """Return False."""
        return False

    def ready(self) -> bool:
        """Return True."""
        return True

    def release(self) -> None:
        """Do nothing."""

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """Do nothing."""

    def unlink(self, callback: Callable[[Any], Any]) -> None:
        """Do nothing."""

    def wait(self, timeout: float | None = None) -> int:
        """Return 1 at once."""
        return 1

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Return True at once."""
        return True

    def __enter__(self) -> None:
        pass

    def __exit__(self, type_: Any, value: Any, tb: Any) -> None:
        pass


class RLock:
    """A lock that its owner may acquire again; it is free after as many release() calls."""

    __slots__ = ("__weakref__", "_block", "_count", "_owner")
    waits_as = "lock"

    def __init__(self, hub: Hub | None = None) -> None:
        self._block = Semaphore(1, hub)
        self._owner: Any = None
        self._count = 0

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} at {id(self):#x} _block={self._block} _count={self._count} _owner={self._owner!r}>"
        )

    @property
    def owner(self) -> Any:
        """The greenlet that holds it, None when it is free."""
        return self._owner

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool | int:
        """Take the lock; blocks while another greenlet holds it.

        Returns false when that still holds after `timeout` seconds, at once when `blocking` is false.
        """
        me = getcurrent()
        if self._owner is me:
            self._count += 1
            return 1
        block = self._block
        if block.acquire(False) or (blocking and block._acquire_in_line(timeout, self)):
            self._owner = me
            self._count = 1
            return True
        return False

    def release(self) -> None:
        """Give it back. Raises RuntimeError when the current greenlet doesn't hold it. Does not block."""
        if self._owner is not getcurrent():
            raise RuntimeError(f"cannot release un-acquired lock. Owner: {self._owner!r} Current: {getcurrent()!r}")
        self._count = count = self._count - 1
        if not count:
            self._owner = None
            self._block.release()

    def locked(self) -> bool:
        """Return True while somebody holds it."""
        return self._count > 0

    def __enter__(self) -> bool | int:
        return self.acquire()

    def __exit__(self, type_: Any, value: Any, tb: Any) -> None:
        self.release()

    # -- what threading.Condition asks of its lock

    def _release_save(self) -> tuple[int, Any]:
        saved = (self._count, self._owner)
        self._count = 0
        self._owner = None
        self._block.release()
        return saved

    def _acquire_restore(self, saved: tuple[int, Any]) -> None:
        self._block.acquire()
        self._count, self._owner = saved

    def _is_owned(self) -> bool:
        return self._owner is getcurrent()

    def _at_fork_reinit(self) -> None:
        """Be free, in a forked child."""
        self._block._at_fork_reinit()
        self._block.counter = 1
        self._owner = None
        self._count = 0
