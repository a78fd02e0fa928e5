"""Raw greenlets that are borrowed, not made: why a spawn is cheap here.

Making a raw greenlet and switching to it for the first time costs some 8 us, because
a frame stack is mapped and unmapped for each one; a switch into one that exists costs
0.3 us. So a `Greenlet` is not a raw greenlet here. It is a plain object that borrows
a carrier when it first runs and gives it back when it ends:

    hub.free (a bounded stack)  --borrow-->  carrier runs a job  --give back-->  hub.free

When a job ends and the next one in the ready queue is a Greenlet that has not begun,
the same carrier goes on with it, within the hub's batch: no switch at all.

A job is a Greenlet, or the link callbacks that wait in `hub.link_calls`. Every job
starts in an empty contextvars context, as a fresh raw greenlet would. A carrier whose
job ended with GreenletExit ends, too: the exception may have come from the garbage
collector, and then there is no hub to go back to.
"""

import sys
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, greenlet
from greenscope.runtime.instruments import hooks

if TYPE_CHECKING:
    from greenscope.runtime.hub import Hub

#: states of a Greenlet that its carrier has to know (the others: greenlet.py)
PENDING, RUNNING = 1, 2

#: carriers kept for reuse by one hub; more of them end with their job (about 10 kB each)
FREE_LIMIT = 512


class Carrier(greenlet):
    """A raw greenlet of one hub that runs one job after another."""

    __slots__ = (
        "hub",
        "longest_run",
        "parked_at",
        "ready_at",
        "ready_time",
        "run_time",
        "switches",
        "task",
        "wait_time",
        "waiting_on",
    )

    hub: "Hub"
    task: Any

    def __init__(self, hub: "Hub") -> None:
        greenlet.__init__(self, None, hub)
        self.hub = hub
        self.task = None
        self.waiting_on: Any = None
        reset_account(self, 0.0)
        hub.carriers.add(weakref.ref(self, hub.carriers.discard))

    def run(self) -> None:
        """Serve jobs until the free list is full or a job ends with GreenletExit."""
        hub = self.hub
        free = hub.free
        ready = hub.ready
        switch = hub.switch
        while True:
            task = self.task
            if task is None:
                if not self.run_links(hub):
                    return
            while task is not None:
                task._carrier = self
                task._state = RUNNING
                if hooks.started:
                    hooks.call("started", task)
                if hub.accounted:
                    reset_account(self, hub.now)
                try:
                    kwargs = task.kwargs
                    value = task._run(*task.args, **kwargs) if kwargs else task._run(*task.args)
                except BaseException as error:
                    if hub.accounted:
                        close_account(self, task, hub)
                    task._on_error(error)
                    if isinstance(error, GreenletExit):
                        self.task = None
                        return
                else:
                    if hub.accounted:
                        close_account(self, task, hub)
                    task._on_value(value)
                    value = None
                kwargs = None
                if hub.batch and getattr(ready[0], "_state", None) == PENDING:
                    hub.batch -= 1
                    self.task = task = ready.popleft()
                    self.gr_context = None
                else:
                    self.task = task = None
            if len(free) >= FREE_LIMIT:
                return
            free.append(self)
            switch()

    @staticmethod
    def run_links(hub: "Hub") -> bool:
        """Run the link callbacks that wait; False when this carrier was told to end."""
        calls = hub.link_calls
        while calls:
            callback, source = calls.popleft()
            try:
                callback(source)
            except BaseException:
                exc_info = sys.exc_info()
                hub.handle_error((callback, source), *exc_info)
                if isinstance(exc_info[1], GreenletExit):
                    return False
                del exc_info
            callback = source = None
        return True


def borrow(hub: "Hub", task: Any) -> Carrier:
    """Take a carrier for a job (None: the waiting link callbacks); the caller switches to it."""
    free = hub.free
    if free:
        carrier = free.pop()
        carrier.gr_context = None
    else:
        carrier = Carrier(hub)
    carrier.task = task
    return carrier


def reset_account(raw: Any, now: float) -> None:
    """Set the run-time account of a raw greenlet to zero; `now` is the hub's clock (0.0: not accounted)."""
    raw.run_time = raw.ready_time = raw.wait_time = raw.longest_run = 0.0
    raw.switches = 0
    raw.ready_at = raw.parked_at = now


def close_account(raw: Any, task: Any, hub: "Hub") -> None:
    """Give a task that ends its account: (run, ready, wait, switches, longest) in seconds, the last slice included."""
    now = monotonic()
    last = now - hub.now
    hub.now = now
    task._account = (
        raw.run_time + last,
        raw.ready_time,
        raw.wait_time,
        raw.switches + 1,
        last if last > raw.longest_run else raw.longest_run,
    )
