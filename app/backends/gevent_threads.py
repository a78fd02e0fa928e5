"""A hub's native threads as far as gevent shows them: its thread pool's figures, and look-ups of names under way.

Nothing is made by looking: a hub without a pool or a resolver keeps being without. A pool takes one task more than it
has threads; whoever brings another one waits as a greenlet, which is a task that waits, too. The default resolver hands
each look-up to the pool, so that they are counted there: in the queue, among the greenlets that wait to get in, and by
what a worker's innermost frame calls. The resolvers of c-ares and dnspython do not tell what they have under way.
"""

import sys
from typing import Any

from greenscope.app.backends.gevent_waits import links_of, waiters_in
from greenscope.app.model import ThreadPoolSample

#: tasks in a pool's queue, and workers, that are looked at
MOST_TASKS = 1000
MOST_WORKERS = 100
_NAMES = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")


def thread_pool(hub: Any) -> ThreadPoolSample | None:
    """Look at a hub's thread pool (None: it has none, or it cannot be read)."""
    try:
        pool = hub._threadpool
        if pool is None:
            return None
        tasks = pool.task_queue
        queued = len(tasks._queue)
        return ThreadPoolSample(
            size=len(pool._worker_greenlets),
            most=int(pool.maxsize),
            busy=max(0, min(int(tasks.unfinished_tasks) - queued, len(pool._worker_greenlets))),
            queued=queued + pool._available_worker_threads_greenlet_sem.linkcount(),
        )
    except Exception:
        return None


def resolver(hub: Any) -> tuple[str, int | None]:
    """Return the kind of a hub's resolver ("": not used yet) and its look-ups under way (None: it does not tell)."""
    try:
        found = hub._resolver
        if found is None:
            return "", None
        kind = type(found).__module__.rpartition(".")[2]
        return kind, _lookups(found.pool) if kind == "thread" else None
    except Exception:
        return "", None


def _lookups(pool: Any) -> int:
    """Count the look-ups that wait or run in a pool."""
    import _socket

    known = [getattr(_socket, name) for name in _NAMES if hasattr(_socket, name)]

    def is_lookup(function: Any) -> bool:
        return any(function is one for one in known)  # by identity: equality may be the program's code

    waiting = sum(1 for task in list(pool.task_queue._queue)[:MOST_TASKS] if task is not None and is_lookup(task[0]))
    slots = pool._available_worker_threads_greenlet_sem
    waiting += sum(1 for one in waiters_in(links_of(slots))[:MOST_TASKS] if _is_asking(one))
    if not pool.task_queue.unfinished_tasks:
        return waiting
    frames = sys._current_frames()
    running = 0
    for worker in list(pool._worker_greenlets)[:MOST_WORKERS]:
        frame = frames.get(worker._thread_ident)
        # a look-up is a compiled function, so that the innermost frame is the worker's own
        if frame is not None and frame.f_code.co_name.endswith("__run_task"):
            running += is_lookup(frame.f_locals.get("func"))
    return waiting + running


def _is_asking(greenlet: Any) -> bool:
    """Tell whether a greenlet waits inside of the resolver."""
    frame = greenlet.gr_frame
    for _ in range(6):
        if frame is None:
            break
        if frame.f_code.co_filename.replace("\\", "/").endswith("gevent/resolver/thread.py"):
            return True
        frame = frame.f_back
    return False
