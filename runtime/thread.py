"""A runtime in a native thread of its own: start it, give it work from other threads, stop it.

    with RuntimeThread() as thread:
        future = thread.submit(fetch, url)      # a new greenlet there
        future.result()                         # waits here

The thread's main greenlet *serves*: it is parked, and holds the hub so that it never
runs dry, until it is asked to run a program's main function (`run`) or to end (`stop`).
During `run` the hub is not held: `wait()` without objects, LoopExit and KeyboardInterrupt
mean there what they mean in a program of its own.

    NEW --start()--> SERVING <--run()--> RUNNING --stop()--> ENDING --> NEW

Stopping is honest: every greenlet is killed, and whatever has not died within the
time-out is returned with its name and place. Its thread ends without it, unless it is a
greenlet that does not let go of the processor: that one is forced out only when the
interpreter ends. A child that is forked here ends with what forked it (see `orphan`).
"""

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

from greenlet import GreenletExit, getcurrent

from greenscope.runtime.futures import WaitableFuture
from greenscope.runtime.greenlet import getcurrent as current_greenlet
from greenscope.runtime.hub import Hub
from greenscope.runtime.orphan import end_orphan
from greenscope.runtime.submission import Submission, settle
from greenscope.runtime.survivors import SurvivorRecord, end_greenlets, end_running, running_survivor
from greenscope.runtime.waiting import current_hub, interrupt, park, resume

__all__ = ["RuntimeThread", "RuntimeThreadError", "SurvivorRecord"]

_T = TypeVar("_T")
_RuntimeThreadT = TypeVar("_RuntimeThreadT", bound="RuntimeThread")

NEW, SERVING, RUNNING, ENDING = "new", "serving", "running", "ending"

#: of stop()'s time-out, the part that is for the thread itself, after the greenlets have had theirs;
#: at least so many seconds, if that is not more than half of it
ENDING_SHARE, ENDING_SECONDS = 0.2, 0.2


class RuntimeThreadError(RuntimeError):
    """A RuntimeThread was asked for something that its state does not allow; the message says what would be right."""


def ending_seconds(timeout: float) -> float:
    """Return how much of a time-out is kept for the end of the thread."""
    return max(timeout * ENDING_SHARE, min(ENDING_SECONDS, timeout / 2))


