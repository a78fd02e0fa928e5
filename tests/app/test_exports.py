"""CSV of what is shown."""

import csv
import io

from greenscope.app.exports import write_csv
from greenscope.app.query import ROW_FIELDS


def read(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))


def test_csv_has_every_field_of_a_row() -> None:
    assert read(write_csv([]))[0] == list(ROW_FIELDS)


def test_csv_writes_records_and_lists_as_phrases() -> None:
    row = {
        "id": "7",
        "line": 3,
        "age": 1.5,
        "groups": ["1", "2"],
        "parent": None,
        "spawn_site": {"file": "a.py", "line": 4, "function": "f"},
        "waiting_on": {"kind": "queue.get", "name": "jobs", "since": 1.0},
        "exception": {"type": "ValueError", "message": "x"},
        "switches": True,
    }
    _, line = read(write_csv([row]))
    cells = dict(zip(ROW_FIELDS, line, strict=True))
    assert cells["spawn_site"] == "a.py:4 f"
    assert cells["waiting_on"] == "queue.get jobs"
    assert cells["exception"] == "ValueError: x"
    assert (cells["groups"], cells["parent"], cells["age"], cells["switches"]) == ("1;2", "", "1.5", "true")


def test_csv_disarms_formulas_and_keeps_line_breaks_inside_cells() -> None:
    names = ["=cmd()", "+1", "-1", "@x", 'a"b,c', "a\nb", "\ud800", "nul\0"]
    table = read(write_csv([{"name": name} for name in names], ["name"]))[1:]
    assert [cell for (cell,) in table] == ["'=cmd()", "'+1", "'-1", "'@x", 'a"b,c', "a\nb", "?", "nul"]
