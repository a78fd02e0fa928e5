"""A cooperative runtime on greenlet, with the API that gevent's users know.

    from greenscope.runtime import spawn, sleep, joinall
    joinall([spawn(work, n) for n in range(1000)])

Modules are named as in gevent: event, lock, queue, pool, timeout, local, threadpool, subprocess, socket, select, os,
signal, util. What differs from gevent is in the README, section "Coming from gevent".
"""

import importlib
from typing import Any

from greenscope.runtime.exceptions import GreenletExit
from greenscope.runtime.greenlet import Greenlet, getcurrent
from greenscope.runtime.hub import get_hub
from greenscope.runtime.raw import spawn_raw
from greenscope.runtime.timeout import Timeout, with_timeout
from greenscope.runtime.waiting import idle, sleep
from greenscope.runtime.waits import iwait, joinall, kill, killall, wait

__all__ = [
    "Greenlet",
    "GreenletExit",
    "Timeout",
    "fork",
    "get_hub",
    "getcurrent",
    "idle",
    "iwait",
    "joinall",
    "kill",
    "killall",
    "reinit",
    "signal_handler",
    "sleep",
    "spawn",
    "spawn_later",
    "spawn_raw",
    "wait",
    "with_timeout",
]

spawn = Greenlet.spawn
spawn_later = Greenlet.spawn_later

#: loaded when they are first asked for: `import greenscope.runtime as rt; rt.queue.Queue()`
_MODULES = {
    *("event", "lock", "queue", "local", "pool"),
    *("greenlet", "hub", "timeout", "exceptions"),
    *("socket", "select", "subprocess", "thread", "threadpool", "testing"),
    *("os", "signal", "util"),
}
#: names whose modules bring more along than most programs want
_LATE = {"fork": "os", "reinit": "os", "signal_handler": "signal"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _LATE:
        return getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
