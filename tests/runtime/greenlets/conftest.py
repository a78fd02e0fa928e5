"""Greenlets by a virtual clock."""

from collections.abc import Iterator

import pytest

from greenscope.runtime import get_hub, testing


@pytest.fixture(autouse=True)
def clock() -> Iterator[testing.VirtualClock]:
    """Every test here is on a virtual clock, and leaves no timer behind."""
    with testing.virtual_clock() as clock:
        yield clock
        assert len(get_hub().timers) == 0
