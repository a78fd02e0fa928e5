"""Semaphore and BoundedSemaphore: a counter that acquire() lowers and waits for.

    release():  counter + 1, call the first in line          acquire():  counter > 0 ?  take one
                                                             else stand in line, and look again

Whoever is called takes its turn in the hub's next batch; until then the counter says
that one is free, and another greenlet may be faster, as in gevent. The one who was
robbed goes back to the front of the line. From then on release() lets the hub look
first whether the slot is still free, so that a greenlet that releases and acquires in
turns costs no vain switches; and after PATIENCE such turns it hands over, without
raising the counter. So nobody starves, and there is no lock convoy either.

A slot is never lost: whoever is called and then killed calls the next one.

Threads: any thread may acquire and release. From the moment in which a second one does,
whoever stands in line keeps its hub alive, which cannot see who will release. A thread
without a hub waits natively: Python's own import and logging locks must not make hubs.
What takes more than one step (`linkable` tells what a step is) is done under one native
lock for all semaphores: handing over, giving up, holding a hub. The quick ways need none.

Deliberate difference from gevent:
1. gevent starves whoever waits while one greenlet releases and acquires in turns.
"""

import os
from _thread import allocate_lock, get_ident
from threading import RLock
from time import monotonic
from typing import Any

from greenlet import getcurrent

from greenscope.runtime.hub import Hub, get_hub_if_exists
from greenscope.runtime.linkable import Linkable
from greenscope.runtime.timeout import Timeout, limit
from greenscope.runtime.waiting import call_first, current_hub, park, park_until, wake

__all__ = ["BoundedSemaphore", "Semaphore"]

#: how often others may be faster than those who wait
PATIENCE = 50

#: one for all: it is held for a moment, where few come; again by who has it, as a finalizer may release
_guard = RLock()
os.register_at_fork(after_in_child=_guard._at_fork_reinit)  # type: ignore[attr-defined]


class NativeThread:
    """A thread without a hub, in a line: what `call_first` asks of a raw greenlet and of its hub."""

    __slots__ = ("lock",)
    waiting_on = thread_ident = None

    def __init__(self) -> None:
        self.lock = allocate_lock()
        self.lock.acquire()

    @property
    def hub(self) -> "NativeThread":
        """Return itself."""
        return self

    def run_callback(self, *args: object) -> None:
        """Let the thread go on."""
        self.lock.release()


