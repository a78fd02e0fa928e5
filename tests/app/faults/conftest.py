"""Faults of a watched program, and of its observer, through everything: runtime, native probe, feed, server, stream.

Each program here does what no program should; each test holds that the program goes on as if nobody watched, that
the dashboard goes on as if nothing happened, and that what was seen is told. What they share is a runtime in its
thread, and what watches it: the native probe alone, or the whole dashboard.
"""

from collections.abc import Iterator

import pytest

import greenscope
from greenscope.app.watching import Monitor
from greenscope.runtime.thread import RuntimeThread
from tests.app.native.conftest import probe, thread

__all__ = ["monitor", "probe", "thread"]


@pytest.fixture
def monitor(thread: RuntimeThread) -> Iterator[Monitor]:
    with greenscope.watch(port=0, backend="native", control=True) as monitor:
        yield monitor
