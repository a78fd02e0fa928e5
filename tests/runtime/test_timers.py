"""Deadlines in order, and memory bounded by what is pending."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenscope.runtime.timers import REBUILD_ABOVE, Timers


def fire(timers: Timers, now: float) -> list[Any]:
    """Take all that is due, as the hub does."""
    fired = []
    last = timers.serial
    while (timer := timers.next_due(now, last)) is not None:
        args = timer.args
        fired.append(timers.take()(*args))
    return fired


def test_timers_fire_in_order_of_deadline_then_of_adding() -> None:
    timers = Timers()
    for deadline, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (3.0, "d")):
        timers.add(deadline, str, (name,))
    assert timers.next_deadline() == 1.0
    assert fire(timers, 2.0) == ["a", "b", "c"]
    assert timers.next_deadline() == 3.0
    assert timers.refs == 1


def test_timer_added_while_others_fire_waits_for_the_next_turn() -> None:
    timers = Timers()
    timers.add(1.0, lambda: timers.add(0.0, str, ("again",)) and "first")
    assert fire(timers, 5.0) == ["first"]
    assert fire(timers, 5.0) == ["again"]


def test_cancelled_timer_never_fires_and_counts_no_more() -> None:
    timers = Timers()
    timer = timers.add(1.0, str)
    unreferenced = timers.add(0.5, str, ref=False)
    assert (len(timers), timers.refs) == (2, 1)
    for _ in range(2):
        timer.cancel()
        unreferenced.cancel()
    assert not timer.pending
    assert (len(timers), timers.refs) == (0, 0)
    assert timers.next_deadline() is None
    assert fire(timers, 9.0) == []


def test_cancelled_timers_do_not_pile_up() -> None:
    timers = Timers()
    kept = [timers.add(1e6 + n, str) for n in range(10)]
    for n in range(20 * REBUILD_ABOVE):
        timers.add(float(n), str).cancel()
    assert len(timers.heap) <= REBUILD_ABOVE + 2 + len(kept)
    assert len(timers) == len(kept)


def test_shift_moves_all_deadlines() -> None:
    timers = Timers()
    timer = timers.add(5.0, str, ("x",))
    timers.add(7.0, str, ("y",))
    timers.shift(-4.0)
    assert (timer.deadline, timers.next_deadline()) == (1.0, 1.0)
    assert fire(timers, 3.0) == ["x", "y"]


def test_deadline_that_is_no_number_is_refused() -> None:
    timers = Timers()
    with pytest.raises(ValueError, match="nan"):
        timers.add(float("nan"), str)
    assert timers.next_deadline() is None


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=60), st.integers(0, 9))
def test_every_pending_timer_fires_once_in_order(entries: list[tuple[int, bool, bool]], now: int) -> None:
    timers = Timers()
    expected = []
    for number, (deadline, ref, cancelled) in enumerate(entries):
        timer = timers.add(float(deadline), lambda *args: args, (deadline, number), ref)
        if cancelled:
            timer.cancel()
        else:
            expected.append((deadline, number, ref))
    due = [entry[:2] for entry in sorted(expected) if entry[0] <= now]
    assert fire(timers, float(now)) == due
    assert len(timers) == len(expected) - len(due)
    assert timers.refs == sum(ref for deadline, _, ref in expected if deadline > now)
