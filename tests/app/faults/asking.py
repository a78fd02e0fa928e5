"""Asking a dashboard over its socket, a probe until enough was told, a program in a process of its own."""

import http.client
import json
import subprocess
import sys
import textwrap
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from greenscope.app.backends.native import NativeProbe
from greenscope.app.model import Event
from greenscope.app.watching import Monitor


def ask(monitor: Monitor, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Ask the dashboard over its socket; returns status and body."""
    parts = urllib.parse.urlsplit(monitor.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    token = urllib.parse.unquote(parts.fragment.partition("token=")[2])
    given = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **(headers or {})}
    try:
        if body is None:
            connection.request("GET", path, headers=given)
        else:
            connection.request("POST", path, json.dumps(body), given)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def ask_json(monitor: Monitor, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    return json.loads(ask(monitor, path, body, headers)[1])


def drain_until(probe: NativeProbe, enough: Callable[[list[Event]], bool]) -> list[Event]:
    """Drain in a thread of its own, as the dashboard does, until `enough`; fails after 10 s."""
    events: list[Event] = []

    def drain() -> None:
        deadline = time.monotonic() + 10
        while not enough(events) and time.monotonic() < deadline:
            events.extend(probe.drain().events)
            time.sleep(0.002)

    draining = threading.Thread(target=drain, name="dashboard")
    draining.start()
    draining.join()
    assert enough(events), [(event.kind, event.greenlet) for event in events]
    return events


def id_of(watched: Any) -> int:
    """Return the id under which a greenlet or a group is watched."""
    return int(watched._greenscope_id)


def run_program(body: str, timeout: float = 40) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(body)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def row_of_the_ended(monitor: Monitor, id: int) -> Any:
    status, body = ask(monitor, f"/api/greenlets/{id}")
    row = json.loads(body)
    return row if status == 200 and row["ended"] else None


def watching(probe: Any, **options: Any) -> Monitor:
    from greenscope.app.dashboard import build_dashboard
    from greenscope.app.server import DashboardServer

    server = DashboardServer(build_dashboard(probe, token="t" * 32, control=True, **options), port=0)
    server.bind()
    probe.attach()
    server.start_thread()
    return Monitor(probe, server)
