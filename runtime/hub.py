"""The hub: the raw greenlet of a thread that runs its event loop.

Whoever blocks switches to the hub, always through `waiting.park`, and is switched back
to from its loop, one turn (`turns`) after the other:

    +--> timers that are due --> descriptors that are ready --> the ready batch -----+
    |    (sleeps only when nothing is ready; not at all when nothing could wake it)  |
    +---- link lines <---- links of those that ended <---- `every` greenlet's links <+

Two short cuts keep to the ready queue's order and spare the hub a switch: a greenlet that
parks may relay straight to the next parked one, and one that ends may go on as the next
that has not begun. All others of a thread's switches are the hub's own.

The ready queue holds raw greenlets to be switched to, and objects with a `_turn(hub)`:
callbacks, and Greenlets that have not begun. A batch is what stood in the queue when it
began, so two greenlets that spin cannot starve timers and sockets.

When nothing is ready and neither timer, descriptor nor hold could ever change that,
the hub throws LoopExit into its parent, the thread's main greenlet, or ends the
`wait()` of the one who asked for just that.

Deliberate differences from gevent:
1. There is no libev beneath, and no watchers but `loop.run_callback`,
   `loop.run_callback_threadsafe` and `loop.timer`.
2. A hub lives as long as its thread; running dry does not end it.
3. In a forked child the hub forgets all greenlets but the one that forked.
"""

import importlib
import os
import signal
import threading
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from greenlet import getcurrent, greenlet

from greenscope.runtime.carriers import Carrier, dismiss
from greenscope.runtime.exceptions import HubDestroyed, LoopExit
from greenscope.runtime.faults import ErrorHandler
from greenscope.runtime.idents import Idents
from greenscope.runtime.instruments import hooks
from greenscope.runtime.loop import Callback, Loop
from greenscope.runtime.poller import Poller
from greenscope.runtime.timers import Timer, Timers
from greenscope.runtime.turns import make_turn, poll

__all__ = ["Callback", "Hub", "LoopExit", "get_hub", "get_hub_if_exists", "set_clock"]

#: seconds; the kernel refuses to wait for much longer
LONGEST_SLEEP = 86400.0


