"""Births where no switch is traced: noted by a weak reference and a time, until somebody looks.

    spawned --> [arrivals] --look--> gone, or succeeded and kept   counted
                                     alive, killed                 registered: told as if it had been all along
                       '--it fails-> registered in the hub, by the hook on failures

Most greenlets of a program that spawns fast are gone at the next look. An entry for each would cost it more than all
the rest of the watching, and what is needed to make one later stands in the greenlet as long as it lives.
"""

import weakref
from collections.abc import Callable
from typing import Any

from gevent import Greenlet, GreenletExit

from greenscope.app.backends.gevent_lane import Lane, Shed
from greenscope.app.backends.gevent_registry import Entry

#: arrivals that are searched for one that fails, newest first (about 0.1 ms)
MOST_SEARCHED = 2000

_successful: Callable[[Any], bool] = Greenlet.successful


class Arrival(weakref.ref[Any]):
    """A greenlet that was started at `t` (0.0: it is told otherwise)."""

    __slots__ = ("t",)
    t: float


class Arrivals:
    """Looks through what has arrived; `register` makes an entry of one, with its time of birth."""

    def __init__(self, register: Callable[[Lane, Any, float], Entry]) -> None:
        self._register = register

    def look(self, lane: Lane, shed: Shed) -> None:
        """Register what lasts and count the others in `shed`, which is the calling thread's."""
        arrivals = lane.arrivals
        gone = 0
        for _ in range(len(arrivals)):
            try:
                arrival = arrivals.popleft()
            except IndexError:
                break  # the other thread looks, too
            found = arrival()
            if found is None:
                gone += arrival.t > 0.0
            elif arrival.t:
                self._settle(lane, found, arrival.t, shed)
        shed.count += gone

    def _settle(self, lane: Lane, found: Any, born: float, shed: Shed) -> None:
        entry = lane.entries.get(id(found))
        if entry is not None and entry() is found:
            if not entry.step:
                entry.born = min(entry.born, born)  # the tracer has come first
        elif _successful(found) and not isinstance(found.value, GreenletExit):
            shed.add()
        else:
            self._register(lane, found, born)

    def claim(self, lane: Lane, found: Any, now: float) -> Entry:
        """Register one that fails at `now`; call in its hub."""
        arrivals, born = lane.arrivals, now
        for back in range(1, min(len(arrivals), MOST_SEARCHED) + 1):
            try:
                arrival = arrivals[-back]
            except IndexError:
                break  # somebody looks through them
            if arrival() is found:
                born, arrival.t = arrival.t, 0.0
                break
        return self._register(lane, found, born)
