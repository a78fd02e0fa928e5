"""Greenlets by a virtual clock."""

import pytest

from greenscope.runtime import testing


@pytest.fixture(autouse=True)
def by_the_clock(clock: testing.VirtualClock) -> None:
    """Every test here is on a virtual clock, and leaves no timer behind."""
