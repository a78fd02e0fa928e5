"""Raw greenlets that are borrowed, not made: why a spawn is cheap here.

Making a raw greenlet and switching to it for the first time costs some 8 us, because
a frame stack is mapped and unmapped for each one; a switch into one that exists costs
0.3 us. So a `Greenlet` is not a raw greenlet here. It is a plain object that borrows
a carrier when it first runs and gives it back when it ends:

    hub.free (a stack)  --borrow-->  carrier runs a job  --give back-->  hub.free

When a job ends and the next one in the ready queue is a Greenlet that has not begun,
the same carrier goes on with it, within the hub's batch: no switch at all. When it is a
parked carrier, the one that is free now relays to it: one switch instead of two.

A job is a Greenlet, or one of the link callbacks that wait in `hub.link_calls`. Every
job starts in an empty contextvars context, as a fresh raw greenlet would. A carrier
survives the kill of its job: the garbage collector never throws into one, since each
refers to itself from its own stack.

Ending a carrier costs as much as making one. So what a burst leaves behind is not
ended within the burst, but by `trim`, when the hub is idle or a little at a time.

A carrier outlives its jobs, so whoever means a job and acts later (a Timeout, a kill)
keeps `job_of(carrier)` and compares it then: it must not hit the next job.
"""

from time import monotonic
from typing import TYPE_CHECKING, Any

from greenlet import greenlet

from greenscope.runtime.accounting import clear_account, close_account, pass_on, write_slice

if TYPE_CHECKING:
    from greenscope.runtime.hub import Hub

#: states of a Greenlet that its carrier has to know (the others: joinable.py)
PENDING, RUNNING, VALUE = 1, 2, 3

#: free carriers that one hub keeps for good, about 8 kB each
FREE_LIMIT = 512
#: seconds between two trims of a busy hub
TRIM_PAUSE = 0.1
#: carriers that a busy hub ends at a time (about 1 ms), and an idle one, which then looks whether it still is
TRIM_BUSY, TRIM_IDLE = 128, 32

#: the job of a carrier that was borrowed for the link callbacks, until it takes the first of them
_LINKS = object()


class Carrier(greenlet):
    """A raw greenlet of one hub that runs one job after another."""

    __slots__ = (
        "_locals",
        "dismissed",
        "hub",
        "link_call",
        "longest_run",
        "parked_at",
        "run_time",
        "since",
        "switches",
        "task",
        "tree_locals",
        "wait_time",
        "waiting_on",
    )

    hub: "Hub"
    task: Any
    link_call: object
    #: it is to end when it is switched to next: half of what a throw would cost
    dismissed: bool
    waiting_on: Any
    tree_locals: dict[str, Any] | None
    #: what the greenlet-local data of a link callback hang on (see local)
    _locals: object
    run_time: float
    wait_time: float
    longest_run: float
    since: float
    parked_at: float
    switches: int
    #: it is no Greenlet that has not begun: asked of whatever is next in the ready queue
    _state = None

    def run(self) -> None:
        """Serve jobs until it is dismissed, or something is thrown into it while it is free."""
        hub = self.hub
        free = hub.free
        ready = hub.ready
        switch = hub.switch
        task = self.task
        while True:
            if task is None:
                self.run_links(hub)
            while task is not None:
                task._carrier = self
                task._state = RUNNING
                began = hub.now
                if began:
                    self.since = began
                try:
                    args, kwargs = task.args, task.kwargs
                    if kwargs or type(args) is not tuple:
                        value = task._run(*args, **kwargs)
                    elif not args:
                        value = task._run()
                    elif len(args) == 1:
                        value = task._run(args[0])
                    else:
                        value = task._run(*args)
                except BaseException as error:
                    if hub.now:
                        close_account(self, task, hub)
                    task._on_error(error)
                else:
                    if began and began == hub.now:  # one slice, by far the most frequent life: without the call
                        hub.now = now = monotonic()
                        try:
                            task._greenscope_account = began
                            task._greenscope_ended = now
                        except BaseException as error:
                            write_slice(task, began, now)
                            pass_on(error, hub)
                    elif hub.now:
                        close_account(self, task, hub)
                    task._on_value(value)
                    value = None
                args = kwargs = None
                if hub.batch > 0 and ready and getattr(ready[0], "_state", None) == PENDING:
                    hub.batch -= 1
                    self.task = task = ready.popleft()
                    self.gr_context = None
                else:
                    self.task = task = None
            free.append(self)
            try:
                while True:
                    if hub.batch > 0 and ready and ready[0].__class__ is Carrier:  # a relay, as in park()
                        hub.batch -= 1
                        following = ready.popleft()
                        if hub.now:
                            hub.current = following
                        following.switch()
                    else:
                        if hub.now:
                            hub.current = hub
                        switch()
                    task = self.task
                    if task is not None or self.link_call is not None:
                        break
                    if self.dismissed:
                        hub.carriers.discard(self)
                        return
                    # still free: a greenlet whose parent this is has ended, or somebody switches by hand
            except BaseException:
                hub.carriers.discard(self)
                if self in free:
                    free.remove(self)
                raise

    def run_links(self, hub: "Hub") -> None:
        """Run the link callbacks that wait."""
        self.link_call = None
        sources = hub.link_calls
        while sources:
            source = sources[0]
            callback = source._next_spawned_link()
            if callback is None:
                sources.popleft()
                continue
            self.link_call = callback, source
            self.tree_locals = {}
            self.gr_context = None
            try:
                callback(source)
            except BaseException as error:
                hub.handle_error((callback, source), type(error), error, strip(error))
            finally:
                self.link_call = self._locals = None
                clear_account(self)


