"""Calls functions where the test itself is not."""

from collections.abc import Callable
from typing import Any

from greenscope.runtime import sleep
from greenscope.runtime.hub import get_hub


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
