"""What the tests of the stream share: a server, which is stopped at the end."""

from collections.abc import Iterator

import pytest

from tests.app.stream.house import House, a_house


@pytest.fixture
def house() -> Iterator[House]:
    with a_house() as house:
        yield house
