"""Lets native threads have the interpreter where a loop that turns very fast would starve them.

gevent's loop lets go of the GIL in each of its turns, for about a microsecond. Whoever waits for the GIL is woken by
that, finds it taken again, and goes on waiting; since it did not wait in vain for a whole switch interval (5 ms), it
does not ask for the GIL either. So beside a program that spins on `sleep(0)`, or a server that is never idle, a native
thread may not run at all: no look, no page. (CPython's take_gil() and drop_gil(), Python/ceval_gil.c.)

    a timer in the hub, 20 times a second     has the watchdog looked lately?
        yes                                    nothing
        no                                     for a second, sleep BREATH at each of its calls, without the GIL

The timer does not keep a loop alive (ref=False). Only the main thread's loop has one: a loop that is destroyed with an
active watcher, as those of other threads are, is never freed.
"""

from collections.abc import Callable
from time import monotonic

from gevent.hub import MAIN_THREAD_IDENT

from greenscope.app.backends.gevent_lane import Lane
from greenscope.app.natives import native_sleep

#: seconds between two calls
PERIOD = 0.05
#: a watchdog that has not looked for so long (seconds) is starved
LATE = 0.15
#: seconds for which it is given breath then, and how long each one is
GIVEN, BREATH = 1.0, 0.0015


class Breather:
    """Puts a timer into the main lane's loop; `looked` tells when the watchdog has looked last.

    `post` runs something in a lane's hub.
    """

    def __init__(self, looked: Callable[[], float], post: Callable[[Lane, Callable[[], None]], bool]) -> None:
        self._looked = looked
        self._post = post
        self.closed = False

    def keep(self, lane: Lane) -> None:
        """See to it that the lane's loop has the timer: its hub may have been followed by another. Does not block."""
        hub = lane.hub()
        loop = None if hub is None or lane.ident != MAIN_THREAD_IDENT else hub.loop
        if loop is not None and (lane.breath is None or lane.breath.loop is not loop):
            self._post(lane, lambda: self.install(lane))

    def install(self, lane: Lane) -> None:
        """Put the timer into the loop of a lane's hub, unless it is there; call in the lane's thread."""
        hub = lane.hub()
        loop = None if hub is None or lane.ident != MAIN_THREAD_IDENT else hub.loop
        if self.closed or loop is None or (lane.breath is not None and lane.breath.loop is loop):
            return
        self.remove(lane)
        lane.breath = loop.timer(PERIOD, PERIOD, ref=False)
        lane.breath.start(self.breathe, lane)

    def remove(self, lane: Lane) -> None:
        """Take the timer out; call in the lane's thread."""
        breath, lane.breath = lane.breath, None
        if breath is not None:
            try:
                breath.stop()
                breath.close()
            except ValueError:
                pass  # its loop was destroyed

    def breathe(self, lane: Lane) -> None:
        """Let go of the GIL for a moment if somebody starves; called in the hub."""
        now = monotonic()
        if now - self._looked() > LATE:
            lane.breathes_until = now + GIVEN
        if now < lane.breathes_until:
            native_sleep(BREATH)
