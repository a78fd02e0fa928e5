"""Channel: a queue without room, where putter and getter meet.

    put(item) stands in line with its item             get() takes the item of the first putter, and wakes it

An item stays with its putter until a getter that runs takes it. So put() returns when
the item was taken, and raises when it wasn't, or when its greenlet was killed in the
very moment in which it was.

In the hub, where nobody can wait, an item may be put for a getter that waits already;
should that one be killed before it runs, the item stands in line for the next.
"""

import queue
import types
from collections import OrderedDict
from typing import Any

from greenlet import getcurrent

from greenscope.runtime.linkable import Line, stand_until_called
from greenscope.runtime.timeout import Timeout, limit
from greenscope.runtime.waiting import current_hub, wake

__all__ = ["Channel"]


class PutWait:
    """What a putter is shown to wait for, and its item."""

    __slots__ = ("item",)
    waits_as = "channel.put"

    def __init__(self, item: Any) -> None:
        self.item = item


class Unattended(PutWait):
    """An item that was put in the hub; it is its own key in the line."""

    __slots__ = ()


class GetWait:
    """What a getter is shown to wait for."""

    __slots__ = ()
    waits_as = "channel.get"


class Channel:
    """A queue that holds no item: put() waits until a get() takes it. `maxsize` can only be 1 (as in gevent)."""

    __slots__ = ("__weakref__", "getters", "putters")
    __class_getitem__: Any = classmethod(types.GenericAlias)

    def __init__(self, maxsize: int = 1) -> None:
        if maxsize != 1:
            raise ValueError("Channels have a maxsize of 1")
        self.getters: Line = OrderedDict()
        self.putters: Line = OrderedDict()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x}{self._format()}>"

    def __str__(self) -> str:
        return f"<{type(self).__name__}{self._format()}>"

    def _format(self) -> str:
        text = f" getters[{len(self.getters)}]" if self.getters else ""
        return f"{text} putters[{len(self.putters)}]" if self.putters else text

    @property
    def balance(self) -> int:
        """How many more putters than getters wait."""
        return len(self.putters) - len(self.getters)

    def qsize(self) -> int:
        """Return 0."""
        return 0

    def empty(self) -> bool:
        """Return True."""
        return True

    def full(self) -> bool:
        """Return True."""
        return True

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Wait until a getter has taken the item.

        Raises Full when none did in `timeout` seconds; when `block` is false, in this turn of the hub; in the hub at
        once when none waits there.
        """
        raw: Any = getcurrent()
        if raw is current_hub(raw):
            self._leave_for_getter(item)
            return
        seconds, given = limit(timeout) if block else (0, None)
        line, shown = self.putters, PutWait(item)
        line[raw] = shown
        try:
            if self.getters:
                self._call_getter()
            if not stand_until_called(line, raw, shown, seconds):
                raise queue.Full if given is None else given.throws
        finally:
            line.pop(raw, None)

    def _leave_for_getter(self, item: Any) -> None:
        if not self.getters:
            raise queue.Full
        shown = Unattended(item)
        self.putters[shown] = shown
        self._call_getter()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the item of the first putter; blocks until there is one.

        Raises Empty when there is none in `timeout` seconds; when `block` is false, in this turn of the hub; in the hub
        at once.
        """
        if self.putters:
            return self._take()
        raw: Any = getcurrent()
        if raw is current_hub(raw):
            raise queue.Empty
        seconds, given = limit(timeout) if block else (0, None)
        return self._wait_item(raw, seconds, given)

    def _wait_item(self, raw: Any, seconds: float | None, given: Timeout | None) -> Any:
        line, shown = self.getters, GetWait()
        clock = raw.hub.clock
        deadline = None if seconds is None else clock() + seconds
        line[raw] = shown
        in_time = True
        try:
            while not self.putters:
                if not in_time:
                    raise queue.Empty if given is None else given.throws
                if raw not in line:  # called, but somebody else was faster
                    line[raw] = shown
                    line.move_to_end(raw, last=False)
                in_time = stand_until_called(line, raw, shown, None if deadline is None else deadline - clock())
            return self._take()
        finally:
            if line.pop(raw, line) is line and line and self.putters:
                self._call_getter()  # there is one for the next, too, or we were called in vain

    def _take(self) -> Any:
        raw, shown = self.putters.popitem(last=False)
        if shown.__class__ is not Unattended:
            wake(raw, shown)
        return shown.item

    def _call_getter(self) -> None:
        raw, shown = self.getters.popitem(last=False)
        wake(raw, shown)

    def put_nowait(self, item: Any) -> None:
        """Put an item for a getter that waits already, or raise Full."""
        self.put(item, False)

    def get_nowait(self) -> Any:
        """Take the item of a putter that waits already, or raise Empty."""
        return self.get(False)

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        item = self.get()
        if item is StopIteration:
            raise StopIteration
        return item

    next = __next__
