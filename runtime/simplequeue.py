"""SimpleQueue: items that some greenlets put and others get, and the wait for an item or for room.

    put():  room ?  put the item, call the first getter in line        get():  an item ?  take it, call the first putter
            else stand in line, and look again                                 else stand in line, and look again

Nobody is handed anything: an item stays in the queue until a getter that runs takes it,
and stays with its putter until that one has put it. So none is lost and none is doubled
when a getter or putter is killed or timed out at whatever moment; if it was called out
of its line, it calls the next. Whoever was called and found that another was faster
goes back to the front of the line. Items come out in the order in which they went in.

A plain FIFO queue has a fast path; a subclass that defines `_init`, `_put`, `_get`, or
`_qsize`, as the standard library's queues do, goes the long way, which calls them.
"""

import queue as _standard
import sys
import types
import warnings
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any

from greenlet import getcurrent

from greenscope.runtime.linkable import Line
from greenscope.runtime.timeout import Timeout, limit
from greenscope.runtime.waiting import call_first, current_hub, park, park_until

__all__ = ["Empty", "Full", "GetWait", "ShutDown", "SimpleQueue"]

Empty = _standard.Empty
Full = _standard.Full

if sys.version_info >= (3, 13):
    ShutDown = _standard.ShutDown
else:

    class ShutDown(Exception):
        """The queue was shut down (the standard library has it from Python 3.13)."""


#: methods by which a subclass says that it isn't a plain FIFO queue
_OVERRIDABLE = frozenset({"_create_queue", "_get", "_init", "_put", "_qsize", "qsize"})


class GetWait:
    """What a greenlet that waits for an item is shown to wait for; one for each queue."""

    __slots__ = ("_queue",)
    waits_as = "queue.get"

    def __init__(self, queue: Any) -> None:
        self._queue = weakref.ref(queue)

    @property
    def queue(self) -> Any:
        """The queue, as long as it lives."""
        return self._queue()

    @property
    def name(self) -> str:
        """The kind of the queue."""
        return type(self.queue).__name__

    def __repr__(self) -> str:
        return f"{self.waits_as} of {self.queue!r}"


class PutWait(GetWait):
    """What a greenlet that waits for room is shown to wait for."""

    __slots__ = ()
    waits_as = "queue.put"


