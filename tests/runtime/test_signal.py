"""Signals whose handler runs in a greenlet."""

import os
import signal as std
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from greenscope.runtime import Timeout, get_hub, getcurrent, signal, signal_handler, sleep
from greenscope.runtime.event import AsyncResult
from greenscope.runtime.exceptions import LoopExit
from greenscope.runtime.greenlet import Greenlet


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The test leaves the signal's handler as it was."""
    before = std.getsignal(std.SIGUSR1)
    yield
    assert std.getsignal(std.SIGUSR1) is before


def test_signal_handler_runs_in_a_greenlet_and_may_block() -> None:
    seen = AsyncResult()

    def handler(*args: Any, **kwargs: Any) -> None:
        sleep(0)
        seen.set((getcurrent(), args, kwargs))

    one = signal_handler(std.SIGUSR1, handler, 1, two=2)
    try:
        os.kill(os.getpid(), std.SIGUSR1)
        greenlet, args, kwargs = seen.get(timeout=5)
    finally:
        one.cancel()
    assert isinstance(greenlet, Greenlet)
    assert (args, kwargs) == ((1,), {"two": 2})


def test_signal_handlers_of_one_signal_are_all_called() -> None:
    calls: list[int] = []
    several = [signal_handler(std.SIGUSR1, calls.append, n) for n in range(3)]
    several[1].cancel()
    os.kill(os.getpid(), std.SIGUSR1)
    sleep(0)
    sleep(0)
    for one in several:
        one.cancel()
        one.cancel()
    assert calls == [0, 2]


def test_signal_handler_that_is_cancelled_brings_the_one_before_back() -> None:
    calls: list[Any] = []
    before = std.signal(std.SIGUSR1, lambda *_args: calls.append("before"))
    try:
        one = signal_handler(std.SIGUSR1, calls.append, "ours")
        os.kill(os.getpid(), std.SIGUSR1)
        one.cancel()  # it came, but has not run yet
        os.kill(os.getpid(), std.SIGUSR1)
        sleep(0)
        sleep(0)
    finally:
        std.signal(std.SIGUSR1, before)
    assert calls == ["before"]


def test_signal_handler_ends_the_sleep_of_the_hub() -> None:
    seen = AsyncResult()
    one = signal_handler(std.SIGUSR1, seen.set, "woken")
    timer = threading.Timer(0.02, os.kill, (os.getpid(), std.SIGUSR1))
    timer.start()
    try:
        assert seen.get(timeout=5) == "woken"
    finally:
        timer.join()
        one.cancel()


def test_signal_handler_keeps_the_loop_alive_only_with_ref() -> None:
    one = signal_handler(std.SIGUSR1, print)
    try:
        with pytest.raises(LoopExit):
            AsyncResult().get()
        one.ref = one.ref = True
        assert get_hub().holds == 1
        with Timeout(0.01, False, ref=False):
            AsyncResult().get()
    finally:
        one.cancel()
    assert get_hub().holds == 0
    assert not one.ref


def test_signal_handler_refuses_what_it_cannot_do() -> None:
    with pytest.raises(TypeError, match="callable"):
        signal_handler(std.SIGUSR1, None)
    with pytest.raises(ValueError, match="signal"):
        signal_handler(0, print)
    with pytest.raises(OSError, match="Invalid argument"):
        signal_handler(std.SIGKILL, print)


def test_signal_handler_that_raises_is_reported_by_the_hub() -> None:
    program = """
import os, signal
from greenscope.runtime import signal_handler, sleep
signal_handler(signal.SIGTERM, lambda: 1 / 0)
os.kill(os.getpid(), signal.SIGTERM)
sleep(0.01)
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "alive\n"
    assert "ZeroDivisionError" in done.stderr


def test_module_has_the_names_of_the_standard_library() -> None:
    assert signal.SIGTERM is std.SIGTERM
    assert signal.getsignal is std.getsignal
