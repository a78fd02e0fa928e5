"""Errors that nobody else handles: reported once, wherever told, and no end of the loop."""

import io
import os
import signal
import sys
import threading
import time
from typing import Any

import pytest

from greenscope.runtime import sleep, spawn
from greenscope.runtime.hub import Hub


def test_error_of_a_greenlet_is_reported_once(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    task = spawn(int, "x")
    task.join()
    with pytest.raises(ValueError):
        task.get()
    stderr = capsys.readouterr().err
    assert stderr.count("ValueError: invalid literal") == 1
    assert "failed with ValueError" in stderr


def test_handler_of_errors_can_be_replaced(hub: Hub) -> None:
    seen: list[Any] = []
    hub.handle_error = lambda *args: seen.append(args)  # type: ignore[method-assign]
    try:
        task = spawn(int, "x")
        task.join()
    finally:
        del hub.handle_error
    assert seen[0][:2] == (task, ValueError)


def test_handler_that_raises_does_not_end_the_hub(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("broken handler")

    hub.handle_error = broken  # type: ignore[method-assign]
    try:
        task = spawn(int, "x")
        hub.run_callback(int, "y")
        task.join()
        sleep(0)
    finally:
        del hub.handle_error
    assert isinstance(task.exception, ValueError)
    assert "broken handler" in capsys.readouterr().err
    assert spawn(lambda: 1).get() == 1


def test_context_without_repr_is_reported_all_the_same(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    class Nameless:
        def __repr__(self) -> str:
            raise SystemExit

        def __call__(self) -> None:
            raise ValueError("of the nameless")

    task = spawn(Nameless())
    task.join()
    assert "of the nameless" in capsys.readouterr().err


def test_error_without_stderr_is_no_error(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    task = spawn(int, "x")
    task.join()
    assert isinstance(task.exception, ValueError)


def test_hub_writes_errors_to_the_stream_that_was_set(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert hub.exception_stream is sys.stderr
    hub.exception_stream = stream = io.StringIO()
    try:
        spawn(lambda: 1 / 0).join()
        assert "ZeroDivisionError" in stream.getvalue()
        hub.exception_stream = None
        spawn(lambda: 1 / 0).join()
    finally:
        del hub._exception_stream
    assert stream.getvalue().count("ZeroDivisionError: ") == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, SystemError])
def test_system_error_of_a_greenlet_reaches_main(
    hub: Hub, capsys: pytest.CaptureFixture[str], error: type[BaseException]
) -> None:
    def raise_it() -> None:
        raise error("from a greenlet")

    task = spawn(raise_it)
    with pytest.raises(error, match="from a greenlet"):
        sleep(1)
    assert isinstance(task.exception, error)
    assert hub.timers.refs == 0


def test_interrupt_while_the_hub_sleeps_reaches_main_and_nobody_else(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    task = spawn(sleep, 0.05)

    def press() -> None:
        while not hub.sleeping:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        task.join()
    thread.join()
    assert capsys.readouterr().err == ""
    task.join()
    assert task.successful()
