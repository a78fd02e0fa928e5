"""Wait for a descriptor: one's own for its whole life, or anybody's once.

A `Descriptor` belongs to a socket or a pipe. It is bound to the hub of the thread that
waits on it, and moves to another thread's when that waits. One greenlet at a time may
wait to read and one to write: a second one could steal what the first was promised, so
it gets ConcurrentObjectUseError.
"""

from errno import EBADF
from typing import Any

from greenlet import getcurrent

from greenscope.runtime.exceptions import ConcurrentObjectUseError
from greenscope.runtime.hub import get_hub_if_exists
from greenscope.runtime.poller import READ, WRITE, Owner, Watch
from greenscope.runtime.waiting import current_hub, interrupt, park, park_until, resume

__all__ = ["Descriptor", "cancel_wait_ex", "wait_descriptor", "wait_read", "wait_readwrite", "wait_write"]


class cancel_wait_ex(OSError):
    """What a greenlet gets that waits for a descriptor which another one closes."""

    def __init__(self) -> None:
        super().__init__(EBADF, "File descriptor was closed in another greenlet")


class Descriptor:
    """The waits of one descriptor that is owned by somebody who calls release() before closing it."""

    __slots__ = ("fd", "owner")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.owner: Owner | None = None

    def wait_readable(self, seconds: float | None = None) -> bool:
        """Park until it may be readable; False when `seconds` passed before. Call it only when reading would block."""
        raw: Any = getcurrent()
        try:
            poller = raw.hub.poller
        except AttributeError:
            poller = current_hub(raw).poller
        owner = self.owner
        if owner is None or owner.poller is not poller:
            owner = self._move(poller)
        return self._wait(raw, owner, owner.reader, seconds)

    def wait_writable(self, seconds: float | None = None) -> bool:
        """Park until it may be writable; False when `seconds` passed before. Call it only when writing would block."""
        raw: Any = getcurrent()
        poller = current_hub(raw).poller
        owner = self.owner
        if owner is None or owner.poller is not poller:
            owner = self._move(poller)
        return self._wait(raw, owner, owner.writer, seconds)

    @staticmethod
    def _wait(raw: Any, owner: Owner, watch: Watch, seconds: float | None) -> bool:
        if watch.function is not None:
            raise ConcurrentObjectUseError(
                f"another greenlet waits already to {watch.waits_as} descriptor {watch.fd}: {watch.args[0]!r}"
            )
        poller = watch.poller
        watch.args = (raw,)
        watch.function = resume
        try:
            poller.arm(owner, watch.events)
        except OSError:
            watch.function = None
            watch.args = ()
            raise
        poller.refs += 1
        try:
            if seconds is None:
                park(watch)
                return True
            return park_until(watch, seconds)
        finally:
            poller.refs -= 1
            watch.function = None
            watch.args = ()

    def _move(self, poller: Any) -> Owner:
        """Bind it to the poller of this thread; it may be another one's, or the one from before a fork."""
        old = self.owner
        if old is not None and not old.poller.closed:
            for watch in (old.reader, old.writer):
                if watch.function is not None:
                    raise ConcurrentObjectUseError(
                        f"descriptor {self.fd} is waited for by a greenlet of another thread: {watch.args[0]!r}"
                    )
            old.poller.forget(self.fd)
        owner: Owner = poller.own(self.fd)
        self.owner = owner
        return owner

    def release(self) -> None:
        """Let go of it before it is closed or given away.

        Greenlets that wait for it get cancel_wait_ex; those that watch it from outside, as in select(), look again.
        """
        fd, self.fd = self.fd, -1
        owner, self.owner = self.owner, None
        if fd < 0:
            return  # released before: the number may be somebody else's by now
        if owner is not None:
            poller = owner.poller
        else:
            hub = get_hub_if_exists()
            if hub is None or hub.poller.idle:
                return
            poller = hub.poller
        if not poller.closed:
            for watch in poller.forget(fd):
                _cancel(watch, owner is not None and watch in (owner.reader, owner.writer))


def _cancel(watch: Watch, waits: bool) -> None:
    if watch.function is None:
        return
    raw = watch.args[0] if watch.function is resume else None
    if not waits or raw is None:
        call: tuple[Any, ...] = (watch.function, *watch.args)
    else:
        call = (interrupt, raw, cancel_wait_ex())
    hub = getattr(raw, "hub", None)
    if hub is None or hub is get_hub_if_exists():
        call[0](*call[1:])
    else:
        hub.run_callback(*call)


def wait_descriptor(fd: int, events: int, seconds: float | None = None) -> bool:
    """Park until anybody's descriptor is ready for READ, WRITE or both; False when `seconds` passed before.

    One that cannot be polled, such as a regular file, is always ready. Raises OSError (EBADF) when it is not open.
    """
    raw: Any = getcurrent()
    try:
        watch = current_hub(raw).poller.add(fd, events, resume, (raw,))
    except PermissionError:
        return True
    try:
        return park_until(watch, seconds)
    finally:
        watch.stop()


def wait_read(fileno: int, timeout: float | None = None, timeout_exc: Any = None) -> None:
    """Wait until `fileno` is readable; raises `timeout_exc` (TimeoutError) after `timeout` seconds. Blocks."""
    _wait_or_raise(fileno, READ, timeout, timeout_exc)


def wait_write(fileno: int, timeout: float | None = None, timeout_exc: Any = None, event: Any = None) -> None:
    """Wait until `fileno` is writable; raises `timeout_exc` (TimeoutError) after `timeout` seconds. Blocks."""
    _wait_or_raise(fileno, WRITE, timeout, timeout_exc)


def wait_readwrite(fileno: int, timeout: float | None = None, timeout_exc: Any = None, event: Any = None) -> None:
    """Wait until `fileno` is readable or writable; raises `timeout_exc` after `timeout` seconds. Blocks."""
    _wait_or_raise(fileno, READ | WRITE, timeout, timeout_exc)


def _wait_or_raise(fileno: int, events: int, timeout: float | None, timeout_exc: Any) -> None:
    if not wait_descriptor(fileno, events, timeout):
        raise TimeoutError("timed out") if timeout_exc is None else timeout_exc
