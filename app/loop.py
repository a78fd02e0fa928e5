"""The event loop of the dashboard's own thread.

It tells `breath` when it has waited: what is done then has not kept the interpreter from anybody yet.
"""

import asyncio
import selectors
from time import perf_counter

from greenscope.app.breath import PAUSE, rested


def new_loop() -> asyncio.SelectorEventLoop:
    """Return a loop, whatever the policy that the program has set."""
    selector = selectors.DefaultSelector()
    select = selector.select

    def wait(timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began = perf_counter()
        found = select(timeout)
        if perf_counter() - began > PAUSE:  # a shorter look gives others no chance
            rested()
        return found

    selector.select = wait  # type: ignore[method-assign]
    return asyncio.SelectorEventLoop(selector)
