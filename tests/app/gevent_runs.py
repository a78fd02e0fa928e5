"""Runs a program on real gevent in a process of its own, since patching is global."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PRELUDE = """
import gc, json, sys, time
import gevent
from gevent.event import Event
from gevent.lock import RLock, Semaphore
from gevent.pool import Group, Pool
from gevent.queue import Queue
from greenscope.app.backends.gevent import GeventProbe

def answer(**values):
    print(json.dumps(values, default=str))

def kinds(events, id=None):
    return [event.kind for event in events if id is None or event.greenlet == id]

def id_of(probe, greenlet):
    return probe._registry.id_of(greenlet)

def few(probe, lives):
    # a look tells no more than so many short lives
    probe._events._short_burst, probe._events._short_rate = lives, 1e9

def look(probe, greenlet):
    return probe.sample([id_of(probe, greenlet)])[0]
"""


def run(body: str, timeout: float = 30) -> dict[str, Any]:
    """Run a gevent program to its end and return what it answered; what it writes to stderr must be nothing."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".dev"), "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(body)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
