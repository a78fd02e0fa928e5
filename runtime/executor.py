"""ThreadPoolExecutor: the interface of concurrent.futures, with futures that greenlets wait for.

Its jobs bring their outcome home in a `WaitableFuture`, which knows which hubs wait for
it; so unlike a ThreadPool it belongs to no hub, and any thread may use it.

Deliberate differences from gevent:
1. It is used from any thread, and submit() never blocks.
2. Its futures work with concurrent.futures.wait() and as_completed(), too.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, InvalidStateError
from concurrent.futures.thread import BrokenThreadPool
from typing import Any, TypeVar

from greenscope.runtime.futures import WaitableFuture
from greenscope.runtime.hub import get_hub, get_hub_if_exists
from greenscope.runtime.workers import Worker, Workers, call_observed

__all__ = ["ThreadPoolExecutor"]

_T = TypeVar("_T")


class FutureJob:
    """One call of an executor; its outcome goes to a future."""

    __slots__ = ("args", "executor", "function", "future", "kwargs")

    def __init__(self, executor: "ThreadPoolExecutor", future: Any, function: Any, args: Any, kwargs: Any) -> None:
        self.executor = executor
        self.future = future
        self.function = function
        self.args = args
        self.kwargs = kwargs

    def run(self) -> None:
        """Make the call, unless it was cancelled; in the worker."""
        future = self.future
        try:
            if future.set_running_or_notify_cancel():
                try:
                    value = call_observed(self.function, self.args, self.kwargs)
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(value)
        except InvalidStateError:
            pass
        self.executor._on_finished()


class ThreadPoolExecutor(Executor):
    """A `concurrent.futures.ThreadPoolExecutor` whose futures greenlets can wait for; usable from any thread.

    Raises ValueError for `max_workers` of 0 or less; None: 4 more than there are processors, at most 32.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., Any] | None = None,
        initargs: Any = (),
    ) -> None:
        if max_workers is None:
            max_workers = min(32, (os.cpu_count() or 1) + 4)
        if max_workers <= 0:
            raise ValueError(f"max_workers must be greater than 0, not {max_workers!r}")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be a callable, not {initializer!r}")
        self._max_workers = max_workers
        get_hub()  # so that jobs submitted in this thread keep its loop alive
        self._lock = threading.Lock()
        self._unfinished = 0
        self._shutdown = False
        self._broken = ""
        self._ended: WaitableFuture[None] = WaitableFuture()
        self._workers = Workers(
            thread_name_prefix or "ThreadPoolExecutor",
            self._on_exit,
            initializer=None if initializer is None else lambda: initializer(*initargs),
        )

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> WaitableFuture[_T]:
        """Run `fn(*args, **kwargs)` in a thread; returns a future. Does not block, from any thread (difference 1).

        Raises RuntimeError after shutdown(), and BrokenThreadPool when the initializer failed.
        """
        future: WaitableFuture[_T] = WaitableFuture()
        hub = get_hub_if_exists()
        with self._lock:
            if self._broken:
                raise BrokenThreadPool(self._broken)
            if self._shutdown:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._unfinished += 1
            if len(self._workers.threads) < min(self._unfinished, self._max_workers):
                try:
                    self._workers.add()
                except RuntimeError:
                    if not self._workers.threads:
                        self._unfinished -= 1
                        raise
            self._workers.queue.put(FutureJob(self, future, fn, args, kwargs))
        if hub is not None:
            hub.hold()
            future.add_done_callback(lambda _done: hub.run_callback(hub.release))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs and end the threads when those that there are are done; with `wait` blocks until then."""
        with self._lock:
            if not self._shutdown:
                self._shutdown = True
                self._workers.retire(len(self._workers.threads))
            dropped: Any = self._workers.drop_jobs() if cancel_futures else []
            if not self._workers.threads and not self._ended.done():
                self._ended.set_result(None)
        for job in dropped:
            job.future.cancel()
            job.future.set_running_or_notify_cancel()
        if wait:
            self._ended.result()

    def kill(self, wait: bool = True) -> None:
        """End it as shutdown() does."""
        self.shutdown(wait)

    def _on_finished(self) -> None:
        with self._lock:
            self._unfinished -= 1

    def _on_exit(self, worker: Worker) -> None:
        dropped: Any = []
        with self._lock:
            if worker.failure is not None:
                self._broken = f"the initializer failed with {worker.failure!r}: the executor is not usable any more"
                dropped = self._workers.drop_jobs()
            if self._shutdown and not self._workers.threads and not self._ended.done():
                self._ended.set_result(None)
        for job in dropped:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(BrokenThreadPool(self._broken))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} threads={len(self._workers.threads)}/{self._max_workers}>"
