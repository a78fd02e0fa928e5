"""Group and Pool: greenlets that belong together, and no more of them than there are slots.

A greenlet that ends leaves by itself: one raw link per greenlet sees to that. A Pool
has a semaphore with one slot per member; whoever spawns into a full pool waits in its
line. `pool.size = n` gives slots to the line or takes free ones away at once; members
that are too many stay until they end, and their slots don't come back.

Deliberate differences from gevent:
1. `size` of a Pool can be set while it works (gevent: takes no effect).
2. Adding a member again does nothing, and takes no second slot; discarding one that is no member frees none.
3. `name` and `waiting_count()` are ours.
"""

import itertools
import queue
import weakref
from collections.abc import Iterable, Iterator
from types import MethodType
from typing import Any

from greenscope.runtime.carriers import VALUE
from greenscope.runtime.event import Event
from greenscope.runtime.exceptions import GreenletExit
from greenscope.runtime.greenlet import Greenlet, getcurrent
from greenscope.runtime.hub import get_hub
from greenscope.runtime.instruments import SPAWNED, SPAWNED_INTO, SPAWNED_MAPPED, hooks, write
from greenscope.runtime.interruption import is_programs
from greenscope.runtime.lock import DummySemaphore, Semaphore
from greenscope.runtime.mapping import MappingMixin
from greenscope.runtime.timeout import Timeout, limit
from greenscope.runtime.waits import kill, wait_dead

__all__ = ["Group", "Pool", "PoolFull"]

#: all groups of the process, for observers
groups: "weakref.WeakSet[Group]" = weakref.WeakSet()
_numbers = itertools.count(1)


