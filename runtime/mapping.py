"""apply and map, in all their forms, over anything that can spawn: Group, Pool, ThreadPool.

                runs                                    returns
    apply       one call, and waits                     its value
    apply_async one call                                a Greenlet
    map         one call per item, and waits            a list, in order of the items
    map_async   the same in a greenlet                  a Greenlet
    imap        one call per item, as slots get free    an iterator, in order of the items
    imap_unordered  the same                            an iterator, in order of ending

An iterator of imap is itself a Greenlet that spawns, and so can be killed; whoever
reads it waits in line for results. Results stay where they are made, in what spawn()
returned: that is what stands in the iterator's queue.

Deliberate differences from gevent:
1. map() spawns in the greenlet that calls it; when that is interrupted, no more is spawned.
2. An iterator of imap that is exhausted, or whose greenlet was killed, stops again and again instead of blocking.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from greenlet import getcurrent

from greenscope.runtime.greenlet import Greenlet
from greenscope.runtime.linkable import Line, stand_until_called
from greenscope.runtime.lock import Semaphore
from greenscope.runtime.waiting import current_hub, wake

__all__ = ["IMap", "IMapUnordered", "MappingMixin"]


class MappingMixin:
    """The mapping methods; a class that has them defines spawn() and the three methods that are asked here."""

    __slots__ = ()

    def spawn(self, *args: Any, **kwargs: Any) -> Any:
        """Start a call; returns what has get(), rawlink() and the state of a Greenlet. May block for a free slot."""
        raise NotImplementedError

    def _mapped_spawn(self) -> Callable[..., Any]:
        """Return spawn(), or what does the same with fewer calls, for positional arguments alone."""
        return self.spawn

    def _apply_immediately(self) -> bool:
        """Return True when apply() has to make the call itself, lest it waits for itself."""
        raise NotImplementedError

    def _apply_async_use_greenlet(self) -> bool:
        """Return True when spawn() could block."""
        raise NotImplementedError

    def _apply_async_cb_spawn(self, callback: Callable[[Any], Any], result: Any) -> None:
        """Call a callback with a result."""
        raise NotImplementedError

    # -- one call

    def apply(self, func: Callable[..., Any], args: Any = None, kwds: Any = None) -> Any:
        """Return `func(*args, **kwds)`, run by spawn(), or here when we are one of the workers. Blocks."""
        args = () if args is None else args
        kwds = {} if kwds is None else kwds
        if self._apply_immediately():
            return func(*args, **kwds)
        return self.spawn(func, *args, **kwds).get()

    def apply_cb(self, func: Callable[..., Any], args: Any = None, kwds: Any = None, callback: Any = None) -> Any:
        """Do as apply(), then hand the result to `callback`, if it succeeded. Blocks."""
        result = self.apply(func, args, kwds)
        if callback is not None:
            self._apply_async_cb_spawn(callback, result)
        return result

    def apply_async(self, func: Callable[..., Any], args: Any = None, kwds: Any = None, callback: Any = None) -> Any:
        """Return a Greenlet that makes the call, and hands the result to `callback` if it succeeds. Does not block.

        When no slot is free the greenlet waits for one, and is itself no member of the group.
        """
        if self._apply_async_use_greenlet():
            return Greenlet.spawn(self.apply_cb, func, args, kwds, callback)
        greenlet = self.spawn(func, *(() if args is None else args), **({} if kwds is None else kwds))
        if callback is not None:
            greenlet.link_value(lambda source: callback(source.value))
        return greenlet

    # -- one call per item

    def map(self, func: Callable[..., Any], iterable: Iterable[Any]) -> list[Any]:
        """Return the list of `func(item)`, run side by side. Blocks.

        Raises the error of the first item in order that failed; the others go on. When it is interrupted while spawn()
        waits for a slot, no more is spawned (difference 1).
        """
        spawn = self._mapped_spawn()
        greenlets = []
        for item in iterable:
            greenlets.append(spawn(func, item))  # a comprehension would be a frame more up to Python 3.11
        return [greenlet.get() for greenlet in greenlets]

    def map_cb(self, func: Callable[..., Any], iterable: Iterable[Any], callback: Any = None) -> list[Any]:
        """Do as map(), then hand the list to `callback`. Blocks."""
        result = self.map(func, iterable)
        if callback is not None:
            callback(result)
        return result

    def map_async(self, func: Callable[..., Any], iterable: Iterable[Any], callback: Any = None) -> Greenlet:
        """Return a Greenlet that does map_cb(). Does not block."""
        return Greenlet.spawn(self.map_cb, func, iterable, callback)

    def imap(self, func: Callable[..., Any], *iterables: Iterable[Any], maxsize: int | None = None) -> "IMap":
        """Return an iterator over `func(*items)`, in order. Does not block; each step does.

        At most `maxsize` results are made before they are read (None: as many as there are items).
        """
        spawn = self._mapped_spawn()
        return IMap.spawn(func, zip(*iterables, strict=False), spawn=spawn, maxsize=maxsize, _zipped=True)

    def imap_unordered(
        self, func: Callable[..., Any], *iterables: Iterable[Any], maxsize: int | None = None
    ) -> "IMapUnordered":
        """Return an iterator over `func(*items)`, first come first served. Does not block; each step does.

        At most `maxsize` results are made before they are read (None: as many as there are items).
        """
        spawn = self._mapped_spawn()
        return IMapUnordered.spawn(func, zip(*iterables, strict=False), spawn=spawn, maxsize=maxsize, _zipped=True)


class Failure:
    """Stands in the queue for the error of the iterable itself."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def successful(self) -> bool:
        """Return False."""
        return False

    def _raise_exception(self) -> Any:
        raise self.error


