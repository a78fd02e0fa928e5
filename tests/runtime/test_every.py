"""Links on every greenlet: one call per batch, with those that ended in it."""

from collections.abc import Iterator
from typing import Any

import pytest

from greenscope.runtime import Greenlet, joinall, spawn
from greenscope.runtime.every import EveryGreenlet, every


@pytest.fixture
def calls() -> Iterator[list[tuple[str, list[Greenlet]]]]:
    """Return what has been called while both kinds were linked."""
    found: list[tuple[str, list[Greenlet]]] = []

    def on_value(greenlets: list[Greenlet]) -> None:
        found.append(("value", greenlets))

    def on_exception(greenlets: list[Greenlet]) -> None:
        found.append(("exception", greenlets))

    every.link_value(on_value)
    every.link_exception(on_exception)
    yield found
    every.unlink(on_value)
    every.unlink(on_exception)


class Quiet(Greenlet):
    """Its error is nobody's business."""

    def _report_error(self, error: BaseException, tb: Any) -> None:
        pass


def test_those_of_one_batch_come_in_one_call_in_order_of_ending(calls: list[tuple[str, list[Greenlet]]]) -> None:
    def fail() -> None:
        raise LookupError

    greenlets = [spawn(int), Quiet.spawn(fail), spawn(int), Quiet.spawn(fail)]
    joinall(greenlets)
    assert calls == [("value", greenlets[::2]), ("exception", greenlets[1::2])]


def test_they_are_called_before_a_greenlets_own_links(calls: list[tuple[str, list[Greenlet]]]) -> None:
    order = []
    greenlet = spawn(int)
    greenlet.rawlink(lambda _: order.append(len(calls)))
    joinall([greenlet])
    assert order == [1]


def test_callback_that_raises_is_removed_and_stops_no_other(
    calls: list[tuple[str, list[Greenlet]]], capfd: pytest.CaptureFixture[str]
) -> None:
    def bad(_: list[Greenlet]) -> None:
        raise LookupError("mine")

    every.link_value(bad)
    joinall([spawn(int)])
    assert not every.has(bad)
    assert "raised and was removed" in capfd.readouterr().err
    joinall([spawn(int)])
    assert [kind for kind, _ in calls] == ["value", "value"]
    assert capfd.readouterr().err == ""


def test_nobody_listens_to_none() -> None:
    alone = EveryGreenlet()
    assert not alone.listening
    alone.link_value(print)
    assert alone.listening
    alone.unlink(print)
    assert not alone.listening
