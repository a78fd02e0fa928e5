"""What gevent's users know as `hub.loop`: calls that the hub will make, now or later.

There is no watcher here beyond these (hub's difference 1): descriptors are the poller's business, and what
waits for one goes through `waiting`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greenscope.runtime.timers import Timer

if TYPE_CHECKING:
    from greenscope.runtime.hub import Hub

__all__ = ["Callback", "Loop", "LoopTimer"]


class Callback:
    """A call that the hub will make in its next turn."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function: Callable[..., Any] | None = function
        self.args: tuple[Any, ...] | None = args

    @property
    def pending(self) -> bool:
        """True until it is made or stopped."""
        return self.function is not None

    def stop(self) -> None:
        """Make sure that it is not made. Idempotent."""
        self.function = self.args = None

    close = stop

    def __bool__(self) -> bool:
        return self.args is not None

    def _turn(self, hub: "Hub") -> None:
        function, args = self.function, self.args
        if function is not None and args is not None:
            self.function = None
            try:
                function(*args)
            finally:
                self.args = None


class Loop:
    """What gevent's users know as `hub.loop`: calls and timers of this hub."""

    __slots__ = ("hub",)

    def __init__(self, hub: "Hub") -> None:
        self.hub = hub

    def run_callback(self, function: Callable[..., Any], *args: Any) -> Callback:
        """Call `function(*args)` in the hub in its next turn. Does not block."""
        callback = Callback(function, args)
        hub = self.hub
        hub.ready.append(callback)
        if hub.sleeping:
            hub.poller.wake()
        return callback

    #: the same: the queue and the wake-up are safe in every thread
    run_callback_threadsafe = run_callback

    def timer(self, after: float, repeat: float = 0.0, ref: bool = True, priority: Any = None) -> "LoopTimer":
        """Return a timer that, once started, calls back in `after` seconds, then every `repeat` seconds (0: no more).

        With `ref=False` it doesn't keep the loop alive. `priority` means nothing here.
        """
        return LoopTimer(self.hub, after, repeat, ref)

    def now(self) -> float:
        """Return the hub's clock, seconds."""
        return self.hub.clock()

    def update_now(self) -> None:
        """Do nothing: the clock is read whenever it is asked for."""

    update = update_now

    def run(self) -> None:
        """Run the loop until it is dry; only from the main greenlet. Blocks."""
        self.hub.join()


class LoopTimer:
    """A timer as `loop.timer()` gives it: start(callback, *args), again(callback, *args), stop(), close()."""

    __slots__ = ("_after", "_hub", "_ref", "_repeat", "_timer")

    def __init__(self, hub: "Hub", after: float, repeat: float, ref: bool) -> None:
        if repeat < 0:
            raise ValueError(f"repeat must be positive or zero: {repeat!r}")
        self._hub = hub
        self._after = after
        self._repeat = repeat
        self._ref = ref
        self._timer: Timer | None = None

    def start(self, callback: Callable[..., Any], *args: Any, update: bool = True) -> None:
        """Call `callback(*args)` in the hub after the timer's seconds. Does not block."""
        self._start(self._after, callback, args)

    def again(self, callback: Callable[..., Any], *args: Any, update: bool = True) -> None:
        """Begin anew with `repeat` seconds; stop when there are none. Does not block."""
        self.stop()
        if self._repeat:
            self._start(self._repeat, callback, args)

    def _start(self, seconds: float, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.stop()
        if self._repeat:
            self._timer = self._hub.call_later(seconds, self._call_again, (callback, args), self._ref)
        else:
            self._timer = self._hub.call_later(seconds, callback, args, self._ref)

    def _call_again(self, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._start(self._repeat, callback, args)  # first: the callback may stop it, or raise
        callback(*args)

    def stop(self) -> None:
        """Cancel it. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    close = stop

    @property
    def pending(self) -> bool:
        """True between start and the call."""
        return self._timer is not None and self._timer.pending

    active = pending
