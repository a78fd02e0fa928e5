"""What is native also in a program that gevent has patched: a socket, a sleep, and a pause.

A patched socket belongs to the hub of the thread that makes it, and a patched sleep waits in that hub; where there is
none, gevent makes one, for ever. `watch()` and `close()` may be called in any native thread, which must not get a hub
of its own by that. gevent is asked only where the program has loaded it.
"""

import socket
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any


def original(module: str, name: str) -> Any:
    """Return a function of the standard library as it was before any patching."""
    monkey = sys.modules.get("gevent.monkey")
    return getattr(import_module(module), name) if monkey is None else monkey.get_original(module, name)


#: sleeps natively; imported before or after patching, it is the same
native_sleep: Callable[[float], None] = original("time", "sleep")


def native_socket(family: int, kind: int, protocol: int = 0) -> socket.socket:
    """Return a socket that belongs to no hub."""
    made: socket.socket = original("socket", "socket")(family, kind, protocol)
    return made


def pause(seconds: float) -> None:
    """Sleep: cooperatively where this thread has a hub, natively elsewhere."""
    hubs = sys.modules.get("gevent._hub_local")
    if hubs is not None and hubs.get_hub_if_exists() is None:
        native_sleep(seconds)
    else:
        time.sleep(seconds)
