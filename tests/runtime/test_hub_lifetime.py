"""The event loop and what is around it: signals, threads, destroy, forks, the interpreter's exit."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from greenscope.runtime import get_hub, joinall, sleep, spawn, spawn_later, wait
from greenscope.runtime.hub import Hub, get_hub_if_exists


def in_thread(function: Callable[[], Any]) -> Any:
    """Run a function in a native thread; returns what it returned or raises what it raised."""
    outcome: list[Any] = []

    def body() -> None:
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(10)
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def program(source: str, *, returncode: int = 0) -> tuple[str, str]:
    """Run a program of its own; returns its stdout and stderr."""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == returncode, done.stderr
    return done.stdout, done.stderr


def test_signal_handler_wakes_the_hub(hub: Hub) -> None:
    fired: list[str] = []

    def handler(*_: Any) -> None:
        fired.append("signal")
        task.kill(block=False)

    previous = signal.signal(signal.SIGALRM, handler)
    try:
        task = spawn(sleep, 30)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        began = time.monotonic()
        task.join()
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert fired == ["signal"]
    assert time.monotonic() - began < 10


def test_each_thread_has_a_hub_of_its_own(hub: Hub) -> None:
    other = in_thread(lambda: (get_hub(), spawn(get_hub).get()))
    assert other[0] is other[1]
    assert other[0] is not hub
    assert in_thread(get_hub_if_exists) is None


def test_thread_that_ends_takes_its_hub_along(hub: Hub) -> None:
    refs: list[Any] = []
    before = set(os.listdir("/proc/self/fd"))

    def body() -> None:
        joinall([spawn(sleep, 0) for _ in range(10)])
        refs.extend(weakref.ref(carrier) for carrier in get_hub().carriers)

    for _ in range(3):
        in_thread(body)
    gc.collect()
    assert len(refs) == 30
    assert [ref for ref in refs if ref() is not None] == []
    assert set(os.listdir("/proc/self/fd")) == before


def test_kill_and_join_from_another_thread(hub: Hub) -> None:
    task = spawn(sleep, 1000)
    unstarted = spawn_later(1000, sleep)
    thread = threading.Thread(target=lambda: (task.kill(), unstarted.kill(), task.join()))
    thread.start()
    joinall([task, unstarted])
    thread.join(10)
    assert task.dead
    assert unstarted.dead


def test_wait_for_a_greenlet_of_another_thread(hub: Hub) -> None:
    task = spawn(lambda: (sleep(0.01), 5)[1])

    def elsewhere() -> None:
        results.append((wait([task]), task.get()))

    results: list[Any] = []
    thread = threading.Thread(target=elsewhere)
    thread.start()
    while not results:
        sleep(0.001)
    thread.join()
    assert results == [([task], 5)]


def test_destroyed_hub_is_replaced() -> None:
    def body() -> tuple[Any, ...]:
        first = get_hub()
        spawn(lambda: 1).get()
        first.destroy()
        return first, get_hub(), spawn(lambda: 2).get()

    first, second, value = in_thread(body)
    assert first.dead
    assert second is not first
    assert value == 2


def test_destroy_gives_the_signals_back() -> None:
    stdout, _ = program("""
import os, signal
from greenscope.runtime import get_hub, sleep
sleep(0)
get_hub().destroy()
print(signal.set_wakeup_fd(-1), get_hub().poller.wakeup_fd == signal.set_wakeup_fd(-1))
""")
    assert stdout.split() == ["-1", "True"]


FORK = """
import os, signal, sys
from greenscope.runtime import get_hub, getcurrent, joinall, sleep, spawn, wait

def child(where):
    hub = get_hub()
    order = []
    def spin(name):
        for _ in range(3):
            order.append(name)
            sleep(0)
    with_timer = spawn(sleep, 0.001)
    joinall([spawn(spin, "a"), spawn(spin, "b"), with_timer])
    assert order == ["a", "b"] * 3, order
    assert spawn(lambda: 41).get() == 41
    wakeup = signal.set_wakeup_fd(-1)
    assert wakeup == hub.poller.wakeup_fd, (wakeup, hub.poller.wakeup_fd)
    print(where, "child", wait(timeout=5), flush=True)
    os._exit(0)

def fork(where):
    pid = os.fork()
    if pid == 0:
        child(where)
    os.waitpid(pid, 0)

parked = [spawn(sleep, 1000) for _ in range(3)]
sleeper = spawn(sleep, 0.01)
sleep(0)
fork("main")
sleeper.join()
print("parent", [one.dead for one in parked])
"""


def test_fork_in_main_gives_the_child_a_fresh_loop() -> None:
    stdout, stderr = program(FORK)
    assert stdout.splitlines() == ["main child True", "parent [False, False, False]"]
    assert stderr == ""


def test_fork_in_a_greenlet_gives_the_child_a_fresh_loop() -> None:
    source = FORK.replace('print(where, "child", wait(timeout=5)', 'print(where, "child", True').replace(
        'fork("main")', 'joinall([spawn(fork, "greenlet")] + [spawn(sleep, 0) for _ in range(3)])'
    )
    stdout, stderr = program(source)
    assert stdout.splitlines() == ["greenlet child True", "parent [False, False, False]"]
    assert stderr == ""


@pytest.mark.parametrize("parked_in", ["sleep(1000)", "get_hub().switch()", "spawn(sleep, 1000).join()"])
def test_interpreter_ends_silently_with_greenlets_parked(parked_in: str) -> None:
    stdout, stderr = program(f"""
from greenscope.runtime import get_hub, sleep, spawn, spawn_later, spawn_raw
def parked():
    {parked_in}
for _ in range(5):
    spawn(parked)
    spawn_raw(parked)
spawn_later(1000, parked)
sleep(0)
print("end")
""")
    assert (stdout, stderr) == ("end\n", "")


def test_exit_code_of_a_greenlet_is_the_programs() -> None:
    program(
        "import sys; from greenscope.runtime import sleep, spawn; spawn(sys.exit, 3); sleep(5)",
        returncode=3,
    )


def test_hub_takes_the_size_of_its_thread_pool_from_its_class(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_threadpool", None)
    monkeypatch.setattr(Hub, "threadpool_size", 3)
    assert hub.threadpool.maxsize == 3
