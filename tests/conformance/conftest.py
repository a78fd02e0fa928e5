"""The peers: our runtime and real gevent, each asked the same in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
BACKENDS = {"greenscope": "greenscope.runtime", "gevent": "gevent"}

#: seconds for all the cases of one file
FILE_SECONDS = 50

Ask = Callable[[str, str], str | None]


@cache
def outcomes(package: str, path: Path) -> dict[str, str | None]:
    """Run a file of cases against a package; returns the error of each case, None for those that passed."""
    found: dict[str, str | None] = {}
    process = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(HERE / "peer.py"), package, str(path)],
        capture_output=True,
        text=True,
        timeout=FILE_SECONDS,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    for line in process.stdout.splitlines():
        outcome = json.loads(line)
        found[outcome["case"]] = outcome["error"]
    if process.returncode:
        found[""] = f"the process ended with {process.returncode}\n{process.stderr}"
    return found


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Ask:
    """Return a function that runs a case (file, name) against this backend; it returns the error or None."""
    package = BACKENDS[request.param]
    if package == "gevent":
        pytest.importorskip("gevent")

    def ask(file: str, case: str) -> str | None:
        found = outcomes(package, HERE / "cases" / file)
        return found.get(case, found.get("", "the case was not run"))

    return ask
