"""File descriptors and the wake-up from other threads: where the hub sleeps.

One epoll object (poll where there is none), level triggered. A watch calls back in
the hub whenever its descriptor is ready. Registrations are lazy: when the last watch
of a descriptor that its owner promised to `forget` before closing (`keep=True`, our
sockets) stops, the kernel keeps the registration, because the next recv() will most
likely want it again; an event that then finds no watch removes it. So a ping-pong
costs no epoll_ctl at all. Descriptors of others are unregistered at once: they may be
closed and their number reused without our knowledge.

The wake-up is a pipe, so that `signal.set_wakeup_fd` can write to it, too.
"""

import os
import select
from collections.abc import Callable
from typing import Any

READ = 1
WRITE = 2

_IN = getattr(select, "EPOLLIN", 1)
_OUT = getattr(select, "EPOLLOUT", 4)
#: the kernel reports these unasked; they make a descriptor both readable and writable (recv or send tells why)
_BROKEN = getattr(select, "EPOLLERR", 8) | getattr(select, "EPOLLHUP", 16)


class Watch:
    """One callback on one descriptor for READ, WRITE or both, until stopped."""

    __slots__ = ("args", "events", "fd", "function", "keep", "poller")

    def __init__(self, poller: "Poller", fd: int, events: int, function: Callable[..., Any], args: Any, keep: bool):
        self.poller = poller
        self.fd = fd
        self.events = events
        self.function: Callable[..., Any] | None = function
        self.args = args
        self.keep = keep

    def stop(self) -> None:
        """End the watch. Idempotent."""
        if self.function is not None:
            self.function = None
            self.poller.remove(self)


class Interest:
    """All watches of one descriptor, and what the kernel was asked for."""

    __slots__ = ("mask", "watches")

    def __init__(self) -> None:
        self.mask = 0
        self.watches: list[Watch] = []


class Poller:
    """The descriptors of one hub."""

    def __init__(self) -> None:
        self._poll = select.epoll() if hasattr(select, "epoll") else select.poll()
        self._in_seconds = hasattr(select, "epoll")
        self._interests: dict[int, Interest] = {}
        #: running watches: they keep the loop alive
        self.refs = 0
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._poll.register(self._wake_read, _IN)

    @property
    def wakeup_fd(self) -> int:
        """A non-blocking descriptor; any byte written to it ends poll()."""
        return self._wake_write

    def wake(self) -> None:
        """End poll() in its thread. Safe from any thread and from signal handlers; never blocks."""
        try:
            os.write(self._wake_write, b"\0")
        except OSError:
            pass  # full: a wake-up is under way already; closed: nobody sleeps there

    @property
    def idle(self) -> bool:
        """True when the kernel watches nothing but the wake-up pipe."""
        return not self._interests

    def add(self, fd: int, events: int, function: Callable[..., Any], args: Any = (), keep: bool = False) -> Watch:
        """Call `function(*args)` in the hub whenever `fd` is ready for `events`, until the watch is stopped.

        Raises OSError (EBADF) for a descriptor that is not open; one that cannot be polled, such as a regular
        file, raises PermissionError: it never blocks.
        """
        interest = self._interests.get(fd)
        if interest is None:
            interest = Interest()
        watch = Watch(self, fd, events, function, args, keep)
        interest.watches.append(watch)
        try:
            self._adjust(fd, interest)
        except OSError:
            interest.watches.remove(watch)
            watch.function = None
            raise
        self._interests[fd] = interest
        self.refs += 1
        return watch

    def remove(self, watch: Watch) -> None:
        """Forget a stopped watch (use Watch.stop)."""
        self.refs -= 1
        interest = self._interests.get(watch.fd)
        if interest is None or watch not in interest.watches:
            return
        interest.watches.remove(watch)
        if not watch.keep:
            self._shrink(watch.fd, interest)

    def forget(self, fd: int) -> list[Watch]:
        """Drop a descriptor that its owner is about to close; returns the watches that were still on it."""
        interest = self._interests.pop(fd, None)
        if interest is None:
            return []
        if interest.mask:
            try:
                self._poll.unregister(fd)
            except (OSError, KeyError, ValueError):
                pass
        watches = list(interest.watches)
        interest.watches.clear()
        return watches

    def poll(self, timeout: float | None) -> list[Watch]:
        """Wait up to `timeout` seconds (None: for ever, 0: not at all); returns the watches that are ready."""
        if timeout is None:
            timeout = -1
        elif not self._in_seconds:
            timeout *= 1000
        fired: list[Watch] = []
        for fd, mask in self._poll.poll(timeout):
            if fd == self._wake_read:
                self._drain()
                continue
            interest = self._interests.get(fd)
            if interest is None:
                continue
            events = (READ if mask & (_IN | _BROKEN) else 0) | (WRITE if mask & (_OUT | _BROKEN) else 0)
            wanted = [watch for watch in interest.watches if watch.events & events]
            if wanted:
                fired += wanted
            else:
                self._shrink(fd, interest)
        return fired

    def close(self) -> None:
        """Give all descriptors back. Idempotent."""
        if self._wake_read >= 0:
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_read = self._wake_write = -1
            if self._in_seconds:
                self._poll.close()
            self._interests.clear()

    def _drain(self) -> None:
        try:
            while len(os.read(self._wake_read, 4096)) == 4096:
                pass
        except OSError:
            pass

    @staticmethod
    def _wanted_mask(interest: Interest) -> int:
        mask = 0
        for watch in interest.watches:
            mask |= (_IN if watch.events & READ else 0) | (_OUT if watch.events & WRITE else 0)
        return mask

    def _adjust(self, fd: int, interest: Interest) -> None:
        """Widen the registration to what the watches want."""
        mask = interest.mask | self._wanted_mask(interest)
        if not interest.mask:
            self._poll.register(fd, mask)
        elif mask != interest.mask:
            self._poll.modify(fd, mask)
        interest.mask = mask

    def _shrink(self, fd: int, interest: Interest) -> None:
        """Narrow the registration to what the watches want; drop it when that is nothing."""
        mask = self._wanted_mask(interest)
        if mask == interest.mask:
            if not mask:
                self._interests.pop(fd, None)
            return
        try:
            if mask:
                self._poll.modify(fd, mask)
            else:
                self._interests.pop(fd, None)
                self._poll.unregister(fd)
        except (OSError, KeyError, ValueError):
            pass  # closed by its owner meanwhile: the kernel has forgotten it already
        interest.mask = mask