class Group(MappingMixin):
    """A set of greenlets that are alive: started here or added, removed when they end."""

    #: what spawn() makes
    greenlet_class: Any = Greenlet
    #: what a greenlet in join() is shown to wait for
    waits_as = "group"
    #: the greenlet that spawn() is starting, while somebody watches
    _spawns: Any = None
    #: its number, alone, while somebody watches
    _greenscope_groups: tuple[int, ...] | None = None

    def __init__(self, *args: Iterable[Any]) -> None:
        if len(args) > 1:
            raise TypeError(f"{type(self).__name__}() takes at most one iterable of greenlets ({len(args)} given)")
        self.greenlets: set[Any] = set()
        #: members that kill() was asked for: it interrupts each of them once
        self.dying: set[Any] = set()
        self._empty: Event | None = None
        self._number = next(_numbers)
        self._name: str | None = None
        groups.add(self)
        if hooks.group_opened:
            hooks.call("group_opened", self)
        if args:
            for greenlet in args[0]:
                Group.add(self, greenlet)

    @property
    def name(self) -> str:
        """`Group-<number>` unless it was set."""
        return f"{type(self).__name__}-{self._number}" if self._name is None else self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} {self.greenlets}>"

    def __len__(self) -> int:
        return len(self.greenlets)

    def __contains__(self, item: object) -> bool:
        return item in self.greenlets

    def __iter__(self) -> Iterator[Any]:
        return iter(self.greenlets)

    # -- members

    def add(self, greenlet: Any) -> None:
        """Take a greenlet in, which should not have begun. A raw greenlet stays until it is discarded."""
        members = self.greenlets
        if greenlet in members:  # no second slot (difference 2)
            return
        members.add(greenlet)
        if greenlet.__class__ is Greenlet and greenlet._links is None:  # what rawlink() does, without the call
            greenlet._links = [self._discard]
            state = greenlet._state  # looked at last: another thread may have ended it meanwhile
            if not state:  # and it is in no group: it would have a link
                if hooks.grouped:
                    greenlet._greenscope_groups = self._greenscope_groups  # its start will tell
                return
            if state >= VALUE:
                greenlet.hub.run_callback(greenlet._notify_links)
        else:
            try:
                rawlink = getattr(greenlet, "rawlink", None)
                if rawlink is not None:
                    rawlink(self._discard)
            except BaseException:
                members.discard(greenlet)
                raise
        if hooks.grouped:
            self._tell_of(greenlet)

    def _tell_of(self, greenlet: Any) -> None:
        """Let observers know of a member."""
        if not isinstance(greenlet, Greenlet) or greenlet._state:
            hooks.call("grouped", self, greenlet)
            return
        before, own = greenlet._greenscope_groups, self._greenscope_groups
        own = before + own if before and own else before or own
        try:
            greenlet._greenscope_groups = own
        except Exception as error:
            write(greenlet, "_greenscope_groups", own)
            if is_programs(error):
                raise

    def _discard(self, greenlet: Any) -> bool:
        """Let a greenlet go; False when it was no member (difference 2). The link of each member."""
        members = self.greenlets
        if greenlet not in members:
            return False
        members.remove(greenlet)
        if self.dying:
            self.dying.discard(greenlet)
        if self._empty is not None and not members:
            empty, self._empty = self._empty, None
            empty.set()
        return True

    def discard(self, greenlet: Any) -> None:
        """Let a greenlet go that may live on; a no-op when it is no member."""
        if self._discard(greenlet):
            unlink = getattr(greenlet, "unlink", None)
            if unlink is not None:
                unlink(self._discard)
            if hooks.ungrouped and not (isinstance(greenlet, Greenlet) and greenlet._state >= VALUE):
                hooks.call("ungrouped", self, greenlet)

    def start(self, greenlet: Any) -> None:
        """Add a greenlet that was not started, and start it."""
        self.add(greenlet)
        if hooks.on_spawn is not None:
            hooks.depth = SPAWNED_INTO if self._spawns is greenlet else SPAWNED
        greenlet.start()

    def spawn(self, *args: Any, **kwargs: Any) -> Any:
        """Return a new started member; the arguments are those of `greenlet_class`."""
        greenlet = self.greenlet_class(*args, **kwargs)
        if hooks.on_spawn is None:
            self.start(greenlet)
            return greenlet
        self._spawns = greenlet  # as start() is the program's to override
        try:
            self.start(greenlet)
        finally:
            self._spawns = None
        return greenlet

    def full(self) -> bool:
        """Return True when spawn() would block: never."""
        return False

    def wait_available(self, timeout: float | None = None) -> int:
        """Wait until spawn() would not block: return 1 at once."""
        return 1

    # -- ending

    def join(self, timeout: float | None = None, raise_error: bool = False) -> bool:
        """Wait until the group was empty once; False when `timeout` seconds passed before. Blocks.

        With `raise_error` raises the error of one of those that are members now, when it failed.
        """
        members = list(self.greenlets) if raise_error else ()
        emptied = self._wait_empty(timeout)
        for greenlet in members:
            error = getattr(greenlet, "exception", None)
            if error is not None:
                if hasattr(greenlet, "_raise_exception"):
                    greenlet._raise_exception()
                raise error
        return emptied

    def _wait_empty(self, timeout: float | None) -> bool:
        if not self.greenlets:
            return True
        if self._empty is None:
            self._empty = Event()
        return self._empty._wait_in_line(timeout, self)

    def kill(self, exception: Any = GreenletExit, block: bool = True, timeout: float | None = None) -> None:
        """Raise `exception` in all members, once in each; also in those that join meanwhile, when it blocks.

        Waits, unless `block` is false, until all are dead or `timeout` seconds have passed; it does not tell which.
        """
        seconds, given = limit(timeout)
        clock = get_hub().clock
        deadline = None if seconds is None else clock() + seconds
        try:
            while self.greenlets:
                members = list(self.greenlets)
                for greenlet in members:
                    if greenlet not in self.dying:
                        self.dying.add(greenlet)
                        kill(greenlet, exception)
                if not block:
                    return
                left = None if deadline is None else max(0.0, deadline - clock())
                linked = [one for one in members if isinstance(one, Greenlet)]
                if not wait_dead(linked, [one for one in members if not isinstance(one, Greenlet)], left):
                    if given is not None and given.throws is not given:
                        raise given.throws
                    return
                for greenlet in members:  # their links may not have been called yet
                    self.discard(greenlet)
        except Timeout as error:
            if error is not given:
                raise

    def killone(
        self, greenlet: Any, exception: Any = GreenletExit, block: bool = True, timeout: float | None = None
    ) -> None:
        """Raise `exception` in a member, unless that was done before; a no-op when it is none.

        Waits, unless `block` is false, until it is dead or `timeout` seconds have passed.
        """
        if greenlet in self.greenlets and greenlet not in self.dying:
            self.dying.add(greenlet)
            kill(greenlet, exception)
            if block:
                greenlet.join(timeout)
                if greenlet.dead:
                    self.discard(greenlet)

    # -- what the mapping methods ask

    def _mapped_spawn(self) -> Any:
        spawn, start = self.spawn, self.start
        for method, own in ((spawn, _SPAWNS), (start, _STARTS)):
            if type(method) is not MethodType or method.__self__ is not self or method.__func__ not in own:
                return spawn
        return self._spawn_mapped

    def _spawn_mapped(self, *args: Any) -> Any:
        """Do as spawn() does when neither it nor start() was overridden, with calls that can be told beforehand."""
        greenlet = self.greenlet_class(*args)
        self.add(greenlet)
        if hooks.on_spawn is not None:
            hooks.depth = SPAWNED_MAPPED
        greenlet.start()
        return greenlet

    def _apply_immediately(self) -> bool:
        return getcurrent() in self

    def _apply_async_cb_spawn(self, callback: Any, result: Any) -> None:
        Greenlet.spawn(callback, result)

    def _apply_async_use_greenlet(self) -> bool:
        return self.full()