class SimpleQueue:
    """A FIFO queue of at most `maxsize` items (None or less than 1: any number), filled with `items`.

    Its len() is the number of items, but it is always true. Iterating gets items until one is StopIteration itself.
    """

    __slots__ = (
        "__weakref__",
        "_get_wait",
        "_maxsize",
        "_put_wait",
        "_room",
        "getters",
        "is_shutdown",
        "putters",
        "queue",
    )
    __class_getitem__: Any = classmethod(types.GenericAlias)

    _plain = True

    def __init_subclass__(cls) -> None:
        if not _OVERRIDABLE.isdisjoint(cls.__dict__):
            cls._plain = cls.__dict__.get("_plain", False)

    def __init__(self, maxsize: int | None = None, items: Iterable[Any] = (), _warn_depth: int = 2) -> None:
        if maxsize is not None and maxsize <= 0:
            if maxsize == 0:
                text = "Queue(0) now equivalent to Queue(None); if you want a channel, use Channel"
                warnings.warn(text, DeprecationWarning, stacklevel=_warn_depth)
            maxsize = None
        self._maxsize = -1 if maxsize is None else maxsize
        #: those who wait, in order of arrival
        self.getters: Line = OrderedDict()
        self.putters: Line = OrderedDict()
        self._get_wait: GetWait | None = None
        self._put_wait: PutWait | None = None
        self.is_shutdown = False
        self.queue: Any = None
        if items:
            self._init(maxsize, items)
        else:  # as the standard library calls it
            self._init(maxsize)
        #: how many items a plain queue may hold; 0 when put() and get() have to go the long way
        self._room = 0
        self._set_room()

    def _set_room(self) -> None:
        if self._plain and not self.is_shutdown and type(self.queue) is deque:
            self._room = sys.maxsize if self._maxsize < 0 else self._maxsize
        else:
            self._room = 0

    # -- what subclasses may define

    def _init(self, maxsize: int | None, items: Iterable[Any] = ()) -> None:
        self.queue = self._create_queue(items)

    def _create_queue(self, items: Iterable[Any] = ()) -> Any:
        return deque(items)

    def _qsize(self) -> int:
        return len(self.queue)

    def _put(self, item: Any) -> None:
        self.queue.append(item)

    def _get(self) -> Any:
        return self.queue.popleft()

    def _peek(self) -> Any:
        return self.queue[0]

    # -- state

    @property
    def maxsize(self) -> int | None:
        """How many items it may hold, None for any number. Set it at any time (queue's difference 1)."""
        return self._maxsize if self._maxsize > 0 else None

    @maxsize.setter
    def maxsize(self, maxsize: int | None) -> None:
        self._maxsize = -1 if maxsize is None or maxsize <= 0 else maxsize
        self._set_room()
        room = len(self.putters) if self._maxsize < 0 else self._maxsize - self._qsize()
        for _ in range(min(room, len(self.putters))):
            call_first(self.putters)

    def qsize(self) -> int:
        """Return how many items there are."""
        return self._qsize()

    def __len__(self) -> int:
        return self._qsize()

    def __bool__(self) -> bool:
        return True

    def empty(self) -> bool:
        """Return True when there is no item."""
        return not self._qsize()

    def full(self) -> bool:
        """Return True when there is no room for another item."""
        return 0 < self._maxsize <= self._qsize()

    def copy(self) -> Any:
        """Return a queue with the same items and size; nobody waits there."""
        return type(self)(self.maxsize, self.queue)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x}{self._format()}>"

    def __str__(self) -> str:
        return f"<{type(self).__name__}{self._format()}>"

    def _format(self) -> str:
        text = "" if self.maxsize is None else f" maxsize={self.maxsize!r}"
        if self.queue:
            text += f" queue={self.queue!r}"
        if self.getters:
            text += f" getters[{len(self.getters)}]"
        if self.putters:
            text += f" putters[{len(self.putters)}]"
        return text

    # -- put and get

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item; blocks until there is room.

        Raises Full when there is none after `timeout` seconds, at once when `block` is false or in the hub; ShutDown
        when the queue was shut down; ValueError when `timeout` is negative.
        """
        queue = self.queue
        if self._room > len(queue) and timeout is None:
            queue.append(item)
            if self.getters:
                call_first(self.getters)
        elif block and timeout is None and self._room:
            self._wait_room(item, None, None)
        else:
            self._put_slowly(item, block, timeout)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the next item out; blocks until there is one.

        Raises Empty when there is none after `timeout` seconds, at once when `block` is false or in the hub; ShutDown
        when the queue is empty and was shut down; ValueError when `timeout` is negative.
        """
        queue = self.queue
        if queue and self._room:
            try:
                item = queue.popleft()
            except IndexError:  # another thread took it
                pass
            else:
                if self.putters:
                    call_first(self.putters)
                return item
        elif block and timeout is None and self._room:
            return self._wait_item(self._get, None, None)
        return self._get_slowly(self._get, block, timeout)

    def peek(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item and leave it there; blocks and raises as get()."""
        return self._get_slowly(self._peek, block, timeout)

    def put_nowait(self, item: Any) -> None:
        """Put an item, or raise Full. Does not block."""
        self.put(item, False)

    def get_nowait(self) -> Any:
        """Take the next item out, or raise Empty. Does not block."""
        return self.get(False)

    def peek_nowait(self) -> Any:
        """Return the next item and leave it there, or raise Empty. Does not block."""
        return self.peek(False)

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        item = self.get()
        if item is StopIteration:
            raise StopIteration
        return item

    # -- the long way

    def _put_slowly(self, item: Any, block: bool, timeout: Any) -> None:
        if self.is_shutdown:
            raise ShutDown
        seconds, given = (None, None) if timeout is None else limit(timeout)
        if block and seconds is not None and seconds < 0:
            raise ValueError("'timeout' must be a non-negative number")
        if 0 < self._maxsize <= self._qsize():
            if not block:
                raise Full
            self._wait_room(item, seconds, given)
            return
        self._put(item)
        if self.getters:
            call_first(self.getters)

    def _wait_room(self, item: Any, seconds: float | None, given: Timeout | None) -> None:
        """Stand in line until there is room, and put the item. Blocks; raises Full in the hub."""
        raw: Any = getcurrent()
        if raw is (getattr(raw, "hub", None) or current_hub(raw)):
            raise Full
        line = self.putters
        shown = self._put_wait
        if shown is None:
            shown = self._put_wait = PutWait(self)
        line[raw] = shown
        try:
            if 0 < self._maxsize <= self._qsize():  # asked again now that we stand in line
                if seconds is None:
                    park(shown)
                    while 0 < self._maxsize <= self._qsize() and not self.is_shutdown:
                        self._go_back(line, raw, shown)
                        park(shown)
                else:
                    self._wait_room_until(raw, shown, seconds, Full if given is None else given.throws)
            if self.is_shutdown:
                raise ShutDown
            self._put(item)
        except BaseException:
            if raw not in line and line and not self.full():
                call_first(line)  # we were called in vain
            raise
        finally:
            line.pop(raw, None)
        if self.getters:
            call_first(self.getters)

    def _wait_room_until(self, raw: Any, shown: Any, seconds: float, late: Any) -> None:
        deadline = raw.hub.clock() + seconds
        in_time = True
        while 0 < self._maxsize <= self._qsize() and not self.is_shutdown:
            if not in_time:
                raise late
            self._go_back(self.putters, raw, shown)
            in_time = park_until(shown, max(0.0, deadline - raw.hub.clock()))

    def _get_slowly(self, take: Callable[[], Any], block: bool, timeout: Any) -> Any:
        if not self._qsize():
            if self.is_shutdown:
                raise ShutDown
            seconds, given = (None, None) if timeout is None else limit(timeout)
            if block and seconds is not None and seconds < 0:
                raise ValueError("'timeout' must be a non-negative number")
            if not block:
                raise Empty
            return self._wait_item(take, seconds, given)
        item = take()
        if self.putters and not self.full():
            call_first(self.putters)
        return item

    def _wait_item(self, take: Callable[[], Any], seconds: float | None, given: Timeout | None) -> Any:
        """Stand in line until there is an item, and take it. Blocks; raises Empty in the hub."""
        raw: Any = getcurrent()
        if raw is (getattr(raw, "hub", None) or current_hub(raw)):
            raise Empty
        line = self.getters
        shown = self._get_wait
        if shown is None:
            shown = self._get_wait = GetWait(self)
        line[raw] = shown
        try:
            if not self._qsize():  # asked again now that we stand in line
                if seconds is None:
                    park(shown)
                    while not self._qsize() and not self.is_shutdown:
                        self._go_back(line, raw, shown)
                        park(shown)
                else:
                    self._wait_item_until(raw, shown, seconds, Empty if given is None else given.throws)
                if self.is_shutdown and not self._qsize():
                    raise ShutDown
            item = take()
        finally:
            if line.pop(raw, line) is line and line and self._qsize():
                call_first(line)  # there is one for the next, too, or we were called in vain
        if self.putters and not self.full():
            call_first(self.putters)
        return item

    def _wait_item_until(self, raw: Any, shown: Any, seconds: float, late: Any) -> None:
        deadline = raw.hub.clock() + seconds
        in_time = True
        while not self._qsize() and not self.is_shutdown:
            if not in_time:
                raise late
            self._go_back(self.getters, raw, shown)
            in_time = park_until(shown, max(0.0, deadline - raw.hub.clock()))

    @staticmethod
    def _go_back(line: Line, raw: Any, shown: Any) -> None:
        """Stand at the front of the line, if we were called out of it and somebody else was faster."""
        if raw not in line:
            line[raw] = shown
            line.move_to_end(raw, last=False)