def trim(hub: "Hub", count: int) -> None:
    """End up to `count` of the free carriers beyond those that the hub keeps; called by the hub."""
    free = hub.free
    for _ in range(min(count, len(free) - FREE_LIMIT)):
        dismiss(free.pop(), hub)


def dismiss(carrier: Carrier, parent: greenlet) -> None:
    """End a carrier that was just taken from the free ones, and come back to `parent`, the current greenlet."""
    carrier.parent = parent
    carrier.dismissed = True
    carrier.switch()


def job_of(raw: Any) -> Any:
    """Return what a raw greenlet works on, to be compared by `is` later; None for all but a busy carrier."""
    if raw.__class__ is not Carrier:
        return None
    return raw.task if raw.task is not None else raw.link_call


def is_idle(raw: Any) -> bool:
    """Return True for a carrier that has no job: nobody can mean it."""
    return raw.__class__ is Carrier and raw.task is None and raw.link_call is None


def strip(error: BaseException) -> Any:
    """Take the carrier's own frame off an error's traceback, as that frame goes on to serve others; return the rest."""
    tb = error.__traceback__
    if tb is not None and tb.tb_frame.f_code in _OWN_CODE:
        tb = tb.tb_next
        error.__traceback__ = tb
    return tb


_OWN_CODE = (Carrier.run.__code__, Carrier.run_links.__code__)


def borrow(hub: "Hub", task: Any) -> Carrier:
    """Take a carrier for a job (None: the waiting link callbacks); the caller switches to it."""
    free = hub.free
    if free:
        carrier = free.pop()
        carrier.gr_context = None
    else:
        carrier = make(hub)
    if task is None:
        carrier.link_call = _LINKS
    else:
        carrier.task = task
    return carrier


def make(hub: "Hub") -> Carrier:
    """Make a carrier with a clear account; here and not in an __init__, whose call costs a fifth of it all."""
    carrier = Carrier(None, hub)
    carrier.hub = hub
    carrier.dismissed = False
    carrier.task = carrier.link_call = carrier.waiting_on = carrier.tree_locals = carrier._locals = None
    carrier.run_time = carrier.wait_time = carrier.longest_run = carrier.since = carrier.parked_at = 0.0
    carrier.switches = 0
    hub.carriers.add(carrier)
    return carrier
