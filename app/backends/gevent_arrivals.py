"""Births where no switch is traced: noted by a weak reference and a time, until somebody looks.

    spawned --> [arrivals] --look--> gone, or succeeded and kept   counted
                                     alive, killed                 registered: told as if it had been all along
                       '--it fails-> registered in the hub, by the hook on failures

Most greenlets of a program that spawns fast are gone at the next look. An entry for each would cost it more than all
the rest of the watching, and what is needed to make one later stands in the greenlet as long as it lives.
"""

import sys
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

    def __init__(
        self, register: Callable[[Lane, Any, float], Entry], fault: Callable[[str, BaseException], None]
    ) -> None:
        self._register = register
        self._fault = fault

    def look(self, lane: Lane, shed: Shed, most: int = sys.maxsize) -> None:
        """Register what lasts and count the others in `shed`, which is the calling thread's; `most` arrivals."""
        arrivals = lane.arrivals
        gone = 0
        for _ in range(min(len(arrivals), most)):
            arrival = arrivals.popleft()
            found = arrival()
            if found is None:
                gone += arrival.t > 0.0
            elif arrival.t:
                try:
                    self._settle(lane, found, arrival.t, shed)
                except Exception as error:
                    self._fault("arrivals", error)
        told = min(gone, lane.claimed - lane.claimed_before)
        lane.claimed_before += told
        shed.count += gone - told

    def look_from_outside(self, lane: Lane) -> None:
        """Do so in the dashboard's thread, unless the tracer is about to come back."""
        lane.looking = True
        try:
            if not lane.resuming:
                self.look(lane, lane.shed_untraced)
        finally:
            lane.looking = False

    def _settle(self, lane: Lane, found: Any, born: float, shed: Shed) -> None:
        entry = lane.entries.get(id(found))
        if entry is not None and entry() is found:
            if not entry.step:
                entry.born = min(entry.born, born)  # the tracer has come first
        elif _successful(found) and not issubclass(type(found.value), GreenletExit):
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
        else:
            lane.claimed += 1  # it is told now, and will be gone when it is looked at
        return self._register(lane, found, born)
