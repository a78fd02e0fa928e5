"""A signal that comes in while a hook of the probe runs: the program gets what its handler raises, and is told on."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from greenscope.app.backends.native import NativeProbe
from greenscope.runtime import Greenlet, joinall, sleep, spawn
from greenscope.runtime.accounting import kept_account
from greenscope.runtime.every import every
from tests.app.native.probing import kinds_of


@pytest.fixture
def probe() -> Iterator[NativeProbe]:
    """A probe that watches this thread, the one in which handlers run."""
    probe = NativeProbe()
    probe.attach()
    probe.drain()
    yield probe
    probe.close()


class Interrupted(Greenlet):
    """A signal comes in when the hook writes an attribute to it."""

    written: int

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "_greenscope_id":
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_in_a_birth_reaches_the_program_which_is_watched_on(
    probe: NativeProbe, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        Interrupted.spawn(done.append, 1)
    sleep(0)
    assert done == [1], "it was started all the same"
    drained = probe.drain()
    assert drained.dropped == {"cut_short": 1}, "what is missing is told"
    later = spawn(int)
    joinall([later])
    drained = probe.drain()
    assert "succeeded" in kinds_of(list(drained.events), later._greenscope_id)
    assert (drained.dropped, probe.faults) == ({}, [])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("lives", "handed"),
    [
        ("without a wait", "_greenscope_account"),
        ("without a wait", "_greenscope_ended"),
        ("with one", "_greenscope_account"),
    ],
)
def test_ctrl_c_while_an_account_is_handed_over_reaches_the_program(
    probe: NativeProbe, lives: str, handed: str
) -> None:
    class Interrupted(Greenlet):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == handed:
                signal.raise_signal(signal.SIGINT)
            super().__setattr__(name, value)

    sleep(0.001)  # accounts are kept
    task = Interrupted.spawn(*((sleep, 0.001) if lives == "with one" else (int,)))
    with pytest.raises(KeyboardInterrupt):
        sleep(5)
    assert kept_account(task) is not None
    joinall([task, spawn(int)])


class Ended(list[Any]):
    """The batch of those that ended, in which a signal comes in when the probe reads it first."""

    read = False

    def __getitem__(self, index: Any) -> Any:
        if not self.read:
            self.read = True
            signal.raise_signal(signal.SIGINT)
        return super().__getitem__(index)


def test_ctrl_c_in_an_end_reaches_the_program_which_is_watched_on(probe: NativeProbe) -> None:
    parked = spawn(sleep, 60)
    task = spawn(int)
    sleep(0)
    probe.drain()
    every.notify(Ended([task]), [])
    with pytest.raises(KeyboardInterrupt):
        sleep(5)
    assert every.has(probe.hooks.on_lived)
    assert probe.drain().dropped == {"cut_short": 1}
    assert probe.told.known.keys() == probe.alive.keys(), "who has ended unseen is forgotten"
    parked.kill()