class PoolFull(queue.Full):
    """A Pool had no slot for a new member, at once or in time."""


class Slots(Semaphore):
    """The free slots of a Pool."""

    __slots__ = ("pool",)
    waits_as = "pool slot"

    def __init__(self, value: int, pool: "Pool") -> None:
        Semaphore.__init__(self, max(0, value))
        self.counter = value  # below 0: members that are too many
        self.pool = weakref.ref(pool)

    @property
    def name(self) -> str | None:
        """The pool's name."""
        pool = self.pool()
        return None if pool is None else pool.name


class Pool(Group):
    """A Group of at most `size` members (None: any number). Raises ValueError for a negative size."""

    def __init__(self, size: int | None = None, greenlet_class: Any = None) -> None:
        self._size = self._check_size(size)
        self._semaphore: Any = DummySemaphore() if size is None else Slots(size, self)
        if greenlet_class is not None:
            self.greenlet_class = greenlet_class
        Group.__init__(self)

    @staticmethod
    def _check_size(size: int | None) -> int | None:
        if size is not None and size < 0:
            raise ValueError(f"size must not be negative: {size!r}")
        return size

    # -- slots

    @property
    def size(self) -> int | None:
        """How many members it may have, None for any number. Set it at any time (difference 1); that does not block.

        More: as many of those that wait for a slot go on. Less: nobody is removed, but nobody comes in either until
        enough have ended. Raises ValueError for a negative number.
        """
        return self._size

    @size.setter
    def size(self, size: int | None) -> None:
        before, self._size = self._size, self._check_size(size)
        slots = self._semaphore
        if before is not None and size is not None:
            slots.adjust(size - before)
        elif size is not None:
            self._semaphore = Slots(size - len(self.greenlets), self)
        elif before is not None:
            self._semaphore = DummySemaphore()
            slots.adjust(len(slots._waiters) - slots.counter)  # all go on, and look again

    def free_count(self) -> int:
        """Return how many members may come in without blocking, 1 when there is no limit. Does not block."""
        return 1 if self._size is None else max(0, self._size - len(self.greenlets))

    def full(self) -> bool:
        """Return True when spawn() would block."""
        return self.free_count() <= 0

    def wait_available(self, timeout: float | None = None) -> int:
        """Wait until a slot is free, or `timeout` seconds; returns how many are free. Blocks."""
        available: int = self._semaphore.wait(timeout=timeout)
        return available

    def waiting_count(self) -> int:
        """Return how many greenlets wait for a slot (difference 3). Does not block."""
        return 0 if self._size is None else len(self._semaphore._waiters)

    def _take_slot(self, blocking: bool, timeout: float | None) -> bool:
        while True:
            slots = self._semaphore
            if not slots.acquire(blocking, timeout):
                return False
            if slots is self._semaphore:
                return True
            slots.release()  # the pool's limit came or went meanwhile

    # -- members

    def start(self, greenlet: Any, blocking: bool = True, timeout: float | None = None) -> None:
        """Add a greenlet that was not started, and start it; blocks and raises as add()."""
        if blocking and timeout is None:  # as in gevent: an add() of the program's own may take no more
            self.add(greenlet)
        else:
            self.add(greenlet, blocking, timeout)
        if hooks.on_spawn is not None:
            hooks.depth = SPAWNED_INTO if self._spawns is greenlet else SPAWNED
        greenlet.start()

    def add(self, greenlet: Any, blocking: bool = True, timeout: float | None = None) -> None:
        """Take a greenlet in, which should not have begun. Blocks until there is a slot.

        Raises PoolFull when there is none after `timeout` seconds, at once when `blocking` is false.
        """
        if greenlet in self.greenlets:
            return
        slots = self._semaphore
        if slots.__class__ is Slots and slots.counter > 0:  # what acquire() does, without the call
            slots.counter -= 1
        elif not self._take_slot(blocking, timeout):
            raise PoolFull
        try:
            Group.add(self, greenlet)
        except BaseException:
            if greenlet not in self.greenlets:  # else its end gives the slot back
                self._semaphore.release()
            raise

    def _discard(self, greenlet: Any) -> bool:
        if not Group._discard(self, greenlet):
            return False
        slots = self._semaphore
        if slots.__class__ is Slots and not slots._waiters and not slots._links:
            slots.counter += 1  # what release() does, without the call
        else:
            slots.release()
        return True


#: what _spawn_mapped() may stand for: as it is here, whatever a program puts in its place
_SPAWNS, _STARTS = (Group.spawn,), (Group.start, Pool.start)
