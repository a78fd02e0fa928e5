"""A mounted dashboard ends its streams when its host shuts down, which waits for them."""

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenscope.app.hosting import host_is_ending

HOST = """\
import socket, sys
import uvicorn
from starlette.applications import Starlette
import greenscope

app = Starlette()
app.mount("/greenlets", greenscope.create_dashboard(token="t" * 32, backend="native"))
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listener])
"""


@pytest.fixture
def handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


class Host:
    should_exit = False

    def on_signal(self, *_: object) -> None: ...


@pytest.mark.usefixtures("handler")
def test_host_ends_when_the_owner_of_its_signal_handler_says_so() -> None:
    host = Host()
    signal.signal(signal.SIGTERM, host.on_signal)
    assert not host_is_ending()
    host.should_exit = True
    assert host_is_ending()


@pytest.mark.usefixtures("handler")
def test_handler_without_a_server_says_nothing() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert not host_is_ending()
    signal.signal(signal.SIGTERM, lambda *_: None)
    assert not host_is_ending()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_open_stream_does_not_keep_the_host_from_ending(tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOST], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/greenlets/events"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {'t' * 32}"})
        with urllib.request.urlopen(request, timeout=10) as stream:
            assert stream.readline() == b"retry: 2000\n"
            process.send_signal(number)
            assert b"event: bye" in stream.read()
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert "greenscope: " not in errors  # what uvicorn says of a signal is its own
    assert "/app/" not in errors
