"""What a parked greenlet waits for: best effort, and honest where gevent does not tell.

Three sources, the surest first:
1. The innermost frame, where gevent waits in Python: see `gevent_frames`.
2. The links of what is waited for: a greenlet that joins stands in the other's links as its bound `switch`. They are
   hidden in a C field; `LinkReader` finds its place once, on an unstarted Greenlet of its own, and reads it with the
   GIL held. Locks, events and queues that were found in one pass over the heap are asked in the same way.
3. The call in the program's own line, where gevent waits in compiled code: see `gevent_frames`, too.

Only an RLock knows who holds it.
"""

import ctypes
import gc
import sys
import weakref
from collections import deque
from collections.abc import Iterable
from itertools import chain, compress, tee
from time import monotonic
from types import BuiltinMethodType, FrameType, MethodType
from typing import Any, NamedTuple

from gevent import Greenlet
from gevent.event import AsyncResult, Event
from gevent.lock import BoundedSemaphore, RLock, Semaphore
from gevent.queue import Channel, JoinableQueue, LifoQueue, PriorityQueue, Queue, SimpleQueue
from gevent.thread import LockType

from greenscope.app.backends.gevent_discovery import is_greenlet, links_before_start
from greenscope.app.backends.gevent_frames import FrameReader, kind_of_frame
from greenscope.app.backends.gevent_registry import Entry, Registry
from greenscope.app.model import WaitRecord

#: a map of links over more greenlets than this is not made for a sample
MOST_MAPPED = 20_000
#: seconds for which a map of links is good
MAP_AGE = 0.5
#: a pass over the heap that took longer (seconds) is not repeated
SCAN_LIMIT = 0.010
#: with more memory blocks than this no pass is made at all, since it would hold the GIL too long
SCAN_BLOCKS = 500_000
#: seconds between two passes
SCAN_EVERY = 2.0

_KINDS: tuple[tuple[type, str], ...] = (
    (Event, "event"),
    (AsyncResult, "result"),
    (LockType, "lock"),
    (BoundedSemaphore, "semaphore"),
    (Semaphore, "semaphore"),
)
#: kinds that say little when a frame of gevent's is there to say what they are for
_BARE = frozenset({"event", "semaphore", "lock"})
#: how gevent's queues keep who waits at them
_SIDES = {"Waiter": "queue.get", "ItemWaiter": "queue.put"}
_QUEUES: tuple[type, ...] = (SimpleQueue, Queue, JoinableQueue, LifoQueue, PriorityQueue, Channel)


class LinkReader:
    """Reads the list of links in a Greenlet; `offset` is 0 where its place could not be found."""

    def __init__(self) -> None:
        self.offset = 0

    def calibrate(self) -> None:
        """Find the field, on two Greenlets that never start. Call where a hub is."""
        found = {self._find(Greenlet(_nothing)), self._find(Greenlet(_nothing))}
        self.offset = found.pop() if len(found) == 1 else 0

    @staticmethod
    def _find(fresh: Greenlet) -> int:
        links = links_before_start(fresh)
        if type(links) is not list or links or not isinstance(Greenlet.__basicsize__, int):
            return 0
        size = ctypes.sizeof(ctypes.c_void_p)
        places = [
            offset
            for offset in range(2 * size, Greenlet.__basicsize__, size)
            if ctypes.c_void_p.from_address(id(fresh) + offset).value == id(links)
        ]
        return places[0] if len(places) == 1 else 0

    def read(self, found: Any) -> list[Any]:
        """Return a copy of the links of a Greenlet ([] where they cannot be read)."""
        if not is_greenlet(found):
            return []
        if not self.offset:
            own = getattr(found, "_links", ())  # gevent without compiled parts
            return list(own) if type(own) is list else []
        links: Any = ctypes.py_object.from_address(id(found) + self.offset).value
        return list(links) if type(links) is list else []


class Found(NamedTuple):
    """What a greenlet was seen to wait for; ids, so that nothing is kept alive."""

    kind: str
    name: str
    target: int | None = None
    owner: int | None = None


