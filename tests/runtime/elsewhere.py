"""Calls functions where the test itself is not: in the hub, in a native thread."""

import threading
from collections.abc import Callable
from typing import Any

from greenscope.runtime import sleep
from greenscope.runtime.hub import get_hub, get_hub_if_exists


def in_hub(function: Callable[[], Any]) -> Any:
    """Call a function in the hub; returns what it returned or raised."""
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    get_hub().run_callback(call)
    sleep(0)
    return outcome[0]


def in_thread(function: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            function()
        finally:
            hub = get_hub_if_exists()
            if hub is not None:
                hub.destroy()

    thread = threading.Thread(target=run)
    thread.start()
    return thread