class Semaphore(Linkable):
    """A counter of free slots, 1 unless said otherwise. Raises ValueError when it begins below 0.

    As a context manager it holds one slot.
    """

    __slots__ = ("_handed", "_held", "_ident", "_robbed", "counter")
    waits_as = "semaphore"
    _links_while_ready = True

    def __init__(self, value: int = 1, hub: Hub | None = None) -> None:
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        Linkable.__init__(self, hub)
        self.counter = value
        #: the thread that acquired first
        self._ident: int | None = None
        #: once another one did, too: those in line whose hubs are held for it
        self._held: set[Any] | None = None
        #: how often somebody else was faster than the first in line
        self._robbed = 0
        #: those to whom a slot was handed over and who have not run yet
        self._handed: set[Any] = set()

    def __str__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} counter={self.counter} _links[{self.linkcount()}]>"

    __repr__ = __str__

    def locked(self) -> bool:
        """Return True when acquire() would block."""
        return self.counter <= 0

    def ready(self) -> bool:
        """Return True when acquire() would not block."""
        return self.counter > 0

    # -- taking

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a slot; blocks until there is one.

        Returns False when there was none after `timeout` seconds, at once when `blocking` is false.
        """
        ident = get_ident()
        if self._ident != ident:
            self._note_thread(ident)
        if self.counter > 0:  # no call until it is lowered: no other thread comes in between
            self.counter -= 1
            return True
        if not blocking:
            return False
        return self._acquire_in_line(timeout, self)

    def _note_thread(self, ident: int) -> None:
        if self._ident is None:
            self._ident = ident
        elif self._held is None:
            with _guard:
                if self._held is None:
                    self._held = set()
                for raw in list(self._waiters):
                    if raw in self._waiters:
                        self._hold(raw)

    def _hold(self, raw: Any) -> None:
        """Keep the hub of one in line alive until it has left: who releases is nothing that it could see."""
        with _guard:
            held = self._held
            if held is not None and raw not in held and raw.__class__ is not NativeThread:
                held.add(raw)
                raw.hub.holds += 1

    def _let_go(self, raw: Any) -> None:
        """Undo _hold()."""
        with _guard:
            if self._held is not None and raw in self._held:
                self._held.remove(raw)
                raw.hub.holds -= 1

    def _acquire_in_line(self, timeout: Any, shown: Any) -> bool:
        """Wait for a slot, shown to observers as waiting for `shown`; False after `timeout`. Blocks."""
        raw: Any = getcurrent()
        try:
            hub = raw.hub
        except AttributeError:
            if self._held is not None and get_hub_if_exists() is None:
                return self._acquire_natively(timeout)
            hub = current_hub(raw)
        if self.hub is None or self._held is None:  # a thread may have ended, and another got its number
            self.hub = hub
        line = self._waiters
        line[raw] = shown
        if self._held is not None:  # asked now that we stand in line
            self._hold(raw)
        taken = False
        try:
            if timeout is not None:
                taken = self._acquire_until(raw, timeout, shown)
                return taken
            while self.counter <= 0:  # and this, too
                park(shown)
                if self._handed and raw in self._handed:
                    self._handed.remove(raw)
                    taken = True
                    return True
                if self.counter <= 0 and raw not in line:
                    self._go_back(raw, shown)
            self.counter -= 1
            taken = True
            return True
        finally:
            if taken:
                line.pop(raw, None)
            else:
                self._give_up(raw)
            if self._held is not None:
                self._let_go(raw)

    def _acquire_until(self, raw: Any, timeout: Any, shown: Any) -> bool:
        """Do the same with a time-out; the caller sees to the line."""
        seconds, given = limit(timeout)
        clock = raw.hub.clock
        deadline = None if seconds is None else clock() + seconds
        in_time = True
        while self.counter <= 0:
            if not in_time:
                if given is not None and given.throws is not given:
                    raise given.throws
                return False
            try:
                in_time = park_until(shown, None if deadline is None else max(0.0, deadline - clock()))
            except Timeout as error:
                if error is not given:
                    raise
                in_time = False
            if raw in self._handed:
                self._handed.remove(raw)
                return True
            if self.counter <= 0 and raw not in self._waiters:
                self._go_back(raw, shown)
        self.counter -= 1
        return True

    def _go_back(self, raw: Any, shown: Any) -> None:
        """Stand at the front of the line again, after somebody else was faster."""
        self._robbed += 1
        self._waiters[raw] = shown
        self._waiters.move_to_end(raw, last=False)
        if self._held is not None:
            self._hold(raw)

    def _acquire_natively(self, seconds: float | None) -> bool:
        """Wait in a thread that has no hub. Blocks the thread."""
        deadline = None if seconds is None else monotonic() + seconds
        thread = NativeThread()
        line = self._waiters
        line[thread] = None
        in_time, taken = True, False
        try:
            while self.counter <= 0:
                if not in_time:
                    return False
                in_time = thread.lock.acquire(True, -1 if deadline is None else max(0.0, deadline - monotonic()))
                if thread in self._handed:
                    self._handed.remove(thread)
                    taken = True
                    return True
                if self.counter <= 0 and in_time:
                    self._go_back(thread, None)
            self.counter -= 1
            taken = True
            return True
        finally:
            if taken:
                line.pop(thread, None)
            else:
                self._give_up(thread)

    def _give_up(self, raw: Any) -> None:
        """Leave the line without a slot; if we were called, the next one in line is called instead."""
        with _guard:
            called = self._waiters.pop(raw, _guard) is _guard
            if raw in self._handed:
                self._handed.remove(raw)
                self.counter += 1
        if called and self._waiters and self.counter > 0:
            call_first(self._waiters)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until a slot is free, or `timeout` seconds, without taking it; returns how many are free. Blocks."""
        if self.counter > 0:
            return self.counter
        try:
            self._wait_in_line(timeout, self)
        finally:
            if self._waiters and self.counter > 0:
                call_first(self._waiters)
        return self.counter

    # -- giving back

    def release(self) -> int:
        """Give a slot back, or add one; returns how many are free. Does not block. From any thread."""
        self.counter += 1
        if self._waiters and self.counter > 0:
            if not self._robbed:
                call_first(self._waiters)
            elif self._robbed <= PATIENCE and self._held is None and self.hub is not None:
                self.hub.ready.append(self)
                if self.hub.sleeping:
                    self.hub.poller.wake()
            else:
                self._hand_over()
        if self._links:
            self._schedule_links()
        return self.counter

    def _hand_over(self) -> None:
        """Give a slot to the first in line, so that nobody can be faster."""
        self._robbed = 0
        with _guard:
            if self.counter <= 0:
                return  # another thread was faster: it will call
            self.counter -= 1
            try:
                raw, shown = self._waiters.popitem(last=False)
            except KeyError:  # whoever stood there has left
                self.counter += 1
                if self._waiters:  # and another one came
                    call_first(self._waiters)
            else:
                self._handed.add(raw)
                wake(raw, shown)

    def _turn(self, hub: Hub) -> None:
        """Call as many as there are slots; called by the hub when it takes this from the ready queue."""
        if self._waiters and self.counter <= 0:
            self._robbed += 1
            return
        self._robbed = 0
        for _ in range(min(self.counter, len(self._waiters))):
            call_first(self._waiters)

    def adjust(self, difference: int) -> None:
        """Add slots, or take some away, below 0 if need be; calls those in line that find one. Does not block."""
        self.counter += difference
        for _ in range(min(self.counter, len(self._waiters))):
            call_first(self._waiters)
        if self._links and self.counter > 0:
            self._schedule_links()

    # -- the rest

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, type_: Any, value: Any, tb: Any) -> None:
        self.release()


class BoundedSemaphore(Semaphore):
    """A Semaphore that raises ValueError when it is released more often than acquired."""

    __slots__ = ("_initial_value",)
    _OVER_RELEASE_ERROR: type[Exception] = ValueError

    def __init__(self, value: int = 1, hub: Hub | None = None) -> None:
        Semaphore.__init__(self, value, hub)
        self._initial_value = value

    def release(self) -> int:
        """Give a slot back; returns how many are free. Raises ValueError when none was taken. Does not block."""
        if self.counter >= self._initial_value:
            raise self._OVER_RELEASE_ERROR("Semaphore released too many times")
        counter = Semaphore.release(self)
        if counter == self._initial_value:
            self.hub = None  # nobody holds it: the next one may be of any thread
        return counter

    def _at_fork_reinit(self) -> None:
        Semaphore._at_fork_reinit(self)
        self.counter = self._initial_value
