"""The columns of the greenlets table: what each shows, how it sorts, what its number means.

The choice of columns is the viewer's: `columns=` in the address, else the cookie of the last choice, else the default.
`static/js/cells.js` fills the same columns from the stream.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COOKIE = "greenscope_columns"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `key` names its class and its cell, `sort` the row's field that it sorts by ("" is not sortable)."""

    key: str
    title: str
    hint: str
    sort: str = ""
    numeric: bool = False
    default: bool = False


COLUMNS: tuple[Column, ...] = (
    Column("id", "Id", "Counts up from 1 and is never used twice", "id", default=True),
    Column("pid", "Process", "The process it lives in", "pid"),
    Column("state", "State", "Where in its life it is", "state", default=True),
    Column("name", "Name", "The greenlet's name, or the function's", "name", default=True),
    Column("function", "Function", "What was spawned", "function"),
    Column("age", "Total", "Time since it was spawned, or its whole life", "age", True, True),
    Column("run_time", "Busy", "Time it held the hub; many a little each starve the others", "run_time", True, True),
    Column(
        "ready_time",
        "Ready",
        "Time it could have run but others did; grows when the hub is busy",
        "ready_time",
        True,
        True,
    ),
    Column("wait_time", "Waiting", "Time parked", "wait_time", True),
    Column("switches", "Switches", "How often it was switched to", "switches", True, True),
    Column("longest_run", "Longest", "Its longest run without giving way", "longest_run", True),
    Column("waiting_on", "Waits for", "What it is parked on; for one that failed, its exception", default=True),
    Column("place", "Place", "The innermost line of your own code", "place", default=True),
    Column("groups", "Groups", "Groups and pools it is in"),
    Column("parent", "Parent", "The greenlet that spawned it", "parent"),
    Column("spawn_site", "Spawned at", "The line that spawned it"),
    Column("created", "Created", "Wall-clock time of its spawn, UTC", "created"),
    Column("ended", "Ended", "Wall-clock time of its end, UTC", "ended"),
    Column("exception", "Exception", "How it failed"),
)
BY_KEY: Mapping[str, Column] = {column.key: column for column in COLUMNS}
DEFAULT: tuple[str, ...] = tuple(column.key for column in COLUMNS if column.default)


def choose_columns(asked: str | None, remembered: str | None, several: bool = False) -> Sequence[Column]:
    """Return the columns to show, in the table's own order; unknown names are left out, the name is always there.

    With `several` processes the default has a column for them.
    """
    for choice in (asked, remembered):
        if choice:
            keys = set(choice.replace(".", ",").split(",")) & BY_KEY.keys()
            if keys:
                keys |= {"name"}
                return [column for column in COLUMNS if column.key in keys]
    return [column for column in COLUMNS if column.default or (several and column.key == "pid")]
