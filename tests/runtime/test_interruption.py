"""What comes out of an observer's hook: a signal's error is the program's, the end of the stack nobody's fault."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from greenscope.runtime import Greenlet, killall, sleep, spawn, spawn_raw
from greenscope.runtime.instruments import Instrument, hooks
from greenscope.runtime.pool import Group, Pool


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


def stop_once(number: int, frame: Any) -> None:
    """As one by which a second signal kills."""
    signal.signal(number, signal.SIG_DFL)
    raise Stop


def stop_and_forget(number: int, frame: Any) -> None:
    del number, frame
    raise Stop


def stop_at_the_caller(number: int, frame: Any) -> None:
    frame = frame.f_back
    raise Stop


@pytest.mark.parametrize(
    "handler",
    [stop, Stopper(), Stopper().method, partial(stop, 1), stop_once, stop_and_forget, stop_at_the_caller],
)
def test_what_a_signals_handler_raises_in_a_hook_is_the_programs(handler: Any) -> None:
    instrument = Interrupted(signal.SIGUSR1)
    called: list[Any] = []
    Greenlet.add_spawn_callback(called.append)
    try:
        with watched_by(instrument, handler):
            with pytest.raises(Stop):
                spawn(int)
            assert spawn(int).get() == 0
    finally:
        Greenlet.remove_spawn_callback(called.append)
    assert instrument.seen == len(called) == 2


def no_memory(*_: Any) -> None:
    raise MemoryError


def test_memory_error_of_a_handler_is_the_programs_too() -> None:
    instrument = Interrupted(signal.SIGUSR1)
    with watched_by(instrument, no_memory):
        task = Greenlet(int)
        with pytest.raises(MemoryError):
            task.start()
        assert task.get(timeout=5) == 0
        assert hooks.spawned


def rebinds_its_arguments(*args: Any) -> None:
    args = args[0]
    raise LookupError


def hands_its_frame_on(_: Any) -> None:
    look_into(sys._getframe())


def look_into(frame: Any) -> None:
    raise LookupError


@pytest.mark.parametrize("hook", [rebinds_its_arguments, hands_its_frame_on])
def test_fault_of_the_hook_is_not_taken_for_a_handlers(hook: Any, capsys: pytest.CaptureFixture[str]) -> None:
    faulty = Instrument()
    faulty.spawned = hook  # type: ignore[method-assign]
    with watched_by(faulty):
        assert spawn(int).get() == 0
        assert hook not in hooks.spawned
    assert "was removed" in capsys.readouterr().err


def test_every_observer_is_told_before_ctrl_c_goes_on() -> None:
    told: list[Any] = []
    other = Instrument()
    other.spawned = told.append  # type: ignore[method-assign]
    with watched_by(Interrupted()):
        hooks.add(other)
        try:
            with pytest.raises(KeyboardInterrupt):
                spawn(int)
        finally:
            hooks.remove(other)
    assert len(told) == 1
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
    assert task.dead, "as if it had come after the kill"


def test_ctrl_c_that_comes_when_observers_are_told_of_a_killall_comes_after_the_kills() -> None:
    tasks = [spawn(sleep, 60) for _ in range(3)]
    sleep(0)
    with watched_by(Interrupted()), pytest.raises(KeyboardInterrupt):
        killall(tasks)
    sleep(0)
    assert all(task.dead for task in tasks)


@pytest.mark.parametrize("end", [RecursionError, MemoryError])
def test_hook_is_not_blamed_for_the_end_of_the_stack(end: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    instrument = Instrument()

    def spawned(_: Any) -> None:
        raise end

    instrument.spawned = spawned  # type: ignore[method-assign]
    with watched_by(instrument):
        assert spawn(int).get() == 0
        assert spawned in hooks.spawned
    assert capsys.readouterr().err == ""


def test_whoever_starts_at_the_end_of_the_stack_is_started_or_told() -> None:
    """At every depth: what a hook needs of the stack decides about no greenlet."""

    def deep(frames: int) -> int:
        return frames and deep(frames - 1)

    instrument = Instrument()
    instrument.spawned = lambda _: deep(5)  # type: ignore[method-assign, assignment]
    tasks = [Greenlet(int) for _ in range(sys.getrecursionlimit())]
    told = []

    def start_on_the_way_back(at: int) -> None:
        try:
            start_on_the_way_back(at + 1)
        except RecursionError:
            pass
        try:
            tasks[at].start()
        except RecursionError:
            told.append(tasks[at])

    with watched_by(instrument):
        start_on_the_way_back(0)
        assert hooks.spawned, "it was not to blame"
    sleep(0)
    lost = [task for task in told if task.started]
    assert lost == [], "one that was not scheduled can be started again"
    assert sum(task.dead for task in tasks) > len(tasks) / 2


def test_slot_of_a_member_is_given_back_once() -> None:
    pool = Pool(2)
    task = spawn(int)
    with watched_by(Interrupted()), pytest.raises(KeyboardInterrupt):
        pool.add(task)
    assert task in pool
    task.join()
    assert pool.free_count() == pool._semaphore.counter == 2


@pytest.mark.parametrize("kill", [Group.kill, lambda group: group.killone(*group), lambda group: killall(list(group))])
@pytest.mark.parametrize("make", [spawn, spawn_raw])
def test_whoever_was_to_be_killed_when_ctrl_c_came_is(kill: Callable[[Group], None], make: Any) -> None:
    group, task = Group(), make(sleep, 60)
    sleep(0)
    group.add(task)
    with watched_by(Interrupted()), pytest.raises(KeyboardInterrupt):
        kill(group)
    group.kill(timeout=5)
    assert task.dead


def test_ctrl_c_while_a_faulty_hook_is_reported_is_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def write(self, text: str) -> None:
            signal.raise_signal(signal.SIGINT)

    faulty = Instrument()
    faulty.spawned = lambda _: 1 / 0  # type: ignore[method-assign, assignment]
    task = Greenlet(int)
    with watched_by(faulty), monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", Terminal())
        with pytest.raises(KeyboardInterrupt):
            task.start()
    assert task.get(timeout=5) == 0


def test_first_of_two_errors_is_the_context_of_the_second() -> None:
    def end(*_: Any) -> None:
        raise SystemExit(5)

    before = signal.signal(signal.SIGUSR2, end)
    try:
        first, second = Interrupted(signal.SIGUSR2), Interrupted(signal.SIGUSR1)
        with watched_by(first, stop), watched_by(second, stop), pytest.raises(Stop) as raised:
            spawn_raw(int)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert isinstance(raised.value.__context__, SystemExit)
    sleep(0)


def test_one_error_of_two_hooks_is_not_its_own_context() -> None:
    error = Stop()

    def stop_with_it(*_: Any) -> None:
        raise error

    first, second = Interrupted(signal.SIGUSR1), Interrupted(signal.SIGUSR1)
    with watched_by(first, stop_with_it), watched_by(second, stop_with_it), pytest.raises(Stop):
        spawn_raw(int)
    assert error.__context__ is None
    sleep(0)
