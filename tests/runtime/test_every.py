"""Links on every greenlet: one call per batch, with those that ended in it."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from greenscope.runtime import Greenlet, GreenletExit, get_hub, joinall, sleep, spawn
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


def test_killed_ones_go_to_the_callback_that_is_there_for_them(calls: list[tuple[str, list[Greenlet]]]) -> None:
    lived: list[list[Greenlet]] = []
    killed: list[list[Greenlet]] = []
    on_lived, on_killed = lived.append, killed.append
    every.link_value(on_lived, on_killed)
    try:
        greenlets = [spawn(int), spawn(sleep, 60), spawn(GreenletExit)]
        greenlets[1].kill(block=False)
        joinall(greenlets)
    finally:
        every.unlink(on_lived)
    assert lived == [[greenlets[0], greenlets[2]]], "who returns a GreenletExit was not killed"
    assert killed == [[greenlets[1]]]
    assert {id(one) for _, ended in calls for one in ended} == set(map(id, greenlets)), "to others they have a value"
    spawn(int).join()
    spawn(sleep, 60).kill()
    sleep(0)
    assert (len(lived), len(killed)) == (1, 1), "both are unlinked"


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


def test_what_any_handler_raises_in_a_callback_reaches_the_program() -> None:
    """As it does when the signal comes while the hub sleeps."""
    left = [1]

    class Late(Exception):
        pass

    def on_alarm(number: int, frame: Any) -> None:
        raise Late

    def interrupted(_: Any) -> None:
        if left:
            left.pop()
            signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, on_alarm)
    get_hub().NOT_ERROR += (Late,)
    every.link_value(interrupted)
    try:
        spawn(int)
        with pytest.raises(Late):
            sleep(5)
        assert every.has(interrupted)
    finally:
        every.unlink(interrupted)
        signal.signal(signal.SIGUSR1, before)
        del get_hub().NOT_ERROR


@pytest.mark.parametrize("fails", [False, True])
def test_ctrl_c_in_a_callback_reaches_the_program(fails: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """Alone or beside others that see only failures: two ways of calling it."""
    left, seen, linked = [1], [], []

    def interrupted(greenlets: list[Greenlet]) -> None:
        seen.extend(greenlets)
        if left:
            left.pop()
            signal.raise_signal(signal.SIGINT)

    def fail() -> None:
        raise LookupError

    get_hub().NOT_ERROR += (LookupError,)
    every.link_value(interrupted)
    try:
        tasks = [spawn(int), *([spawn(fail)] if fails else [])]
        for task in tasks:
            task.rawlink(linked.append)
        with pytest.raises(KeyboardInterrupt):
            sleep(5)
        assert linked == tasks, "the greenlets' own links are called all the same"
        joinall([spawn(int)])
        assert len(seen) == 2, "it stays linked"
    finally:
        every.unlink(interrupted)
        del get_hub().NOT_ERROR
    assert "was removed" not in capfd.readouterr().err


def test_nobody_listens_to_none() -> None:
    alone = EveryGreenlet()
    assert not alone.listening
    alone.link_value(print)
    assert alone.listening
    alone.unlink(print)
    assert not alone.listening


@pytest.mark.parametrize("others", [[int], [int, abs], [abs]])
def test_all_are_told_who_ended_with_one_that_was_cut_short_at_its_end(
    calls: list[tuple[str, list[Greenlet]]], others: list[Any]
) -> None:
    """A signal comes where it is known to be killed, and not yet to have ended."""

    class Interrupted(Greenlet):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "value" and value is not None:
                signal.raise_signal(signal.SIGINT)
            super().__setattr__(name, value)

    cut_short = Interrupted.spawn(sleep, 60)
    sleep(0)
    ended = [Quiet.spawn(one) for one in others]  # abs() fails
    cut_short.kill(block=False)
    with pytest.raises(KeyboardInterrupt):
        sleep(1)
    sleep(0)
    told = [one for _, greenlets in calls for one in greenlets]
    assert set(told) >= set(ended)
    assert len(told) == len(set(told))
