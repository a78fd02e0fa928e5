"""Calls that would block the hub, made in native threads while greenlets go on.

    get_hub().threadpool.apply(zlib.compress, (data,))

A job's outcome comes back as a callback of the hub, so everything but the job itself
happens in the hub's thread and needs no lock. The hub is held while a job is under way.
A greenlet that is killed while it waits leaves its job to itself: the job ends, and its
outcome is dropped.

    spawn() --slot--> queue --> a worker thread runs it --run_callback--> AsyncResult, slot free

Deliberate differences from gevent:
1. An error of apply() is raised in the caller only, not reported on stderr as well; errors
   of spawn() and what is built on it are reported, since perhaps nobody looks at the result.
"""

import os
import sys
import threading
import weakref
from collections.abc import Callable
from time import monotonic
from typing import Any

from greenlet import getcurrent

from greenscope.runtime.event import AsyncResult, Event
from greenscope.runtime.exceptions import InvalidThreadUseError
from greenscope.runtime.executor import ThreadPoolExecutor
from greenscope.runtime.greenlet import Greenlet
from greenscope.runtime.hub import Hub, get_hub, get_hub_if_exists
from greenscope.runtime.mapping import MappingMixin
from greenscope.runtime.semaphore import Semaphore
from greenscope.runtime.workers import Worker, Workers, call_observed

__all__ = ["ThreadPool", "ThreadPoolExecutor"]

#: jobs that may wait in the queue beyond those that run, so that a worker finds the next one at once
SPARE_SLOTS = 1


class Slots(Semaphore):
    """The slots of a pool: one for each job that runs or is queued."""

    __slots__ = ()
    waits_as = "thread pool slot"


class Idle(Event):
    """Greenlets that wait until a pool has done something: join(), and size set to less."""

    __slots__ = ()
    waits_as = "thread pool"

    def wake(self) -> None:
        """Let all that wait look again."""
        self.set()
        self.clear()


class PoolJob:
    """One call in a worker; `finish` brings its outcome home in the hub."""

    __slots__ = ("args", "exc_info", "function", "hub", "kwargs", "pool", "quiet", "result", "value")

    def __init__(self, pool: "ThreadPool", function: Any, args: Any, kwargs: Any, quiet: bool) -> None:
        self.pool = pool
        self.hub = pool.hub
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.quiet = quiet
        self.result = AsyncResult()
        self.value: Any = None
        self.exc_info: Any = None

    def run(self) -> None:
        """Make the call; in the worker."""
        try:
            self.value = call_observed(self.function, self.args, self.kwargs)
        except BaseException as error:
            tb = error.__traceback__
            for _ in range(2):  # our frame, and call_observed()'s
                tb = tb.tb_next if tb is not None else None
            error.__traceback__ = tb
            self.exc_info = (type(error), error, tb)
            tb = None  # or the frame would hold itself
        self.args = self.kwargs = ()
        self.hub.run_callback(self.finish)

    def finish(self) -> None:
        """Set the result; in the hub."""
        pool, result, value, exc_info = self.pool, self.result, self.value, self.exc_info
        function, self.function = self.function, None
        self.value = self.exc_info = None
        pool._on_finished(self)
        if exc_info is None:
            result.set(value)
            return
        if not self.quiet:  # apply() is (difference 1)
            self.hub.handle_error((pool, function), *exc_info)
        result.set_exception(exc_info[1], exc_info)


