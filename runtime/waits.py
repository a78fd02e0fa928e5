"""Wait for many at once, and kill many at once.

Everything that has `rawlink(callback)` and `unlink(callback)` can be waited for:
Greenlet, Event, AsyncResult, Semaphore and the other locks, Popen, futures.
"""

from _thread import get_ident
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from greenlet import getcurrent

from greenscope.runtime.carriers import RUNNING, VALUE
from greenscope.runtime.exceptions import GreenletExit
from greenscope.runtime.greenlet import Greenlet
from greenscope.runtime.hub import get_hub
from greenscope.runtime.instruments import hooks
from greenscope.runtime.timeout import Timeout, limit
from greenscope.runtime.waiting import current_hub, interrupt_in_turn, park_until, resume, sleep

__all__ = ["iwait", "joinall", "kill", "killall", "wait"]

#: so many are told to observers at once, before they are interrupted: of many more, each would have left the cache
TOGETHER = 100


class Gather:
    """A raw link that collects what is done, and resumes its greenlet when `wanted` are there."""

    __slots__ = ("done", "foreign", "hub", "raw", "wanted")
    waits_as = "wait"

    def __init__(self, wanted: int) -> None:
        self.raw: Any = getcurrent()
        self.hub = current_hub(self.raw)
        self.done: deque[Any] = deque()
        self.wanted = wanted
        self.foreign = False

    def __call__(self, source: Any) -> None:
        self.done.append(source)
        if len(self.done) >= self.wanted:
            raw = self.raw
            if self.hub.thread_ident != get_ident():
                self.hub.run_callback(_resume_from, self)
            elif raw.waiting_on is self:
                resume(raw)

    def link(self, thing: Any) -> None:
        """Have one more thing tell us when it is done."""
        if getattr(thing, "hub", self.hub) is not self.hub:
            self.foreign = True
        thing.rawlink(self)

    def park_until(self, seconds: float | None) -> bool:
        """Park until what is wanted is there; False when `seconds` passed before. Blocks.

        Things of other threads wake us from there: our hub cannot see that they will, so it is held.
        """
        if not self.foreign:
            return park_until(self, seconds)
        self.hub.hold()
        try:
            return park_until(self, seconds)
        finally:
            self.hub.release()


def _resume_from(gather: Gather) -> None:
    if gather.raw.waiting_on is gather:
        resume(gather.raw)


class WaitIterator:
    """What iwait() returns: an iterator over the objects as they become ready, and a context manager.

    Leaving the `with` block, running out, or the time-out removes all links.
    """

    def __init__(self, objects: Sequence[Any], timeout: float | None, count: int | None) -> None:
        self._objects = objects
        self._left = len(objects) if count is None else min(count, len(objects))
        self._timeout = timeout
        self._deadline: float | None = None
        self._gather: Gather | None = None

    def _begin(self) -> Gather:
        """Link all, and take the first that is ready already."""
        gather = self._gather = Gather(1)
        for thing in self._objects:
            gather.link(thing)
        if self._timeout is not None:
            self._deadline = gather.hub.clock() + self._timeout
        for thing in self._objects:
            ready = getattr(thing, "ready", None)
            if ready is not None and ready():
                thing.unlink(gather)
                gather.done.append(thing)
                break
        return gather

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._left <= 0:
            self.close()
            raise StopIteration
        try:
            gather = self._gather or self._begin()
            gather.raw = getcurrent()
            while not gather.done:
                left = None if self._deadline is None else max(0.0, self._deadline - gather.hub.clock())
                if not gather.park_until(left) and not gather.done:
                    self._left = 0
                    self.close()
                    raise StopIteration
            self._left -= 1
            return gather.done.popleft()
        except BaseException:
            self.close()
            raise

    next = __next__

    def close(self) -> None:
        """Remove all links. Idempotent."""
        objects, self._objects = self._objects, ()
        if self._gather is not None:
            for thing in objects:
                unlink = getattr(thing, "unlink", None)
                if unlink is not None:
                    unlink(self._gather)

    def __enter__(self) -> "WaitIterator":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def iwait(objects: Sequence[Any] | None = None, timeout: float | None = None, count: int | None = None) -> Any:
    """Iterate over `objects` as they become ready, at most `count` of them and for `timeout` seconds.

    Each step blocks. Without objects: a list with the result of wait(). Use it in a `with` statement when you may
    stop early, so that no links are left behind.
    """
    if objects is None:
        return [get_hub().join(timeout)]
    return WaitIterator(objects, timeout, count)


