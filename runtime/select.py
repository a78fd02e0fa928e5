"""select() and poll() that make only their greenlet wait; every other name is the standard library's.

Both first ask without waiting; when nothing is ready, the greenlet parks on all the
descriptors at once, and then asks again. What is asked is the standard library, so the
answers are its own.

Deliberate difference from gevent:
1. select() reports exceptional conditions (urgent data), not an empty list.
"""

import select as _std
from collections.abc import Iterable
from select import *  # noqa: F403 - this module stands in for it
from typing import Any

from greenlet import getcurrent

from greenscope.runtime.poller import READ, URGENT, WRITE, Watch
from greenscope.runtime.waiting import current_hub, park_until, resume, sleep

__all__ = [name for name in dir(_std) if not name.startswith("_")]

_POLL_READ = _std.POLLIN | getattr(_std, "POLLRDHUP", 0)


class Descriptors:
    """Watches on many descriptors; what a greenlet in select() or poll() is parked on."""

    waits_as = "select"

    def __init__(self, events: dict[int, int]) -> None:
        self.events = events

    def wait(self, seconds: float | None) -> None:
        """Park until one of them may be ready, or for `seconds`. Blocks; raises OSError (EBADF)."""
        raw: Any = getcurrent()
        poller = current_hub(raw).poller
        watches: list[Watch] = []
        always = False
        try:
            for fd, events in self.events.items():
                try:
                    watches.append(poller.add(fd, events, resume, (raw,)))
                except PermissionError:
                    always = True  # a regular file never blocks
            if not always:
                park_until(self, seconds)
        finally:
            for watch in watches:
                watch.stop()

    def __repr__(self) -> str:
        return f"<Descriptors {sorted(self.events)}>"


def descriptor_of(thing: Any) -> int:
    """Return a descriptor's number from it or from a file object; errors are those of select()."""
    fd = thing if isinstance(thing, int) else thing.fileno()
    if not isinstance(fd, int):
        raise TypeError("argument must be an int, or have a fileno() method.")
    if fd < 0:
        raise ValueError(f"file descriptor cannot be a negative integer ({fd})")
    return fd


def select(  # type: ignore[no-redef]
    rlist: Iterable[Any], wlist: Iterable[Any], xlist: Iterable[Any], timeout: float | None = None
) -> tuple[list[Any], list[Any], list[Any]]:
    """Return those of the three lists that are ready to read, ready to write, and in an exceptional condition.

    Three empty lists after `timeout` seconds (None: never). Blocks; errors are the standard library's.
    """
    lists = (list(rlist), list(wlist), list(xlist))
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    if timeout == 0:
        ready = _std.select(*lists, 0)
        sleep(0)  # a loop that asks and asks must not keep the others out
        return ready
    ready = _std.select(*lists, 0)
    if any(ready):
        return ready
    events: dict[int, int] = {}
    for things, event in zip(lists, (READ, WRITE, URGENT), strict=True):
        for thing in things:
            fd = descriptor_of(thing)
            events[fd] = events.get(fd, 0) | event
    found: tuple[list[Any], list[Any], list[Any]]
    found = _wait(Descriptors(events), lambda: _std.select(*lists, 0), any, timeout)
    return found


def _wait(descriptors: Descriptors, ask: Any, is_ready: Any, timeout: float | None) -> Any:
    """Park and ask until the answer is one, or the time is over; then it is the last answer."""
    clock = current_hub(getcurrent()).clock
    deadline = None if timeout is None else clock() + timeout
    while True:
        left = None if deadline is None else deadline - clock()
        if left is None or left > 0:
            descriptors.wait(left)
        answer = ask()
        if is_ready(answer) or (deadline is not None and clock() >= deadline):
            return answer


class poll:  # type: ignore[no-redef]
    """A polling object as the standard library's; poll() makes only the greenlet wait."""

    def __init__(self) -> None:
        self._poll = _std.poll()
        self._events: dict[int, int] = {}

    def register(self, fd: Any, eventmask: int = _std.POLLIN | _std.POLLPRI | _std.POLLOUT) -> None:
        """Watch a descriptor; a second time changes its events."""
        self._poll.register(fd, eventmask)
        self._events[descriptor_of(fd)] = eventmask

    def modify(self, fd: Any, eventmask: int) -> None:
        """Change the events; raises FileNotFoundError for a descriptor that is not watched."""
        self._poll.modify(fd, eventmask)
        self._events[descriptor_of(fd)] = eventmask

    def unregister(self, fd: Any) -> None:
        """Watch a descriptor no more; raises KeyError for one that is not watched."""
        self._poll.unregister(fd)
        del self._events[descriptor_of(fd)]

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        """Return (descriptor, events) of what is ready; none after `timeout` milliseconds (None or less than 0: never).

        Blocks.
        """
        ready = self._poll.poll(0)
        if ready or timeout == 0:
            if timeout == 0:
                sleep(0)
            return ready
        events = {
            fd: (READ if mask & _POLL_READ else 0)
            | (WRITE if mask & _std.POLLOUT else 0)
            | (URGENT if mask & _std.POLLPRI else 0)
            for fd, mask in self._events.items()
        }
        seconds = None if timeout is None or timeout < 0 else timeout / 1000
        found: list[tuple[int, int]] = _wait(Descriptors(events), lambda: self._poll.poll(0), bool, seconds)
        return found
