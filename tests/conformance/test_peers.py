"""One suite, every backend: what holds for gevent holds for us, and the other way round."""

from collections.abc import Callable
from pathlib import Path

import pytest

CASES = Path(__file__).resolve().parent / "cases"


def all_cases() -> list[tuple[str, str]]:
    """Return (file, case) of every case."""
    found = []
    for path in sorted(CASES.glob("*.py")):
        for line in path.read_text().splitlines():
            if line.startswith("def case_"):
                found.append((path.name, line[4 : line.index("(")]))
    return found


@pytest.mark.parametrize(("file", "case"), all_cases())
def test_peer(backend: Callable[[str, str], str | None], file: str, case: str) -> None:
    error = backend(file, case)
    if error is not None:
        pytest.fail(error, pytrace=False)


def test_there_are_cases_of_every_kind() -> None:
    assert len(all_cases()) > 100
