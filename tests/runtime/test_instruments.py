"""The seam for observers: called at the right moments, and never a danger to the program."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from greenscope.runtime import Greenlet, joinall, killall, sleep, spawn, spawn_later, spawn_raw
from greenscope.runtime.instruments import HOOKS, Hooks, Instrument, hooks
from greenscope.runtime.pool import Group


class Recorder(Instrument):
    """Notes births and kills."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def spawned(self, greenlet: Any) -> None:
        self.seen.append(("spawned", greenlet))

    def spawned_raw(self, greenlet: Any) -> None:
        self.seen.append(("spawned_raw", greenlet))

    def renamed(self, greenlet: Any) -> None:
        self.seen.append(("renamed", greenlet.name))

    def kill_requested(self, greenlet: Any) -> None:
        self.seen.append(("kill_requested", greenlet))


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    hooks.add(recorder)
    yield recorder
    hooks.remove(recorder)


def test_births_are_told_by_every_way_to_start(recorder: Recorder) -> None:
    tasks = [spawn(sleep), spawn_later(0, sleep), Greenlet(sleep)]
    assert recorder.seen == [("spawned", task) for task in tasks[:2]]
    tasks[2].start()
    tasks[2].start()
    raw = spawn_raw(sleep)
    assert recorder.seen[2:] == [("spawned", tasks[2]), ("spawned_raw", raw)]
    joinall(tasks)


def test_kills_are_told_of_the_living_alone(recorder: Recorder) -> None:
    task, other = spawn(sleep, 1000), spawn(sleep, 1000)
    sleep(0)
    recorder.seen.clear()
    task.kill()
    task.kill()
    killall([task, other])
    assert recorder.seen == [("kill_requested", task), ("kill_requested", other)]


def test_instrument_that_is_removed_hears_no_more(recorder: Recorder) -> None:
    hooks.remove(recorder)
    spawn(sleep).join()
    assert recorder.seen == []
    assert recorder.spawned not in hooks.spawned