class ThreadPool(MappingMixin):
    """A pool of at most `maxsize` native threads, made when they are needed, for use in its hub's thread only.

    Its len() is the number of jobs that are queued or run. With `idle_task_timeout` (seconds, -1: never) a thread
    that gets no job for so long ends. Raises TypeError and ValueError for a `maxsize` that is none.
    """

    def __init__(self, maxsize: int, hub: Hub | None = None, idle_task_timeout: float = -1) -> None:
        self.hub = get_hub() if hub is None else hub
        self._idle_timeout = None if idle_task_timeout < 0 else idle_task_timeout
        self._maxsize = 0
        self._reset()
        self._slots = Slots(SPARE_SLOTS, self.hub)
        self.maxsize = maxsize
        _pools.add(self)

    def _reset(self) -> None:
        self._workers = Workers("ThreadPool", self._on_exit, self._idle_timeout)
        self._unfinished = 0
        self._alive = 0
        self._retiring = 0
        self._idle = Idle()

    def _after_fork(self) -> None:
        """Start over in a child, where neither threads nor the jobs under way exist."""
        self._reset()
        self._slots = Slots(self._maxsize + SPARE_SLOTS, self.hub)

    # -- size

    def __len__(self) -> int:
        return self._unfinished

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} at {id(self):#x} tasks={len(self)} size={self.size} maxsize={self.maxsize} "
            f"hub={self.hub!r}>"
        )

    @property
    def maxsize(self) -> int:
        """The most threads that it makes; set it to let more jobs run, or less once they are done. Does not block."""
        return self._maxsize

    @maxsize.setter
    def maxsize(self, maxsize: int) -> None:
        if not isinstance(maxsize, int):
            raise TypeError(f"maxsize must be an integer, not {maxsize!r}")
        if maxsize < 0:
            raise ValueError(f"maxsize must not be negative: {maxsize!r}")
        more = maxsize - self._maxsize
        self._maxsize = maxsize
        self._adjust()
        if more < 0:
            self._slots.counter += more
        for _ in range(more):
            self._slots.release()

    @property
    def size(self) -> int:
        """The threads that it has. Setting it makes or ends threads; waits for those that end, so that blocks."""
        return self._alive

    @size.setter
    def size(self, size: int) -> None:
        if size < 0:
            raise ValueError(f"Size of the pool cannot be negative: {size!r}")
        if size > self._maxsize:
            raise ValueError(f"Size of the pool cannot be bigger than maxsize: {size!r} > {self._maxsize!r}")
        while self._alive - self._retiring < size:
            self._add()
        self._retire(self._alive - self._retiring - size)
        if getcurrent() is self.hub:
            return
        self.hub.hold()
        try:
            while self._alive > size and self._retiring:
                self._idle.wait()
        finally:
            self.hub.release()

    def _add(self) -> None:
        self._workers.add()
        self._alive += 1

    def _retire(self, number: int) -> None:
        if number > 0:
            self._retiring += number
            self._workers.retire(number)

    def _adjust(self) -> None:
        """Make as many threads as there are jobs, and end those that are too many; in the hub's thread."""
        while self._alive - self._retiring < min(self._maxsize, self._unfinished):
            self._add()
        self._retire(self._alive - self._retiring - self._maxsize)

    def _on_exit(self, worker: Worker) -> None:
        """Note in the hub that a thread has ended; called in that thread."""
        self.hub.run_callback(self._note_exit, worker)

    def _note_exit(self, worker: Worker) -> None:
        if worker.workers is self._workers:
            self._alive -= 1
            if worker.retired:
                self._retiring -= 1
            else:
                self._adjust()  # it may have left for idleness just before a job came
            self._idle.wake()

    # -- jobs

    def spawn(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> AsyncResult:
        """Run `func(*args, **kwargs)` in a thread; returns an AsyncResult. Blocks while all slots are taken.

        Raises InvalidThreadUseError in any other thread than its hub's.
        """
        return self._submit(func, args, kwargs, quiet=False)

    def apply(self, func: Callable[..., Any], args: Any = None, kwds: Any = None) -> Any:
        """Return `func(*args, **kwds)`, run in a thread. Blocks; raises what it raises.

        In another thread than its hub's, such as one of its own, the call is made right there.
        """
        if self._apply_immediately():
            return func(*(args or ()), **(kwds or {}))
        return self._submit(func, args or (), kwds or {}, quiet=True).get()

    def _submit(self, function: Any, args: Any, kwargs: Any, quiet: bool) -> AsyncResult:
        if self._apply_immediately():
            raise InvalidThreadUseError(f"{type(self).__name__} is for the thread of its hub: {self.hub!r}")
        slots = self._slots
        slots.acquire()
        while slots is not self._slots:  # forked meanwhile
            slots = self._slots
            slots.acquire()
        job = PoolJob(self, function, args, kwargs, quiet)
        self._unfinished += 1
        try:
            self._adjust()
        except RuntimeError:
            if not self._alive:  # no thread to be had, and none to wait for
                self._unfinished -= 1
                slots.release()
                raise
        self.hub.hold()
        self._workers.queue.put(job)
        return job.result

    def _on_finished(self, job: PoolJob) -> None:
        self._unfinished -= 1
        self.hub.release()
        self._slots.release()
        if not self._unfinished:
            self._idle.wake()

    def join(self) -> None:
        """Wait until all jobs are done. Blocks."""
        while self._unfinished:
            self._idle.wait()

    def kill(self) -> None:
        """End all threads, once the jobs that they have are done. Blocks."""
        self.size = 0

    def stop(self, deadline: float) -> list[tuple[str, str]]:
        """Drop the jobs that have not begun, end the threads; returns (name, place) of those busy at `deadline`.

        `deadline` is by time.monotonic(). Blocks until then at most, in the hub's thread. The pool is of no use then.
        """
        workers = self._workers
        workers.drop_jobs()
        workers.retire(len(workers.threads))
        for thread in list(workers.threads):
            thread.join(max(0.0, deadline - monotonic()))
        frames = sys._current_frames()
        return [
            (f"{thread.name} ({getattr(thread.job.function, '__name__', thread.job.function)})", _place(frames, thread))
            for thread in list(workers.threads)
            if thread.job is not None
        ]

    def abandon(self) -> None:
        """Drop the jobs that have not begun and let the threads end by themselves: the hub ends. Does not block."""
        self._workers.drop_jobs()
        self._workers.retire(len(self._workers.threads))

    # -- what the mapping methods ask

    def _apply_immediately(self) -> bool:
        """Return True in another thread than the hub's: there, waiting for the pool could be for ever."""
        return get_hub_if_exists() is not self.hub and get_hub() is not self.hub

    def _apply_async_cb_spawn(self, callback: Callable[[Any], Any], result: Any) -> None:
        callback(result)

    def _apply_async_use_greenlet(self) -> bool:
        return True  # spawn() may block

    def _apply_greenlet(self) -> type[Greenlet]:
        return Greenlet


def _place(frames: dict[int, Any], thread: threading.Thread) -> str:
    frame = frames.get(thread.ident or 0)
    return (
        "unknown place" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
    )


_pools: "weakref.WeakSet[ThreadPool]" = weakref.WeakSet()


def _fork_child() -> None:
    for pool in list(_pools):
        pool._after_fork()


os.register_at_fork(after_in_child=_fork_child)
