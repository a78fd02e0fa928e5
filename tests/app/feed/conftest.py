"""A feed over a scripted probe, by a clock that stands until it is moved."""

import pytest

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed
from tests.app.feed.clock import Ticker


@pytest.fixture
def clock() -> Ticker:
    return Ticker()


@pytest.fixture
def probe(clock: Ticker) -> FakeProbe:
    return FakeProbe(clock=clock)


@pytest.fixture
def feed(probe: FakeProbe, clock: Ticker) -> Feed:
    return Feed(probe, clock=clock, wall=lambda: 1_700_000_000.0)
