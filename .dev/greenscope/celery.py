"""Celery's signals: `import greenscope.celery` beside the app watches a worker with `-P gevent`.

A worker puts a socket into a folder when it is ready; `greenscope serve FOLDER` shows all workers. Workers of other
pools have no greenlets and are left alone.
"""

import logging
from typing import Any

from greenscope.app.socket_folder import uses_gevent, watch_process

__all__ = ["on_worker_ready"]

_watched: list[Any] = []


def on_worker_ready(sender: Any = None, **more: Any) -> None:
    """Watch this worker until it ends, and tell in Celery's log where."""
    if uses_gevent() and not _watched:
        name = getattr(sender, "hostname", None) or "worker"
        _watched.append(watch_process(f"celery {name}", logging.getLogger("celery.greenscope").info))


def _connect() -> None:
    from celery.signals import worker_ready

    worker_ready.connect(on_worker_ready, weak=False)


_connect()