class Hub(ErrorHandler):
    """The event loop of one thread; get it with get_hub()."""

    #: the most threads of `threadpool`; set it before the pool is first used
    threadpool_size = 10
    monotonic = staticmethod(monotonic)

    name = ""
    waiting_on = None
    task = None

    #: what is read and written all the time: a slot is found faster than another attribute
    __slots__ = (
        "accounted",
        "batch",
        "batch_floor",
        "carriers",
        "clock",
        "current",
        "finished",
        "free",
        "link_calls",
        "now",
        "poller",
        "ready",
        "relay_until",
        "sleeping",
        "switches",
        "thread_ident",
        "timers",
        "turn_at",
        "turns",
    )

    def __init__(self) -> None:
        main = getcurrent()
        while main.parent is not None:
            main = main.parent
        greenlet.__init__(self, None, main)
        self.hub = self
        self.tree_locals: dict[str, Any] = {}
        self.spawn_tree_locals = self.tree_locals
        self.thread_ident = threading.get_ident()
        self.loop = Loop(self)
        self.ready: deque[Any] = deque()
        self.finished: list[Any] = []
        #: those of them that failed or were killed
        self.cut_short: list[Any] = []
        self.link_calls: deque[Any] = deque()
        self.free: list[Carrier] = []
        #: all carriers, for observers; their own stacks hold them anyway, until they end
        self.carriers: set[Carrier] = set()
        self.timers = Timers()
        self.poller = Poller()
        self.idents = Idents()
        self.clock: Callable[[], float] = _clock
        #: True while the hub is in poll(): whoever appends to `ready` from elsewhere has to wake it
        self.sleeping = False
        #: things under way elsewhere (pool threads, submitted calls) that will wake the hub
        self.holds = 0
        #: who is in idle()
        self.idlers: set[Any] = set()
        #: asks for accounts of run, ready and wait time, from the next turn on; from any thread
        self.accounted = False
        #: when the running slice began, 0.0: no accounts are kept (see accounting)
        self.now = 0.0
        #: who has that slice: a raw greenlet, the hub itself (None: the hub, between two batches)
        self.current: Any = None
        #: entries of the running batch that are still in the ready queue; relays may take it down to `batch_floor`
        self.batch = self.batch_floor = 0
        #: the second from which on it is asked whether this turn allows any more; only while accounts are kept
        self.relay_until = 0.0
        self.turns = 0
        self.switches = 0
        self.turn_at = monotonic()
        self._trim_at = 0.0
        self._joiner: Any = None
        self._threadpool: Any = None
        self._shuffle: Callable[[deque[Any]], None] | None = None
        self._catch_signals()
        hubs.add(self)

    # -- the loop

    def run(self) -> None:
        """Run turns for ever; never returns but by destroy()."""
        fault: BaseException | None = None
        while True:
            try:
                if fault is not None:
                    self.timers.put_back()  # what it has kept run_timers from putting back
                    error, fault = fault, None
                    self.on_loop_fault(error)
                elif not make_turn(self):
                    self._run_dry()
            except HubDestroyed:
                return
            except BaseException as error:
                self.sleeping = False
                fault = error  # handled where what comes of it is caught, too

    def _sleep(self, deadline: float | None) -> None:
        """Sleep until the deadline, a descriptor or a wake-up. A virtual clock replaces this."""
        if deadline is None:
            poll(self, None)
        else:
            poll(self, min(max(0.0, deadline - self.clock()), LONGEST_SLEEP))

    def _run_dry(self) -> None:
        """Tell whoever can act on it that nothing is left to do, and live on (difference 2)."""
        joiner, self._joiner = self._joiner, None
        if joiner is not None:
            joiner(True)
            return
        message = (
            "This operation would block forever: nothing is ready and no timer, descriptor or thread can wake the hub"
        )
        self._throw_main(LoopExit(message, self))

    # -- asking the hub for something

    def call_later(self, seconds: float, function: Callable[..., Any], args: Any = (), ref: bool = True) -> Timer:
        """Call `function(*args)` in the hub after `seconds`; `ref=False`: the loop may end before. Does not block."""
        return self.timers.add(self.clock() + seconds, function, args, ref)

    def run_callback(self, function: Callable[..., Any], *args: Any) -> Callback:
        """Call `function(*args)` in the hub in its next turn; from any thread. Does not block."""
        return self.loop.run_callback(function, *args)

    def hold(self) -> None:
        """Keep the loop alive for something under way elsewhere; release() it in the hub's thread."""
        self.holds += 1

    def release(self) -> None:
        """Undo one hold()."""
        self.holds -= 1

    def join(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to do; False when `timeout` seconds passed before. Main greenlet only; blocks."""
        from greenscope.runtime.waiting import park, resume

        raw = getcurrent()
        if raw is not self.parent:
            raise AssertionError("only possible from the main greenlet of the hub's thread")
        state = [True]

        def wake(dry: bool) -> None:
            state[0] = dry
            resume(raw)

        timer = None if timeout is None else self.call_later(timeout, wake, (False,), ref=False)
        self._joiner = wake
        try:
            park(self)
        finally:
            self._joiner = None
            if timer is not None:
                timer.cancel()
        return state[0]

    waits_as = "loop"

    @property
    def threadpool(self) -> Any:
        """The hub's pool of native threads for calls that block elsewhere; made on first use."""
        if self._threadpool is None:
            from greenscope.runtime.threadpool import ThreadPool

            self._threadpool = ThreadPool(self.threadpool_size, hub=self)
        return self._threadpool

    @property
    def minimal_ident(self) -> int:
        """A small number that no other live hub has."""
        return _hub_idents.of(self)

    def destroy(self, destroy_loop: bool | None = None) -> None:
        """End the hub and give its descriptors back; the thread gets a new one when it needs it. Main greenlet only."""
        if getcurrent() is self:
            raise AssertionError("a hub cannot destroy itself")
        if _thread_local.__dict__.get("hub") is self:
            del _thread_local.hub
        raws: tuple[Any, ...] = (self.parent, getcurrent())
        for raw in raws:
            if getattr(raw, "hub", None) is self:
                del raw.hub
        if self._threadpool is not None:
            self._threadpool.abandon()
        if not self.dead:
            if self:
                self.throw(HubDestroyed())
            self._end_carriers()
        self._leave_signals()
        self.poller.close()
        if hooks.hub_closed:
            hooks.call("hub_closed", self)

    def _end_carriers(self) -> None:
        """End the free carriers: each refers to itself from its own stack, so nobody else ever would."""
        current = getcurrent()
        while self.free:
            dismiss(self.free.pop(), current)

    def __repr__(self) -> str:
        return f"<Hub at {id(self):#x} thread={self.thread_ident:#x} ready={len(self.ready)} timers={len(self.timers)}>"

    # -- signals, forks

    def _catch_signals(self) -> None:
        """Let a signal end poll(), so that what its handler made ready runs at once."""
        if threading.get_ident() == threading.main_thread().ident:
            try:
                previous = signal.set_wakeup_fd(self.poller.wakeup_fd, warn_on_full_buffer=False)
                if previous != -1:  # somebody else's: theirs first
                    signal.set_wakeup_fd(previous, warn_on_full_buffer=False)
            except ValueError:
                pass

    def _leave_signals(self) -> None:
        """Undo that before our descriptor is closed: its number may soon be a file or a socket of somebody else's."""
        if threading.get_ident() == threading.main_thread().ident:
            try:
                previous = signal.set_wakeup_fd(-1)
                if previous not in (-1, self.poller.wakeup_fd):
                    signal.set_wakeup_fd(previous, warn_on_full_buffer=False)
            except ValueError:
                pass

    def _after_fork(self) -> None:
        """Start over in the child: nothing of the parent's goes on here but the greenlet that forked (difference 3)."""
        self._leave_signals()
        self.poller.close()
        self.poller = Poller()
        self.timers = Timers()
        self.ready.clear()
        self.finished.clear()
        self.cut_short.clear()
        self.link_calls.clear()
        self.batch = 0
        self.holds = 0
        self.idlers.clear()
        self.sleeping = False
        self._joiner = None
        self._threadpool = None
        self.thread_ident = threading.get_ident()
        self._catch_signals()


#: all hubs of the process, for observers
hubs: "weakref.WeakSet[Hub]" = weakref.WeakSet()


class _HubSlot(threading.local):
    """The hub of each thread; a thread that ends gives the descriptors of its hub back."""

    hub: Hub


class _Keeper:
    """Goes with its thread, and takes the hub along that nobody destroyed: descriptors, free carriers, frames."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def __del__(self) -> None:
        hub = self.hub
        try:
            if hub.thread_ident == threading.get_ident() and not hub.dead:
                hub.destroy()
            else:
                hub.poller.close()
        except Exception:
            pass


_thread_local = _HubSlot()
_hub_idents = Idents()
_clock: Callable[[], float] = monotonic


def set_clock(clock: Callable[[], float]) -> None:
    """Set the clock of the hubs made from now on (tests: a virtual one)."""
    global _clock
    _clock = clock


def get_hub() -> Hub:
    """Return the hub of this thread, made at the first call. Does not block."""
    try:
        return _thread_local.hub
    except AttributeError:
        hub = Hub()
        _thread_local.hub = hub
        if threading.get_ident() != threading.main_thread().ident:
            _thread_local.keeper = _Keeper(hub)
        if hooks.hub_opened:
            hooks.call("hub_opened", hub)
        return hub


def get_hub_if_exists() -> Hub | None:
    """Return the hub of this thread, None when it has none."""
    return _thread_local.__dict__.get("hub")


#: names that gevent's users look for here; those modules import this one
_ELSEWHERE = {
    "GreenletExit": "exceptions",
    "Waiter": "waiter",
    "getcurrent": "greenlet",
    "idle": "waiting",
    "iwait": "waits",
    "kill": "waits",
    "reinit": "os",
    "sleep": "waiting",
    "spawn_raw": "raw",
    "wait": "waits",
}


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(f"greenscope.runtime.{_ELSEWHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _fork_child() -> None:
    hub = get_hub_if_exists()
    if hub is not None:
        hub._after_fork()


os.register_at_fork(after_in_child=_fork_child)
