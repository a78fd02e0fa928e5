"""What many tests of the runtime need: the hub, and that it is left dry."""

from collections.abc import Iterator

import pytest

from greenscope.runtime import get_hub, testing, wait
from greenscope.runtime.hub import Hub


@pytest.fixture
def clock() -> Iterator[testing.VirtualClock]:
    """A virtual clock; no timer may be left on it."""
    with testing.virtual_clock() as clock:
        yield clock
        assert len(get_hub().timers) == 0


@pytest.fixture
def hub() -> Iterator[Hub]:
    """The hub of this thread, which must be dry again afterwards."""
    hub = get_hub()
    yield hub
    assert wait(timeout=1)
    assert not hub.ready
    assert hub.timers.refs == 0
    assert hub.poller.refs == 0
    assert hub.holds == 0