class IMapUnordered(Greenlet):
    """An iterator over results, in order of ending; the greenlet takes items and spawns."""

    waits_as = "map"
    #: of those in the queue, the ones that have ended and told it; None: all have
    _ended: Any = None

    def __init__(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        spawn: Callable[..., Any],
        maxsize: int | None = None,
        _zipped: bool = False,
    ) -> None:
        Greenlet.__init__(self)
        self._source: Any = (func, iterable, spawn, _zipped)
        #: what ended (IMap: what was spawned) and was not read yet
        self.queue: deque[Any] = deque()
        self._unread = Semaphore(maxsize) if maxsize else None
        self._outstanding = 0
        self._readers: Line = OrderedDict()
        self.rawlink(self._call_readers)

    # -- spawning: in our own greenlet

    def _run(self) -> None:
        func, iterable, spawn, zipped = self._source
        unread, on_result = self._unread, self._on_result
        line = self.queue if self._ended is not None else None
        try:
            for item in iterable:
                if unread is not None:
                    unread.acquire()
                self._outstanding += 1
                try:
                    one = spawn(func, *item) if zipped else spawn(func, item)
                except BaseException:
                    self._outstanding -= 1
                    raise
                if line is not None:
                    line.append(one)
                one.rawlink(on_result)
        except BaseException as error:
            failure = Failure(error)
            self.queue.append(failure)
            if self._ended is not None:
                self._ended.add(failure)
            raise
        finally:
            self._source = self._unread = None

    # -- results: in the hub

    def _on_result(self, one: Any) -> None:
        self._outstanding -= 1
        self.queue.append(one)
        if self._readers:
            self._call_readers(one)

    def _call_readers(self, source: Any) -> None:
        readers = self._readers
        while readers:
            raw, shown = readers.popitem(last=False)
            wake(raw, shown)

    # -- reading: in any greenlet

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        """Return the next result, or raise its error. Blocks."""
        if self._unread is not None:
            self._unread.release()
        queue, ended = self.queue, self._ended
        if not queue or (ended is not None and queue[0] not in ended):
            self._wait_next()
        one = queue.popleft()
        if ended is not None:
            ended.remove(one)
        return one.value if one.successful() else one._raise_exception()

    next = __next__

    def _wait_next(self) -> None:
        """Wait until the first in the queue has ended. Blocks; StopIteration when none will (difference 2)."""
        queue, ended, readers = self.queue, self._ended, self._readers
        raw: Any = getcurrent()
        current_hub(raw)
        while not queue or (ended is not None and queue[0] not in ended):
            if self.dead and not queue and not self._outstanding:
                raise StopIteration
            readers[raw] = self
            try:
                stand_until_called(readers, raw, self, None)
            finally:
                readers.pop(raw, None)


class IMap(IMapUnordered):
    """An iterator over results, in order of the items."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        IMapUnordered.__init__(self, *args, **kwargs)
        self._ended = set()

    def _on_result(self, one: Any) -> None:
        self._outstanding -= 1
        self._ended.add(one)
        if self._readers:
            self._call_readers(one)