class WaitReader:
    """Tells what greenlets wait for, and who waits for them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.links = LinkReader()
        self._frames = FrameReader()
        #: id(greenlet) -> what it waits for, good for MAP_AGE
        self._map: dict[int, Found] = {}
        #: the same for the getters and putters of queues, which allow no weak reference: as the last pass saw them
        self._queued: dict[int, Found] = {}
        self._mapped = 0.0
        self._things: list[weakref.ref[Any]] = []
        self._scanned = 0.0
        self._scan_cost = 0.0

    def read(self, entry: Entry, greenlet: Any, frame: FrameType | None) -> WaitRecord:
        """Return what a parked greenlet waits for."""
        # what was switched out before the tracer came back may have run since
        since = entry.since if entry.lane.traced and entry.switches and entry.since >= entry.lane.since else None
        key = id(greenlet)
        found = self._waited().get(key)
        if found is None and entry.since < self._scanned:
            found = self._queued.get(key)
        if found is not None and found.kind in _BARE and frame is not None and kind_of_frame(frame) is not None:
            found = None  # the semaphore of a Pool, the event of a Group: its frame says more
        if found is not None and entry.since < self._mapped:
            return WaitRecord(found.kind, found.name, since, owner=found.owner, target=found.target)
        kind, name = self._frames.read(frame)
        return WaitRecord(kind, name, since)

    def waiters_of(self, entry: Entry, greenlet: Any) -> list[int]:
        """Return the ids of the greenlets that join this one, or wait for an RLock that it holds."""
        ids = {self._registry.id_of(waiter) for waiter in waiters_in(self.links.read(greenlet))}
        keys = {key for key, found in self._waited().items() if entry.id in (found.owner, found.target)}
        if keys:
            for other in self._registry.living():
                waiter = other()
                if waiter is not None and id(waiter) in keys:
                    ids.add(other.id)
        return sorted(id for id in ids if id)

    def _waited(self) -> dict[int, Found]:
        """Return what every greenlet waits for that stands in the links of something."""
        now = monotonic()
        if now - self._mapped < MAP_AGE:
            return self._map
        found: dict[int, Found] = {}
        entries = list(self._registry.living())
        if len(entries) <= MOST_MAPPED:
            for entry in entries:
                greenlet = entry()
                if greenlet is not None and entry.kind == "greenlet" and Greenlet.has_links(greenlet):
                    for waiter in waiters_in(self.links.read(greenlet)):
                        found[id(waiter)] = Found("join", f"greenlet {entry.id}", target=entry.id)
            self._look_for_things(now)
            for ref in self._things:
                thing = ref()
                if thing is not None:
                    self._add_waiters(thing, found)
        self._map, self._mapped = found, monotonic()
        return found

    def _add_waiters(self, thing: Any, found: dict[int, Found]) -> None:
        kind = type(thing)
        if kind is RLock:
            waiters = waiters_in(links_of(getattr(thing, "_block", None)))
            if waiters:
                owner = getattr(thing, "_owner", None)
                owner_id = None if owner is None else self._registry.id_of(owner)
                for waiter in waiters:
                    found[id(waiter)] = Found("rlock", _name_of(thing), owner=owner_id)
        else:
            for waiter in waiters_in(links_of(thing)):
                found.setdefault(id(waiter), Found(_kind_of(kind), _name_of(thing)))

    def _look_for_things(self, now: float) -> None:
        """Find the waitables of the heap, now and then, if a pass over it is cheap."""
        if self._scanned and (now - self._scanned < SCAN_EVERY or self._scan_cost > SCAN_LIMIT):
            return
        self._scanned = now
        if sys.getallocatedblocks() > SCAN_BLOCKS:
            return
        found = scan(_WAITABLES)
        self._scan_cost = monotonic() - now
        self._queued = {}
        for thing in found:
            if type(thing) in _QUEUES:
                _add_queued(thing, self._queued)
        # RLocks last: their inner semaphore must not be taken for a lock of its own
        found.sort(key=_is_rlock)
        self._things = [ref for thing in found if (ref := _weak(thing)) is not None]


def scan(types: frozenset[type]) -> list[Any]:
    """Return all objects of exactly these types. Holds the GIL: about 50 ns per object of the heap.

    One C-level expression, so that the list of all objects never outlives a switch of threads, and by exact
    type, so that no object's own code runs.
    """
    objects, same = tee(chain.from_iterable(map(gc.get_objects, (0, 1, 2))))
    return list(compress(objects, map(types.__contains__, map(type, same))))


def waiters_in(links: Iterable[Any]) -> list[Any]:
    """Return the greenlets that will be switched to by these links."""
    found = []
    for link in links:
        if type(link) not in (BuiltinMethodType, MethodType):
            continue
        owner = link.__self__
        if link.__name__ != "switch":
            continue
        inner = getattr(owner, "greenlet", None) if type(owner).__name__ in ("Waiter", "MultipleWaiter") else owner
        if inner is not None:
            found.append(inner)
    return found


def links_of(thing: Any) -> list[Any]:
    """Return a copy of what stands in the links of a lock or an event."""
    for referent in gc.get_referents(thing):
        if type(referent) is list:
            return list(referent)
    return []


def _kind_of(cls: type) -> str:
    for known, kind in _KINDS:
        if issubclass(cls, known):
            return kind
    return cls.__name__


def _name_of(thing: Any) -> str:
    return f"{type(thing).__name__} at {id(thing):#x}"


def _add_queued(queue: Any, found: dict[int, Found]) -> None:
    items = getattr(queue, "queue", None)
    for referent in gc.get_referents(queue):
        if type(referent) is not deque or referent is items:
            continue
        for waiting in list(referent):
            word = _SIDES.get(type(waiting).__name__)
            greenlet = None if word is None else getattr(waiting, "greenlet", None)
            if word is not None and greenlet is not None:
                found[id(greenlet)] = Found(word, _name_of(queue))


def _is_rlock(thing: Any) -> bool:
    return type(thing) is RLock


def _weak(thing: Any) -> "weakref.ref[Any] | None":
    try:
        return weakref.ref(thing)
    except TypeError:
        return None


def _nothing() -> None:
    """Be the function of a Greenlet that never starts."""


_WAITABLES: frozenset[type] = frozenset(
    {Event, AsyncResult, Semaphore, BoundedSemaphore, LockType, RLock, *_QUEUES},
)

__all__ = ["LinkReader", "WaitReader", "links_of", "scan", "waiters_in"]
