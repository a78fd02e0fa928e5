"""The tables of tests/README.md are held to the truth: each test that a row names exists, and no row is empty."""

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "tests" / "README.md").read_text()

#: how many rows each table has: one that is lost must be missed
ROWS = {"Attacks": 17, "The event stream": 17, "Faults": 26}


def rows_of(title: str) -> list[tuple[int, str, list[str]]]:
    """Return (number, description, tests) of each row of the table under a heading."""
    section = TEXT.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    found = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and cells[0].isdigit():
            found.append((int(cells[0]), cells[1], re.findall(r"`([^`]+)`", cells[2])))
    return found


@lru_cache
def named_in(path: Path) -> set[str]:
    """Return the names of the tests of a file: functions and classes that pytest collects, unless always skipped."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            skipped = any("mark.skip(" in ast.unparse(decorator) for decorator in node.decorator_list)
            found |= set() if skipped else {node.name}
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in found if name.startswith(("test_", "Test"))}


@pytest.mark.parametrize("title", ROWS)
def test_table_is_whole_and_no_row_is_empty(title: str) -> None:
    rows = rows_of(title)
    assert [number for number, _, _ in rows] == list(range(1, ROWS[title] + 1))
    for number, description, tests in rows:
        assert description, f"row {number} says nothing"
        assert tests, f"row {number} ({description}) names no test"


@pytest.mark.parametrize("test", sorted({test for title in ROWS for _, _, tests in rows_of(title) for test in tests}))
def test_test_that_a_row_names_exists(test: str) -> None:
    file, _, name = test.partition("::")
    path = ROOT / file
    assert path.is_file(), f"there is no {file}"
    assert name in named_in(path), f"{file} has no {name}"


def test_folders_of_the_tests_are_those_that_are_described() -> None:
    described = set(re.findall(r"^\| `([a-z]+)/` \|", TEXT, re.MULTILINE))
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.rglob("test_*.py"))}
    assert described == folders
