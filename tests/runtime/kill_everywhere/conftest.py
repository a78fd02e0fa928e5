"""Interrupt one greenlet at its Nth moment, for N = 1, 2, 3, ... until none is left: nothing may be lost or left over.

A moment is a greenlet of the scenario that lives while the hub begins a turn, be it parked, ready or not begun. So
each wait is interrupted before, in the same turn as, and after what it waits for is granted. (Idea: SQLite's tests,
which fail every allocation in turn.)
"""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_looked_at() -> Iterator[None]:
    """Let `gc.collect` pass over what stands already: a scenario calls it at each moment, in a process that is full."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
