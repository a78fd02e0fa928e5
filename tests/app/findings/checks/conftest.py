"""What the tests of the checks share: a scripted program that all of them look at."""

import pytest

from tests.app.findings.checks.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()
