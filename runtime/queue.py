"""Queues as in the standard library, for greenlets: FIFO, LIFO, by priority, and the channel.

`simplequeue` tells how items go in and out, and why none is lost. Here stands what is
built on it: queues that know how many of their items are being worked on.

Deliberate differences from gevent:
1. `maxsize` can be set at any time: more room wakes those who wait for it.
2. A queue makes no hub until somebody waits.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Any

from greenscope.runtime.channel import Channel
from greenscope.runtime.event import Event
from greenscope.runtime.simplequeue import Empty, Full, GetWait, ShutDown, SimpleQueue
from greenscope.runtime.waiting import call_first

__all__ = [
    "Channel",
    "Empty",
    "Full",
    "JoinableQueue",
    "LifoQueue",
    "PriorityQueue",
    "Queue",
    "ShutDown",
    "SimpleQueue",
]


class JoinWait(GetWait):
    """What a greenlet that waits for the end of all tasks is shown to wait for."""

    __slots__ = ()
    waits_as = "queue.join"


class Queue(SimpleQueue):
    """A SimpleQueue that knows how many of its items are still being worked on, and can be shut down.

    Each item put is an unfinished task until task_done() is called for it.
    """

    __slots__ = ("_all_done", "unfinished_tasks")
    _plain = True

    def __init__(
        self, maxsize: int | None = None, items: Iterable[Any] = (), unfinished_tasks: int | None = None
    ) -> None:
        self.unfinished_tasks = 0
        self._all_done: Event | None = None
        SimpleQueue.__init__(self, maxsize, items, _warn_depth=3)
        self.unfinished_tasks = unfinished_tasks or self._qsize()

    def copy(self) -> Any:
        """Return a queue with the same items, size and number of unfinished tasks; nobody waits there."""
        return type(self)(self.maxsize, self.queue, self.unfinished_tasks)

    def _format(self) -> str:
        text = SimpleQueue._format(self)
        return f"{text} tasks={self.unfinished_tasks}" if self.unfinished_tasks else text

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item; blocks and raises as SimpleQueue.put()."""
        queue = self.queue
        if self._room > len(queue) and timeout is None:
            self.unfinished_tasks += 1
            queue.append(item)
            if self.getters:
                call_first(self.getters)
        elif block and timeout is None and self._room:
            self._wait_room(item, None, None)
        else:
            self._put_slowly(item, block, timeout)

    def _put(self, item: Any) -> None:
        self.queue.append(item)
        self.unfinished_tasks += 1

    def task_done(self) -> None:
        """Say that the work on an item is done. Raises ValueError when that was said for all. Does not block."""
        if self.unfinished_tasks <= 0:
            raise ValueError("task_done() called too many times")
        self.unfinished_tasks -= 1
        if not self.unfinished_tasks and self._all_done is not None:
            done, self._all_done = self._all_done, None
            done.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until no task is unfinished; False when `timeout` seconds passed before. Blocks."""
        if not self.unfinished_tasks:
            return True
        if self._all_done is None:
            self._all_done = Event()
        return self._all_done._wait_in_line(timeout, JoinWait(self))

    def shutdown(self, immediate: bool = False) -> None:
        """Let no more items in: put() raises ShutDown, and get() as soon as the queue is empty. Does not block.

        With `immediate` the items are dropped, and count as done.
        """
        self.is_shutdown = True
        self._room = 0
        if immediate:
            while self._qsize():
                self._get()
                if self.unfinished_tasks > 0:
                    self.task_done()
        for line in (self.getters, self.putters):
            while line:
                call_first(line)


#: gevent's older name
JoinableQueue = Queue


class PriorityQueue(Queue):
    """A Queue whose next item is the smallest one."""

    __slots__ = ()

    def _create_queue(self, items: Iterable[Any] = ()) -> list[Any]:
        queue = list(items)
        heapify(queue)
        return queue

    def _put(self, item: Any) -> None:
        heappush(self.queue, item)
        self.unfinished_tasks += 1

    def _get(self) -> Any:
        return heappop(self.queue)


class LifoQueue(Queue):
    """A Queue whose next item is the one that was put last."""

    __slots__ = ()

    def _create_queue(self, items: Iterable[Any] = ()) -> list[Any]:
        return list(items)

    def _get(self) -> Any:
        return self.queue.pop()

    def _peek(self) -> Any:
        return self.queue[-1]
