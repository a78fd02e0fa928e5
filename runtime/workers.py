"""Native threads that take jobs from one queue: what thread pools are made of.

The threads are daemons: a job that hangs cannot keep the interpreter from ending. Each
one gives the hub back that its jobs may have made (a job may sleep() or use sockets;
then its thread has a hub of its own). A `None` in the queue ends the thread that takes
it; so threads end when the jobs before are done, never in the middle.
"""

import sys
import threading
from collections.abc import Callable
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from greenscope.runtime.hub import get_hub_if_exists

__all__ = ["Job", "Worker", "Workers"]

_serials = count()


class Job(Protocol):
    """Something to be run in another thread; it brings its own outcome home and never raises."""

    function: Any

    def run(self) -> None:
        """Run and bring the outcome home."""


class Worker(threading.Thread):
    """One thread of a pool; `job` is what it runs now, None while it waits for one."""

    def __init__(self, workers: "Workers") -> None:
        super().__init__(name=f"{workers.name}-{next(_serials)}", daemon=True)
        self.workers = workers
        self.job: Job | None = None
        #: it was told to end, it did not leave by itself
        self.retired = False
        #: with what the initializer failed
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Run jobs until told to end, or until none has come for the idle time-out."""
        workers = self.workers
        queue = workers.queue
        timeout = workers.idle_timeout
        try:
            if not self._initialize():
                return
            while True:
                try:
                    self.job = job = queue.get(timeout=timeout)
                except Empty:
                    return
                if job is None:
                    self.retired = True
                    return
                job.run()
                self.job = job = None
        finally:
            self.job = None
            hub = get_hub_if_exists()
            if hub is not None:
                hub.destroy()
                del hub
            workers.threads.discard(self)
            workers.on_exit(self)

    def _initialize(self) -> bool:
        initializer = self.workers.initializer
        if initializer is not None:
            try:
                initializer()
            except BaseException as error:
                self.failure = error
                return False
        return True


def call_observed(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Make a call under the profile and trace functions that threading.setprofile() and settrace() name now."""
    profile, trace = threading.getprofile(), threading.gettrace()
    try:
        if profile is not None:
            sys.setprofile(profile)
        if trace is not None:
            sys.settrace(trace)
        return function(*args, **kwargs)
    finally:
        if sys.getprofile() is not None:
            sys.setprofile(None)
        if sys.gettrace() is not None:
            sys.settrace(None)


class Workers:
    """The threads and the queue. `on_exit(worker)` is called in the thread that ends, as the last thing it does."""

    def __init__(
        self,
        name: str,
        on_exit: Callable[[Worker], Any],
        idle_timeout: float | None = None,
        initializer: Callable[[], Any] | None = None,
    ) -> None:
        self.name = name
        self.on_exit = on_exit
        self.idle_timeout = idle_timeout
        self.initializer = initializer
        self.queue: SimpleQueue[Any] = SimpleQueue()
        self.threads: set[Worker] = set()

    def add(self) -> None:
        """Start one more thread. Raises RuntimeError when the system has none left."""
        worker = Worker(self)
        self.threads.add(worker)
        try:
            worker.start()
        except BaseException:
            self.threads.discard(worker)
            raise

    def retire(self, number: int) -> None:
        """Let so many threads end, once the jobs that are queued now are done. Does not block."""
        for _ in range(number):
            self.queue.put(None)

    def drop_jobs(self) -> list[Job]:
        """Take the jobs that have not begun out of the queue and return them; what ends threads stays."""
        dropped: list[Job] = []
        ends = 0
        while True:
            try:
                job = self.queue.get_nowait()
            except Empty:
                break
            if job is None:
                ends += 1
            else:
                dropped.append(job)
        self.retire(ends)
        return dropped
