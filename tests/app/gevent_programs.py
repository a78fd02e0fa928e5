"""Programs on real gevent in processes of their own, as their users start them, for the tests of what they notice."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PRELUDE = """
import json, os, sys, time
import gevent
import greenlet
from greenscope.app.backends import gevent_discovery
from greenscope.app.backends.gevent import GeventProbe

def answer(**values):
    print(json.dumps(values, default=str), flush=True)

def id_of(probe, greenlet):
    return probe._registry.id_of(greenlet)
"""


def start(
    body: str, first: str = "", more: tuple[str, ...] = (), stdin: int | None = None, prelude: str = PRELUDE
) -> "subprocess.Popen[str]":
    """Start a program: `first`, what all share, and the body; `more` are options of Python."""
    return subprocess.Popen(
        [sys.executable, *more, "-c", first + prelude + textwrap.dedent(body)],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".dev"), "PYTHONWARNINGS": "error"},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    body: str, first: str = "", timeout: float = 30, more: tuple[str, ...] = (), prelude: str = PRELUDE
) -> tuple[int, str, str]:
    """Run a program to its end; return (exit status, output, errors)."""
    process = start(body, first, more, prelude=prelude)
    try:
        output, errors = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return process.returncode, output, errors


def answer_of(body: str, prelude: str, first: str = "", timeout: float = 30) -> dict[str, Any]:
    """Run a program to its end and return what it answered; what it writes to stderr must be nothing."""
    status, output, errors = run(body, first, timeout, prelude=prelude)
    assert status == 0, errors
    assert errors == ""
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def ask(base: str, path: str = "api/health") -> Any:
    """Ask for JSON; /api/health when nothing else is said."""
    from urllib.request import Request, urlopen

    request = Request(base + path, headers={"Authorization": "Bearer " + "t" * 40})
    with urlopen(request, timeout=10) as response:
        return json.load(response)