def test_hook_that_raises_is_removed_and_reported_once(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    class Faulty(Instrument):
        def spawned(self, greenlet: Any) -> None:
            raise SystemExit("an observer's fault")

    faulty = Faulty()
    hooks.add(faulty)
    try:
        tasks = [spawn(sleep), spawn(sleep)]
        joinall(tasks)
    finally:
        hooks.remove(faulty)
    assert capsys.readouterr().err.count("the hook spawned of Faulty raised and was removed") == 1
    assert [name for name, _ in recorder.seen] == ["spawned", "spawned"]


class Interrupted(Instrument):
    """An instrument in whose hooks a signal comes in, until it has in `times` of them."""

    def __init__(self, number: signal.Signals = signal.SIGINT, times: int = 1) -> None:
        self.number, self.left, self.seen = number, times, 0

    def _hook(self, *_: Any) -> None:
        self.seen += 1
        if self.left:
            self.left -= 1
            signal.raise_signal(self.number)

    spawned = spawned_raw = kill_requested = group_opened = grouped = ungrouped = _hook


@contextlib.contextmanager
def watched_by(instrument: Instrument, handler: Any = None) -> Iterator[None]:
    """Watch with it; SIGUSR1 is handled as told."""
    before = signal.signal(signal.SIGUSR1, handler or signal.SIG_IGN)
    hooks.add(instrument)
    try:
        yield
    finally:
        hooks.remove(instrument)
        signal.signal(signal.SIGUSR1, before)


def start_at_once(greenlet: Greenlet) -> None:
    greenlet.start()


def start_soon(greenlet: Greenlet) -> None:
    greenlet.start_later(0.001)


@pytest.mark.parametrize("start", [start_at_once, start_soon])
def test_ctrl_c_that_comes_in_a_hook_is_the_programs(
    start: Callable[[Greenlet], None], capsys: pytest.CaptureFixture[str]
) -> None:
    instrument, interrupted = Interrupted(), hooks.interrupted
    with watched_by(instrument):
        task = Greenlet(int)
        with pytest.raises(KeyboardInterrupt):
            start(task)
        assert task.get(timeout=5) == 0, "it was started"
        assert spawn(int).get() == 0
    assert instrument.seen == 2, "it still watches"
    assert hooks.interrupted == interrupted + 1
    assert capsys.readouterr().err == ""


class Stop(Exception):
    """What a program's own handler raises."""


def stop(*_: Any) -> None:
    raise Stop


class Stopper:
    def __call__(self, *_: Any) -> None:
        raise Stop

    def method(self, *_: Any) -> None:
        raise Stop


@pytest.mark.parametrize("handler", [stop, Stopper(), Stopper().method, partial(stop, 1)])
def test_what_a_signals_handler_raises_in_a_hook_is_the_programs(handler: Any) -> None:
    instrument = Interrupted(signal.SIGUSR1)
    with watched_by(instrument, handler):
        with pytest.raises(Stop):
            spawn(int)
        assert spawn(int).get() == 0
    assert instrument.seen == 2


def test_every_observer_is_told_before_ctrl_c_goes_on(recorder: Recorder) -> None:
    instrument = Interrupted()
    hooks.remove(recorder)
    with watched_by(instrument):
        hooks.add(recorder)
        with pytest.raises(KeyboardInterrupt):
            spawn(int)
    assert [name for name, _ in recorder.seen] == ["spawned"]
    sleep(0)


def test_ctrl_c_in_the_other_hooks_comes_out_of_the_programs_call() -> None:
    done = []
    task = spawn(sleep, 60)
    group = Group()
    with watched_by(Interrupted(times=sys.maxsize)):
        for call in (
            Group,
            lambda: group.add(task),
            lambda: group.discard(task),
            lambda: spawn_raw(done.append, 1),
            lambda: task.kill(),
        ):
            with pytest.raises(KeyboardInterrupt):
                call()
        assert task not in group
    sleep(0)
    assert done == [1], "what was scheduled runs"
    assert not task.dead, "as if it had come before the kill"
    task.kill()


def test_hook_is_not_blamed_for_the_end_of_the_stack(capsys: pytest.CaptureFixture[str]) -> None:
    instrument = Instrument()

    def spawned(_: Any) -> None:
        raise RecursionError

    instrument.spawned = spawned  # type: ignore[method-assign]
    with watched_by(instrument):
        assert spawn(int).get() == 0
        assert spawned in hooks.spawned
    assert capsys.readouterr().err == ""


def test_every_one_of_several_instruments_is_told(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    class Faulty(Instrument):
        def spawned(self, greenlet: Any) -> None:
            raise SystemExit("an observer's fault")

    second, faulty = Recorder(), Faulty()
    for one in (faulty, second):
        hooks.add(one)
    try:
        tasks = [spawn(sleep), spawn(sleep)]
    finally:
        for one in (faulty, second):
            hooks.remove(one)
    alone = spawn(sleep)
    joinall([*tasks, alone])
    assert second.seen == [("spawned", task) for task in tasks]
    assert recorder.seen == [("spawned", task) for task in (*tasks, alone)]
    assert capsys.readouterr().err.count("was removed") == 1


def test_name_that_is_set_is_told(recorder: Recorder) -> None:
    task = spawn(sleep)
    task.name = "worker"
    assert recorder.seen == [("spawned", task), ("renamed", "worker")]
    task.join()


def test_instrument_is_added_once_and_only_where_it_listens() -> None:
    own = Hooks()
    recorder = Recorder()
    own.add(recorder)
    own.add(recorder)
    assert {name: len(getattr(own, name)) for name in HOOKS if getattr(own, name)} == {
        "spawned": 1,
        "spawned_raw": 1,
        "renamed": 1,
        "kill_requested": 1,
    }


def test_any_object_with_one_hook_will_do() -> None:
    class Partial:
        def hub_opened(self, hub: Any) -> None:
            opened.append(hub)

    opened: list[Any] = []
    own = Hooks()
    own.add(Partial())
    own.call("hub_opened", "hub")
    assert opened == ["hub"]


def test_every_hook_is_documented() -> None:
    assert all(getattr(Instrument, name).__doc__ for name in HOOKS)