def wait(objects: Sequence[Any] | None = None, timeout: float | None = None, count: int | None = None) -> Any:
    """Return the `objects` that became ready, in that order: all, `count`, or those within `timeout` seconds. Blocks.

    Without objects waits until the event loop has nothing left to do; returns False when `timeout` came first.
    """
    if objects is None:
        return get_hub().join(timeout)
    objects = list(objects)
    wanted = len(objects) if count is None else min(count, len(objects))
    if wanted <= 0:
        return []
    gather = Gather(wanted)
    try:
        for thing in objects:
            if isinstance(thing, Greenlet) and thing._state >= VALUE:
                gather.done.append(thing)
            elif thing.__class__ is Greenlet and thing.hub is gather.hub:  # the same, without the calls
                if thing._links is None:
                    thing._links = [gather]
                else:
                    thing._links.append(gather)
            else:
                gather.link(thing)
        if len(gather.done) < wanted:
            seconds, given = limit(timeout)
            if not gather.park_until(seconds) and given is not None:
                raise given.throws
    finally:
        if len(gather.done) < len(objects):
            for thing in objects:
                if not (isinstance(thing, Greenlet) and not thing._links):
                    unlink = getattr(thing, "unlink", None)
                    if unlink is not None:
                        unlink(gather)
    return list(gather.done)[:wanted] if count is not None else list(gather.done)


def joinall(
    greenlets: Iterable[Any],
    timeout: float | None = None,
    raise_error: bool = False,
    count: int | None = None,
) -> list[Any]:
    """Return the greenlets that finished: all, `count`, or those within `timeout` seconds. Blocks.

    With `raise_error` raises the first exception that one of them failed with.
    """
    greenlets = list(greenlets)
    if not raise_error:
        done: list[Any] = wait(greenlets, timeout, count)
        return done
    done = []
    with WaitIterator(greenlets, timeout, count) as ended:
        for one in ended:
            exception = getattr(one, "exception", None)
            if exception is not None:
                if hasattr(one, "_raise_exception"):
                    one._raise_exception()
                raise exception
            done.append(one)
    return done


def kill(greenlet: Any, exception: Any = GreenletExit) -> None:
    """Raise `exception` in a greenlet, raw or not, in the hub's next turn. Does not block; a no-op when it is dead."""
    if greenlet.dead:
        return
    if isinstance(greenlet, Greenlet):
        greenlet.kill(exception, block=False)
    else:
        try:
            if hooks.kill_requested:
                hooks.call("kill_requested", [greenlet])
        finally:
            interrupt_in_turn(greenlet, exception)


def killall(
    greenlets: Iterable[Any], exception: Any = GreenletExit, block: bool = True, timeout: float | None = None
) -> None:
    """Raise `exception` in all `greenlets`; those that have not begun never run. Blocks unless `block` is false.

    Raises Timeout when some still live after `timeout` seconds.
    """
    victims: list[Any] = []
    raws: list[Any] = []
    own: list[Any] = []
    here = get_ident()
    for one in greenlets:
        if not isinstance(one, Greenlet):
            if not one.dead:
                kill(one, exception)
                raws.append(one)
        elif one._state < VALUE:
            if one.hub.thread_ident != here:  # its own thread has to look whether it has begun
                one.hub.run_callback(one.kill, exception, False)
                victims.append(one)
            elif one._state == RUNNING:
                own.append(one)
            else:  # at once: `greenlets` may be a generator that lets it begin meanwhile
                try:
                    if hooks.kill_requested:
                        hooks.call("kill_requested", [one])
                finally:  # whatever a signal's handler raises meanwhile
                    one._end_unstarted(exception)
    for at in range(0, len(own), TOGETHER):
        some = own[at : at + TOGETHER]
        try:
            if hooks.kill_requested:
                hooks.call("kill_requested", some)
        finally:  # as above
            for one in some:
                if one._carrier is not None:
                    victims.append(one)
                    interrupt_in_turn(one._carrier, exception)
    if not block or not (victims or raws):
        return
    seconds, given = limit(timeout)
    if not wait_dead(victims, raws, seconds):
        raise given.throws if given is not None else Timeout(seconds)


def wait_dead(victims: list[Any], raws: list[Any], seconds: float | None) -> bool:
    """Wait until all are dead; False when `seconds` passed before. Raw greenlets have no links: they are polled."""
    hub = current_hub(getcurrent())
    deadline = None if seconds is None else hub.clock() + seconds

    def left() -> float | None:
        return None if deadline is None else max(0.0, deadline - hub.clock())

    if raws:
        sleep(0)
    wait(victims, left())
    delay = 0.0
    while any(not raw.dead for raw in raws):
        remaining = left()
        if remaining == 0.0:
            return False
        sleep(delay if remaining is None else min(delay, remaining))
        delay = min(0.05, delay + 0.001)
    return all(victim.dead for victim in victims)
