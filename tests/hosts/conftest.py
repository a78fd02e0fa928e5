"""Real servers, started as their users start them: what starts, reads and ends them."""

import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

BIN = Path(sys.executable).parent
#: seconds for anything to become so
PATIENCE = 20.0


def wait_for(what: Callable[[], Any], message: str, patience: float = PATIENCE) -> Any:
    """Ask again and again until the answer is true; returns it."""
    deadline = time.monotonic() + patience
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline, message
        time.sleep(0.05)


class Page:
    """A dashboard, read as a program reads it."""

    def __init__(self, url: str) -> None:
        split = urlsplit(url)
        self._host, self._port = split.hostname or "", split.port
        self._token = unquote(split.fragment.partition("token=")[2])

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and JSON (or the page's text)."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=15)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if "json" in (answer.getheader("content-type") or "") else text
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """Return what a GET is answered with; it must be a 200."""
        status, answer = self.ask("GET", path)
        assert status == 200, (path, answer)
        return answer

    def rows(self, query: str = "state=live") -> list[dict[str, Any]]:
        """Return rows of greenlets."""
        rows: list[dict[str, Any]] = self.get(f"/api/greenlets?limit=1000&{query}")["rows"]
        return rows

    def workers(self, state: str = "live") -> dict[int, dict[str, Any]]:
        """Return the processes in a state, by pid."""
        return {row["pid"]: row for row in self.get("/api/health")["workers"] if row["state"] == state}


class Host:
    """Programs of one test, and the folder for their sockets."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.sockets = folder
        self.work = work
        self._running: list[subprocess.Popen[bytes]] = []
        (work / "home").mkdir()
        self.environment = {
            **os.environ,
            "GREENSCOPE_DIR": str(folder),
            "HOME": str(work / "home"),
            "PYTHONUNBUFFERED": "1",
        }

    def write(self, name: str, text: str) -> None:
        """Write a file of the program."""
        (self.work / name).write_text(text)

    def start(self, *command: str, log: str = "log", **environment: str) -> "subprocess.Popen[bytes]":
        """Start a program of this environment; its output goes to a file."""
        with (self.work / log).open("wb") as output:
            process = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                cwd=self.work,
                env={**self.environment, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._running.append(process)
        return process

    def log(self, name: str = "log") -> str:
        """Return what a program has said."""
        return (self.work / name).read_text(errors="replace")

    def serve(self) -> Page:
        """Start the page over all processes, and wait until it answers."""
        url = self.work / "url"
        command = ("greenscope", "serve", str(self.sockets), "--port", "0", "--url-file", str(url))
        process = self.start(*command, log="serve")
        wait_for(lambda: url.exists() or process.poll() is not None, "serve wrote no address")
        assert process.poll() is None, self.log("serve")
        return Page(url.read_text().strip())

    def end(self) -> None:
        """End what still runs, politely at first."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._running:
            try:
                process.wait(6)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def find_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(port: int, path: str, timeout: float = 10.0) -> int:
    """Return the status that a server answers with (0: no answer).

    The connection is for this request alone: else gunicorn, which swallows the GreenletExit of a killed request, would
    wait in the same greenlet for a next one, for as long (2 s) as the dashboard waits for the kill.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


class Load:
    """Requests from several threads, counted by status."""

    def __init__(self, port: int, path: str, threads: int, requests: int = 1_000_000) -> None:
        self.statuses: dict[int, int] = {}
        self._ended = threading.Event()
        self._arguments = (port, path, requests)
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        port, path, requests = self._arguments
        for _ in range(requests):
            if self._ended.is_set():
                return
            status = fetch(port, path)
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def wait(self) -> None:
        """Wait until all requests are answered."""
        for thread in self._threads:
            thread.join(30)

    def stop(self) -> None:
        """Ask no more."""
        self._ended.set()
        self.wait()


class Tools:
    """What the tests of this folder share."""

    README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    wait_for = staticmethod(wait_for)
    find_port = staticmethod(find_port)
    fetch = staticmethod(fetch)
    Load = Load
    Page = Page


@pytest.fixture
def tools() -> type[Tools]:
    """Return the helpers."""
    return Tools


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Offer a place for programs, and end them afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))  # short: a socket's path has at most 107 bytes
    here = Host(folder, tmp_path)
    try:
        yield here
    finally:
        here.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    """Skip where a program is not installed, but never in CI."""
    for needed in getattr(request.module, "NEEDS", ()):
        if importlib.util.find_spec(needed) is None and os.environ.get("CI") != "true":
            pytest.skip(f"{needed} is not installed")
