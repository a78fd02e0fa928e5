"""Waiting for what another thread or process is about to do."""

import time
from collections.abc import Callable
from typing import Any


def wait_for(what: Callable[[], Any], patience: float = 10.0) -> Any:
    """Return the first true answer of `what`; fail when there is none within `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not become so"
        time.sleep(0.02)
    return found
