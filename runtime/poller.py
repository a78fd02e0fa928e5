"""File descriptors and the wake-up from other threads: where the hub sleeps.

One epoll object (poll where there is none). A descriptor can be watched in two ways:

- `add` is for anybody's descriptor: level triggered, unregistered at once when the
  watch stops, because its owner may close it and the number be reused without our
  knowledge.
- `own` is for those who promise to `forget` a descriptor before they close it
  (sockets, pipes). It is registered once, edge triggered: whoever owns it asks the
  kernel first and parks only when that would block, so an edge that finds nobody
  parked is no loss, and a ping-pong costs no epoll_ctl at all.

Both on one descriptor make it level triggered for that time. The wake-up is a pipe, so
that `signal.set_wakeup_fd` can write to it, too.
"""

import os
import select
from collections.abc import Callable
from typing import Any

READ = 1
WRITE = 2
#: urgent data, what select() calls an exceptional condition
URGENT = 4

_IN = getattr(select, "EPOLLIN", 1)
_OUT = getattr(select, "EPOLLOUT", 4)
_PRI = getattr(select, "EPOLLPRI", 2)
_EDGE = getattr(select, "EPOLLET", 0)
#: asked for with every edge-triggered read: there is more than bytes (the peer's end, urgent data)
_ODD = getattr(select, "EPOLLRDHUP", 0) | _PRI if _EDGE else 0
#: the kernel reports these unasked; they make a descriptor both readable and writable (recv or send tells why)
_BROKEN = getattr(select, "EPOLLERR", 8) | getattr(select, "EPOLLHUP", 16)
KINDS = {READ: "read", WRITE: "write", READ | WRITE: "read or write"}
_READABLE = _IN | _ODD | _BROKEN
_WRITABLE = _OUT | _BROKEN


class Watch:
    """One callback on one descriptor for READ, WRITE, URGENT or several of them, until stopped."""

    __slots__ = ("args", "events", "fd", "function", "poller")

    def __init__(self, poller: "Poller", fd: int, events: int) -> None:
        self.poller = poller
        self.fd = fd
        self.events = events
        self.function: Callable[..., Any] | None = None
        self.args: Any = ()

    @property
    def waits_as(self) -> str:
        """What a greenlet that is parked on it waits for."""
        return KINDS.get(self.events, "descriptor")

    def stop(self) -> None:
        """End the watch. Idempotent."""
        if self.function is not None:
            self.function = None
            self.args = ()
            self.poller.remove(self)

    def __repr__(self) -> str:
        return f"<Watch to {self.waits_as} descriptor {self.fd}>"


class Owner:
    """A descriptor that is forgotten before it is closed; its two watches are set and cleared by whoever waits.

    `exact`: from now on the kernel tells of every edge, and has told of nothing but bytes so far. So when a read of
    a byte stream came back short, nothing is left: its owner may set `drained`, and park instead of reading in vain.
    The next edge that finds nobody parked clears it.
    """

    __slots__ = ("drained", "exact", "fd", "interest", "odd", "poller", "reader", "writer")

    def __init__(self, poller: "Poller", fd: int, interest: "Interest") -> None:
        self.poller = poller
        self.fd = fd
        self.interest = interest
        self.reader = Watch(poller, fd, READ)
        self.writer = Watch(poller, fd, WRITE)
        self.drained = False
        self.exact = False
        self.odd = False


class Interest:
    """All watches of one descriptor, in order, and what the kernel was asked for; there may be thousands of them."""

    __slots__ = ("counts", "mask", "owner", "watches")

    def __init__(self) -> None:
        self.mask = 0
        self.watches: dict[Watch, None] = {}
        #: how many of them are for which events
        self.counts: dict[int, int] = {}
        self.owner: Owner | None = None

    def add(self, watch: Watch) -> None:
        """Put a watch last. No signal's handler comes in between: there is no call."""
        counts, events = self.counts, watch.events
        self.watches[watch] = None
        counts[events] = counts[events] + 1 if events in counts else 1

    def remove(self, watch: Watch) -> bool:
        """Take a watch out; False when it is not there."""
        if watch not in self.watches:
            return False
        del self.watches[watch]
        self.counts[watch.events] -= 1
        if not self.counts[watch.events]:
            del self.counts[watch.events]
        return True


