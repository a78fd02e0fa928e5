# mypy: disable-error-code="func-returns-value"
"""A runtime in a thread of its own: submitting, running a main function, stopping honestly."""

import gc
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from concurrent.futures import wait as wait_futures
from typing import Any

import pytest

from greenscope.runtime import Greenlet, getcurrent, sleep, spawn, spawn_later, spawn_raw, wait
from greenscope.runtime.exceptions import LoopExit
from greenscope.runtime.hub import get_hub
from greenscope.runtime.thread import RuntimeThread, RuntimeThreadError


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def forever() -> None:
    get_hub().hold()
    sleep(1000)


def test_submit_returns_what_the_function_returns_in_a_greenlet_there() -> None:
    with RuntimeThread("worker") as thread:
        future = thread.submit(lambda a, b=0: (a + b, threading.get_ident(), type(getcurrent())), 1, b=2)
        value, ident, kind = future.result(5)
        assert value == 3
        assert ident == thread.ident != threading.get_ident()
        assert issubclass(kind, Greenlet)


def test_submit_brings_the_error_to_the_future_and_not_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with RuntimeThread() as thread:
        with pytest.raises(ZeroDivisionError):
            thread.submit(lambda: 1 // 0).result(5)
        with pytest.raises(SystemExit):
            thread.submit(sys.exit, 3).result(5)
        assert thread.call(lambda: 1) == 1
    assert capfd.readouterr().err == ""


def test_submit_of_many_keeps_every_result() -> None:
    with RuntimeThread() as thread:
        futures = [thread.submit(lambda n=n: (sleep(0), n)[1]) for n in range(500)]
        assert wait_futures(futures, timeout=10).not_done == set()
        assert [future.result() for future in futures] == list(range(500))


def test_submit_runs_greenlets_side_by_side() -> None:
    def both() -> list[int]:
        done: list[int] = []
        children = [spawn(lambda n=n: (sleep(0.001 * (3 - n)), done.append(n))) for n in range(3)]
        wait(children)
        return done

    with RuntimeThread() as thread:
        assert thread.call(both) == [2, 1, 0]


def test_call_from_its_own_greenlets_does_not_deadlock() -> None:
    with RuntimeThread() as thread:
        assert thread.call(lambda: thread.call(lambda: thread.submit(lambda: 7).result())) == 7


def test_submission_that_is_killed_is_cancelled() -> None:
    with RuntimeThread() as thread:
        inside: list[Any] = []
        future = thread.submit(lambda: (inside.append(getcurrent()), forever()))
        thread.call(lambda: sleep(0))
        thread.call(lambda: inside[0].kill())
        with pytest.raises(CancelledError):
            future.result(5)


def test_future_of_one_runtime_is_waited_for_in_the_greenlets_of_another() -> None:
    seen: list[int] = []
    with RuntimeThread() as thread:
        gate = threading.Event()
        future = thread.submit(lambda: (gate.wait(5), 5)[1])
        other = spawn(lambda: (sleep(0), seen.append(1), gate.set()))
        assert wait([future, other], timeout=5) == [other, future]
        assert future.result() == 5
    assert seen == [1]


def test_future_is_waited_for_by_many_of_whom_some_give_up() -> None:
    with RuntimeThread() as thread:
        gate = threading.Event()
        future = thread.submit(lambda: (gate.wait(5), 5)[1])
        waiting = [spawn(future.result, 60) for _ in range(20)]
        hasty = spawn(future.result, 0.001)
        sleep(0)
        for one in waiting[::2]:
            one.kill()
        with pytest.raises(TimeoutError):
            hasty.get()
        gate.set()
        assert [one.get() for one in waiting[1::2]] == [5] * 10
        assert not future._links


def test_use_before_start_and_after_stop_is_refused_in_words() -> None:
    thread = RuntimeThread("mine")
    with pytest.raises(RuntimeThreadError, match="not started"):
        thread.submit(print)
    with pytest.raises(RuntimeThreadError, match="start"):
        _ = thread.hub
    assert thread.stop() == []
    thread.start()
    with pytest.raises(RuntimeThreadError, match="started already"):
        thread.start()
    with pytest.raises(TypeError, match="function must be callable"):
        thread.submit(3)  # type: ignore[arg-type]
    with pytest.raises(RuntimeThreadError, match="from another thread"):
        thread.call(thread.stop)
    assert thread.stop() == []
    with pytest.raises(RuntimeThreadError, match="not started"):
        thread.submit(print)


def test_run_runs_the_function_as_a_main_function() -> None:
    def main(a: int) -> tuple[int, bool, list[int]]:
        done: list[int] = []
        spawn_later(0.001, done.append, 1)
        spawn(done.append, 0)
        assert getcurrent() is get_hub().parent
        return a, wait(), done

    with RuntimeThread() as thread:
        assert thread.run(main, 4) == (4, True, [0, 1])
        assert thread.run(main, 5) == (5, True, [0, 1])
        with pytest.raises(SystemExit) as caught:
            thread.run(sys.exit, 4)
        assert caught.value.code == 4
        with pytest.raises(LoopExit):
            thread.run(lambda: get_hub().switch())
        assert thread.call(lambda: 1) == 1


def test_run_refuses_a_second_function_at_the_same_time() -> None:
    with RuntimeThread() as thread:
        future = thread.run_later(sleep, 1000)
        with pytest.raises(RuntimeThreadError, match="one at a time"):
            thread.run(print)
        assert thread.call(lambda: 3) == 3
        thread.interrupt(KeyError)
        with pytest.raises(KeyError):
            future.result(5)


def test_stop_interrupts_the_main_function_and_kills_the_rest() -> None:
    thread = RuntimeThread().start()
    future = thread.run_later(sleep, 1000)
    other = thread.submit(forever)
    raw = thread.call(lambda: spawn_raw(forever))
    thread.call(lambda: spawn_later(1000, print))
    assert thread.stop() == []
    assert not thread.alive
    assert raw.dead
    for ended in (future, other):
        with pytest.raises(CancelledError):
            ended.result(0)


def test_stop_reports_who_swallows_the_kill_with_name_and_place() -> None:
    def stubborn() -> None:
        getcurrent().name = "mule"
        while True:
            try:
                sleep(1000)
            except BaseException:
                pass

    thread = RuntimeThread().start()
    future = thread.submit(stubborn)
    thread.call(sleep, 0)
    begin = time.monotonic()
    (survivor,) = thread.stop(timeout=0.4)
    assert time.monotonic() - begin < 0.6
    assert not thread.alive
    assert (survivor.kind, survivor.name) == ("greenlet", "mule")
    assert "test_thread.py:" in survivor.place
    assert "stubborn" in str(survivor)
    with pytest.raises(CancelledError):
        future.result(0)


def test_stop_reports_a_greenlet_that_does_not_yield_and_ends_later() -> None:
    go_on = threading.Event()
    begun = threading.Event()

    def busy() -> None:
        begun.set()
        go_on.wait(10)

    thread = RuntimeThread().start()
    thread.submit(busy)
    assert begun.wait(5)
    survivors = thread.stop(timeout=0.05)
    assert len(survivors) == 1
    assert "in busy" in survivors[0].place or "in wait" in survivors[0].place
    assert thread.alive
    with pytest.raises(RuntimeThreadError, match="takes no more work"):
        thread.submit(print)
    go_on.set()
    assert thread.stop() == []
    assert not thread.alive


def test_stop_kills_what_dying_greenlets_spawn() -> None:
    ends: list[str] = []

    def phoenix() -> None:
        try:
            forever()
        finally:
            spawn(forever).link(lambda g: ends.append("child"))

    thread = RuntimeThread().start()
    thread.submit(phoenix)
    thread.call(sleep, 0)
    assert thread.stop() == []


def test_start_and_stop_leave_nothing_behind() -> None:
    def cycle() -> None:
        thread = RuntimeThread().start()
        thread.submit(forever)
        thread.call(lambda: [spawn(sleep, 0) for _ in range(3)])
        assert thread.stop() == []

    for _ in range(3):
        cycle()
    gc.collect()
    fds, threads, objects = descriptors(), threading.active_count(), len(gc.get_objects())
    for _ in range(100):
        cycle()
    gc.collect()
    assert descriptors() <= fds
    assert threading.active_count() <= threads
    assert len(gc.get_objects()) - objects < 500


def test_a_failing_greenlet_does_not_end_the_thread(capfd: pytest.CaptureFixture[str]) -> None:
    with RuntimeThread() as thread:
        thread.call(lambda: spawn(sys.exit, 1).join())
        thread.call(lambda: spawn(lambda: 1 // 0).join())
        assert thread.call(lambda: 1) == 1
    assert capfd.readouterr().err.count("ZeroDivisionError") == 2  # the traceback, and who failed


EXIT = """
import threading, time
from greenscope.runtime import sleep, spawn
from greenscope.runtime.thread import RuntimeThread
one = RuntimeThread().start()
for _ in range(100):
    one.submit(sleep, 1000)
def stubborn():
    while True:
        try:
            sleep(1000)
        except BaseException:
            pass
one.submit(stubborn)
one.call(sleep, 0)
two = RuntimeThread("busy").start()
begun = threading.Event()
def busy():
    begun.set()
    {busy}
two.submit(busy)
begun.wait()
spawn(sleep, 1000)
sleep(0)
print("done", flush=True)
"""


@pytest.mark.parametrize("busy", ["time.sleep(30)", "while True: pass"])
def test_interpreter_exit_with_everything_running_is_quiet(busy: str) -> None:
    ended = subprocess.run([sys.executable, "-c", EXIT.format(busy=busy)], capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


BUSY_EXIT = """
import sys, threading
from greenscope.runtime import sleep
from greenscope.runtime.thread import RuntimeThread
thread = RuntimeThread().start()
begun = threading.Event()
def parked(depth):
    parked(depth - 1) if depth else sleep(1000)
def busy():
    begun.set()
    {busy}
for n in range(200):
    thread.submit(parked, n % 50)
thread.call(sleep, 0)
thread.submit(busy)
thread.submit(busy)
begun.wait()
print("done", flush=True)
sys.exit(3)
"""
SWALLOWING = """
    while True:
        try:
            [n * n for n in range(100)]
        except BaseException:
            pass
"""


@pytest.mark.parametrize("busy", ["while True: [n * n for n in range(100)]", SWALLOWING.strip()])
def test_interpreter_exit_beside_a_greenlet_that_never_yields_is_no_crash(busy: str) -> None:
    program = BUSY_EXIT.format(busy=busy)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "done\n", "")


FORK = """
import os, sys, warnings
warnings.simplefilter("ignore")
from greenscope.runtime import sleep
from greenscope.runtime.thread import RuntimeThread, RuntimeThreadError
thread = RuntimeThread().start()
future = thread.submit(sleep, 0.05)
pid = os.fork()
if pid == 0:
    try:
        thread.submit(print)
    except RuntimeThreadError:
        thread.start()
        os._exit(thread.call(lambda: 7) + len(thread.stop()))
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
future.result(5)
assert thread.call(lambda: 8) == 8
print("parent goes on")
"""


def test_forked_child_may_start_it_anew_and_the_parent_goes_on() -> None:
    ended = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "parent goes on\n", "")


ORPHAN = """
import os, sys, warnings
warnings.simplefilter("ignore")
from greenscope.runtime import joinall, sleep, spawn, spawn_later
from greenscope.runtime.thread import RuntimeThread
thread = RuntimeThread().start()
def work():
    spawn_later(1000, print, "of the parent")
    pid = os.fork()
    if not pid:
        print("child", end=" ")
        joinall([spawn(sleep, 0.001) for _ in range(3)])
        {child}
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
status = thread.{method}(work)
print("parent", status, thread.call(lambda: 8))
"""


@pytest.mark.parametrize("method", ["run", "call"])
@pytest.mark.parametrize(
    ("child", "status", "output", "errors"),
    [
        ("return 5", 0, "child ", ""),
        ("sys.exit(4)", 4, "child ", ""),
        ("sys.exit('no luck')", 1, "child ", "no luck"),
        ("1 // 0", 1, "child ", "ZeroDivisionError"),
        ("spawn_later(0.001, print, 'late'); return sleep(0.01)", 0, "child late\n", ""),
        ("thread.start(); thread.call(print, 'anew'); thread.stop(); return 0", 0, "child anew\n", ""),
    ],
)
def test_forked_child_ends_with_what_forked_it(method: str, child: str, status: int, output: str, errors: str) -> None:
    program = ORPHAN.format(method=method, child=child)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert ended.stdout == f"{output}parent {status} 8\n"
    assert errors in ended.stderr
    assert bool(ended.stderr) == bool(errors)
