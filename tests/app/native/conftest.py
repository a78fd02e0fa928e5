"""A runtime in its thread, and the native probe that watches it."""

from collections.abc import Iterator

import pytest

from greenscope.app.backends.native import NativeProbe
from greenscope.runtime.thread import RuntimeThread


@pytest.fixture
def thread() -> Iterator[RuntimeThread]:
    with RuntimeThread("watched") as thread:
        yield thread


@pytest.fixture
def probe(thread: RuntimeThread) -> Iterator[NativeProbe]:
    probe = NativeProbe()
    probe.attach()
    yield probe
    probe.close()