class Poller:
    """The descriptors of one hub."""

    def __init__(self) -> None:
        self._poll: Any = select.epoll() if hasattr(select, "epoll") else select.poll()
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
        """True when nobody waits for a descriptor: there is nothing to ask the kernel for."""
        return not self.refs

    @property
    def closed(self) -> bool:
        """True after close()."""
        return self._wake_read < 0

    # -- anybody's descriptors

    def add(self, fd: int, events: int, function: Callable[..., Any], args: Any = ()) -> Watch:
        """Call `function(*args)` in the hub whenever `fd` is ready for `events`, until the watch is stopped.

        Raises OSError (EBADF) for a descriptor that is not open; one that cannot be polled, such as a regular
        file, raises PermissionError: it never blocks.
        """
        interest = self._interests.get(fd)
        if interest is None:
            interest = Interest()
        watch = Watch(self, fd, events)
        watch.function = function
        watch.args = args
        interest.add(watch)
        try:
            self._adjust(fd, interest)
        except OSError:
            interest.remove(watch)
            raise
        self._interests[fd] = interest
        self.refs += 1
        return watch

    def remove(self, watch: Watch) -> None:
        """Forget a stopped watch (use Watch.stop)."""
        interest = self._interests.get(watch.fd)
        if interest is not None and interest.remove(watch):
            self.refs -= 1
            self._relax(watch.fd, interest)

    # -- owned descriptors

    def own(self, fd: int) -> Owner:
        """Return the handle of a descriptor that its owner will forget() before closing it. Asks the kernel nothing."""
        interest = self._interests.get(fd)
        if interest is None or interest.owner is not None:
            self.forget(fd)  # of an owner that did not keep the promise: the number is somebody else's now
            interest = self._interests[fd] = Interest()
        owner = interest.owner = Owner(self, fd, interest)
        return owner

    def arm(self, owner: Owner, events: int) -> None:
        """Make sure that the kernel is asked for `events` of an owned descriptor; its watch must be set already."""
        interest = owner.interest
        mask = (_IN | _ODD if events & READ else 0) | (_OUT if events & WRITE else 0) | _EDGE
        if interest.watches:
            self._adjust(owner.fd, interest)
        elif mask & ~interest.mask:
            self._set_mask(owner.fd, interest, mask | interest.mask)

    def forget(self, fd: int) -> list[Watch]:
        """Drop a descriptor that its owner is about to close; returns the watches that were still on it, unstopped."""
        interest = self._interests.pop(fd, None)
        if interest is None:
            return []
        if interest.mask:
            try:
                self._poll.unregister(fd)
            except (OSError, KeyError, ValueError):
                pass
            interest.mask = 0
        watches = list(interest.watches)
        self.refs -= len(watches)
        owner, interest.owner = interest.owner, None
        if owner is not None:
            watches += [watch for watch in (owner.reader, owner.writer) if watch.function is not None]
        interest.watches, interest.counts = {}, {}
        return watches

    # -- for the hub

    def poll(self, timeout: float | None) -> list[Watch]:
        """Wait up to `timeout` seconds (None: for ever, 0: not at all); returns the watches that are ready."""
        if timeout is None:
            timeout = -1
        elif not self._in_seconds:
            timeout *= 1000
        fired: list[Watch] = []
        interests = self._interests
        for fd, mask in self._poll.poll(timeout):
            interest = interests.get(fd)
            if interest is None:
                if fd == self._wake_read:
                    self._drain()
                continue
            owner = interest.owner
            if owner is not None:
                if mask & _READABLE:
                    if mask & (_ODD | _BROKEN):
                        owner.odd = True
                        owner.exact = owner.drained = False
                    watch = owner.reader
                    if watch.function is not None:
                        fired.append(watch)
                    else:
                        owner.drained = False
                if mask & _WRITABLE:
                    watch = owner.writer
                    if watch.function is not None:
                        fired.append(watch)
                if _EDGE and not interest.watches:
                    continue
            self._fire(fd, interest, mask, fired)
        return fired

    def _fire(self, fd: int, interest: Interest, mask: int, fired: list[Watch]) -> None:
        """Collect the watches of a level-triggered descriptor; narrow it when nobody wants what was reported."""
        before = len(fired)
        events = (READ if mask & _READABLE else 0) | (WRITE if mask & _WRITABLE else 0)
        events |= URGENT if mask & (_PRI | _BROKEN) else 0
        for watch in list(interest.watches):  # a signal's handler may stop one meanwhile
            if watch.events & events:
                fired.append(watch)
        if len(fired) == before:
            self._set_mask(fd, interest, self._wanted_mask(interest))

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
        """Return what is waited for just now, level triggered."""
        mask = 0
        for events in list(interest.counts):
            mask |= (_IN if events & READ else 0) | (_OUT if events & WRITE else 0) | (_PRI if events & URGENT else 0)
        owner = interest.owner
        if owner is not None:
            mask |= _IN if owner.reader.function is not None else 0
            mask |= _OUT if owner.writer.function is not None else 0
        return mask

    def _adjust(self, fd: int, interest: Interest) -> None:
        """Widen a level-triggered registration to what the watches want."""
        wanted = self._wanted_mask(interest)
        if interest.mask & _EDGE:
            self._set_mask(fd, interest, wanted)
        elif wanted & ~interest.mask:
            self._set_mask(fd, interest, wanted | interest.mask)

    def _relax(self, fd: int, interest: Interest) -> None:
        """Narrow a registration after a watch has stopped: to nothing, or back to the edges of its owner."""
        if interest.watches:
            return  # narrowed when the kernel reports what nobody wants
        mask = 0
        owner = interest.owner
        if owner is not None:
            mask = _IN | _OUT | _ODD | _EDGE if _EDGE else self._wanted_mask(interest)
        else:
            self._interests.pop(fd, None)
        self._set_mask(fd, interest, mask, quiet=True)

    def _set_mask(self, fd: int, interest: Interest, mask: int, quiet: bool = False) -> None:
        before = interest.mask
        if mask == before:
            return
        try:
            if not before:
                self._poll.register(fd, mask)
            elif mask:
                try:
                    self._poll.modify(fd, mask)
                except FileNotFoundError:  # closed without a word, and the number is in use again
                    self._poll.register(fd, mask)
            else:
                self._poll.unregister(fd)
        except (OSError, KeyError, ValueError):
            if mask and not quiet:
                raise
            # else closed by its owner meanwhile: the kernel has forgotten it already
        interest.mask = mask
        owner = interest.owner
        if owner is not None:
            owner.exact = bool(mask & _EDGE and mask & _IN) and not owner.odd
            owner.drained = False
