"""Small numbers for objects, reused when the object is gone: what makes the name `Greenlet-7`."""

import weakref
from heapq import heappop, heappush
from typing import Any


class Idents:
    """Numbers from 0 up; each object keeps its own until it is collected."""

    __slots__ = ("_free", "_next", "_numbers")

    def __init__(self) -> None:
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._free: list[int] = []
        self._next = 0

    def known(self, thing: Any) -> bool:
        """Return True when the object has a number."""
        return thing in self._numbers

    def of(self, thing: Any) -> int:
        """Return the object's number, given at the first call."""
        number = self._numbers.get(thing)
        if number is None:
            if self._free:
                number = heappop(self._free)
            else:
                number = self._next
                self._next += 1
            self._numbers[thing] = number
            weakref.finalize(thing, heappush, self._free, number).atexit = False
        return number
