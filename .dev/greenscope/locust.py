"""Locust's plug-in: `import greenscope.locust` in a locustfile watches every process of the run.

Each process (one, or several with --processes) puts a socket into one folder when Locust has made its environment;
`greenscope serve FOLDER` shows them all.
"""

import logging
from typing import Any

from greenscope.app.socket_folder import watch_process

__all__ = ["on_init"]


def on_init(environment: Any, **more: Any) -> None:
    """Watch this process until it ends, and tell in Locust's log where."""
    kind = type(getattr(environment, "runner", None)).__name__.removesuffix("Runner").lower()
    watch_process(f"locust {kind}", logging.getLogger("locust.greenscope").info)


def _connect() -> None:
    from locust import events

    init: Any = events.init
    init.add_listener(on_init)


_connect()