class RuntimeThread:
    """A hub in a daemon thread. All methods are for other threads unless they say more; it can be started again."""

    def __init__(self, name: str = "runtime") -> None:
        self.name = name
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._state = NEW
        self._thread: threading.Thread | None = None
        self._hub: Hub | None = None
        self._main: Any = None
        self._job: tuple[WaitableFuture[Any], Callable[..., Any], Any, Any] | None = None
        self._futures: set[WaitableFuture[Any]] = set()
        self._deadline = 0.0
        self._survivors: list[SurvivorRecord] = []

    #: in a child that was forked in this thread: the greenlet that forked (see orphan)
    _forker: Any = None

    # -- state

    @property
    def hub(self) -> Hub:
        """Its hub; raises RuntimeThreadError when it is not started."""
        if self._hub is None:
            raise RuntimeThreadError(f"{self!r} has no hub: start() it first")
        return self._hub

    @property
    def alive(self) -> bool:
        """True from start() until its thread has ended."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def ident(self) -> int | None:
        """The native thread's identifier, None when it is not started."""
        return self._thread.ident if self._thread is not None else None

    def __repr__(self) -> str:
        return f"<RuntimeThread {self.name!r} {self._state}>"

    def __enter__(self: _RuntimeThreadT) -> _RuntimeThreadT:
        if self._state == NEW:
            self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.alive:
            self.stop()

    # -- use

    def start(self: _RuntimeThreadT) -> _RuntimeThreadT:
        """Start the thread and wait until its hub is there; returns self. Blocks for about a millisecond.

        Raises RuntimeThreadError when it is started already.
        """
        begun = threading.Event()
        failure: list[BaseException] = []
        with self._lock:
            if self._state != NEW:
                raise RuntimeThreadError(f"{self!r} is started already: stop() it before you start it again")
            self._state = SERVING
            self._survivors = []
            self._thread = threading.Thread(target=self._serve, args=(begun, failure), name=self.name, daemon=True)
            try:
                self._thread.start()
            except BaseException:
                self._state = NEW
                self._thread = None
                raise
        begun.wait()
        if failure:
            raise failure[0]
        _started.add(self)
        return self

    def submit(self, function: Callable[..., _T], *args: Any, **kwargs: Any) -> WaitableFuture[_T]:
        """Run `function(*args, **kwargs)` in a new greenlet there; returns a future. Does not block.

        From any thread, also from its own greenlets. The future can be cancelled until the hub takes it; when the
        greenlet is killed, it raises CancelledError. Raises RuntimeThreadError when it is not started or ends.
        """
        if not callable(function):
            raise TypeError(f"function must be callable, not {function!r}")
        future: WaitableFuture[_T] = WaitableFuture()
        hub = self._accept(future)
        hub.run_callback(self._spawn, future, function, args, kwargs)
        return future

    def call(self, function: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        """Return `function(*args, **kwargs)`, run in a greenlet there. Blocks; raises what the function raises."""
        return self.submit(function, *args, **kwargs).result()

    def run(self, function: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        """Return `function(*args, **kwargs)`, run in its main greenlet as a program's main function. Blocks.

        Starts the thread when it is not started; afterwards it goes on serving until stop(). Raises what the function
        raises, SystemExit included, CancelledError when stop() ended it, and RuntimeThreadError when one runs already.
        A KeyboardInterrupt here is passed on to the function, and what that makes of it is the outcome; a second one
        is raised here.
        """
        future = self.run_later(function, *args, **kwargs)
        try:
            return future.result()
        except KeyboardInterrupt as error:
            if future.done():
                raise
            self.interrupt(error)
        return future.result()

    def run_later(self, function: Callable[..., _T], *args: Any, **kwargs: Any) -> WaitableFuture[_T]:
        """Do as run(), but return a future for the outcome. Does not block."""
        if not callable(function):
            raise TypeError(f"function must be callable, not {function!r}")
        if self._state == NEW:
            self.start()
        future: WaitableFuture[_T] = WaitableFuture()
        with self._lock:
            if self._job is not None:
                raise RuntimeThreadError(f"{self!r} runs {self._job[1]!r} in its main greenlet: one at a time")
            hub = self._accept_locked(future)
            self._job = (future, function, args, kwargs)
            self._state = RUNNING
        hub.run_callback(_resume_serving, self)
        return future

    def interrupt(self, error: BaseException | type[BaseException] = KeyboardInterrupt) -> None:
        """Raise `error` in the function that run() runs, in the hub's next turn; a no-op when none does."""
        hub = self._hub
        if hub is not None:
            hub.run_callback(self._interrupt, error)

    def stop(self, timeout: float = 2.0) -> list[SurvivorRecord]:
        """Kill all that runs there, end the hub and the thread; returns what would not die. Blocks up to `timeout` s.

        A no-op when it is not started. Futures that are not done raise CancelledError. When the thread itself could
        not be ended, because a greenlet there does not yield, `alive` stays true; stop() may be called again.
        Raises RuntimeThreadError in its own thread.
        """
        with self._lock:
            thread, hub = self._thread, self._hub
            if thread is None or hub is None:
                return []
            if thread.ident == threading.get_ident():
                raise RuntimeThreadError(f"{self!r} cannot stop itself: call stop() from another thread")
            self._deadline = monotonic() + timeout - ending_seconds(timeout)
            self._state = ENDING
        hub.run_callback(self._interrupt, GreenletExit)
        hub.run_callback(_resume_serving, self)
        thread.join(timeout)
        if thread.is_alive():
            return [running_survivor(hub), *self._survivors]
        _started.discard(self)
        return self._survivors

    # -- in the thread

    def _accept(self, future: WaitableFuture[Any]) -> Hub:
        with self._lock:
            return self._accept_locked(future)

    def _accept_locked(self, future: WaitableFuture[Any]) -> Hub:
        hub = self._hub
        if hub is None:
            raise RuntimeThreadError(f"{self!r} is not started: start() it, or use it as a context manager")
        if self._state == ENDING:
            raise RuntimeThreadError(f"{self!r} is ending and takes no more work")
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return hub

    @staticmethod
    def _spawn(future: WaitableFuture[Any], function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        if future.set_running_or_notify_cancel():
            Submission(future, function, args, kwargs).start()

    def _interrupt(self, error: Any) -> None:
        raw = self._main
        if raw is not None and raw.waiting_on is not self and self._job is not None:
            interrupt(raw, error)

    def _serve(self, begun: threading.Event, failure: list[BaseException]) -> None:
        """Be the thread: serve in the main greenlet until it ends."""
        try:
            self._main = getcurrent()
            hub = self._hub = current_hub(self._main)
            hub.name = self.name
        except BaseException as error:
            failure.append(error)
            self._state, self._thread = NEW, None
            return
        finally:
            begun.set()
        pid = os.getpid()
        try:
            hub.hold()
            while self._state != ENDING:
                if self._job is not None:
                    self._run_job(hub, pid)
                    continue
                try:
                    park(self)
                except BaseException as error:
                    if os.getpid() != pid:
                        end_orphan(self._forker, error)
                    # else a SystemExit or the like of some greenlet: reported by the hub; nobody is here to end
            self._survivors = end_greenlets(hub, self._deadline)
        except GreenletExit:
            pass  # from end_running(), for a greenlet that has just ended
        finally:
            with suppress(GreenletExit):
                self._close(hub)

    waits_as = "serve"

    def _run_job(self, hub: Hub, pid: int) -> None:
        job = self._job
        assert job is not None
        future, function, args, kwargs = job
        value: Any = None
        failure: BaseException | None = None
        cancelled = not future.set_running_or_notify_cancel()
        if not cancelled:
            hub.release()
            try:
                value = function(*args, **kwargs)
            except GreenletExit:
                failure = CancelledError("it was killed")
            except BaseException as error:
                failure = error
            if os.getpid() != pid:
                end_orphan(None, failure)
            hub.hold()
        with self._lock:
            self._job = None
            if self._state == RUNNING:
                self._state = SERVING
        if not cancelled:
            settle(future, value, failure)

    def _close(self, hub: Hub) -> None:
        with self._lock:
            self._hub = self._main = None
            self._thread = None
            self._state = NEW
            futures = list(self._futures)
        try:
            hub.destroy()
        finally:
            for future in futures:
                if not future.cancel():
                    settle(future, error=CancelledError("the runtime thread has ended"))


def _resume_serving(thread: RuntimeThread) -> None:
    raw = thread._main
    if raw is not None and raw.waiting_on is thread:
        resume(raw)


# -- the ends of the process

#: running threads: stopped at exit, because a daemon thread must not be in a switch when the interpreter goes
_started: weakref.WeakSet[RuntimeThread] = weakref.WeakSet()


def _stop_all() -> None:
    for thread in list(_started):
        try:
            native, hub = thread._thread, thread._hub
            thread.stop(timeout=0.5)
            if native is not None and hub is not None:
                end_running(native, hub, seconds=0.5)
        except Exception:
            pass


def _forget_all() -> None:
    """In a forked child: the threads are the parent's; here they can be started anew."""
    here = threading.get_ident()
    for thread in list(_started):
        hub = thread._hub
        forked_here = hub is not None and hub.thread_ident == here
        if hub is not None and not forked_here:
            hub.poller.close()
        thread._reset()
        if forked_here:
            thread._forker = forker = current_greenlet()
            if isinstance(forker, Submission):
                forker.forget_future()
    _started.clear()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_forget_all)
