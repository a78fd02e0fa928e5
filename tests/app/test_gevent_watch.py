"""watch() called wherever a program may: in main, a greenlet, a native thread; patched or not; before gevent, too."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("gevent")

ROOT = Path(__file__).resolve().parents[2]
PATCH = "from gevent import monkey; monkey.patch_all()\n"
START = """
import greenscope
monitors = []
def start():
    monitors.append(greenscope.watch(port=0, token="t" * 40))
"""
#: where it is called, in a program that has a greenlet already
PLACES = {
    "main": "start()",
    "greenlet": "gevent.spawn(start).join()",
    "thread": "import threading; thread = threading.Thread(target=start); thread.start(); thread.join()",
    "native thread": "discovery.start_new_thread(start, ())",
    "worker of the thread pool": "gevent.get_hub().threadpool.apply(start)",
}
REST = """
import gevent, json, os, sys
while not monitors: gevent.sleep(0.01)
monitor, ended = monitors[0], []
later = gevent.spawn(gevent.sleep, 60); gevent.sleep(0.4)
print(monitor.url.partition("#")[0], flush=True)
while not os.path.exists(sys.argv[1]): gevent.sleep(0.01)
def close(): ended.append(monitor.close())
CLOSE
while not ended: gevent.sleep(0.01)
gevent.sleep(0.1)
import greenlet
print(json.dumps({"closed": monitor.closed, "tracer": greenlet.gettrace() is None}), flush=True)
"""
CLOSE = {"here": "close()", "in a native thread": "discovery.start_new_thread(close, ())"}


def ask(base: str, path: str) -> Any:
    request = Request(base + path, headers={"Authorization": "Bearer " + "t" * 40})
    with urlopen(request, timeout=15) as answer:
        return json.load(answer)


def run(program: str, go: Path, close: str = "here") -> dict[str, Any]:
    """Run a program, look at its page from outside, let it end; return what was seen."""
    process = subprocess.Popen(
        [sys.executable, "-c", program + REST.replace("CLOSE", CLOSE[close]), str(go)],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".dev"), "PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        base = process.stdout.readline().strip()
        rows, health = (ask(base, path) for path in ("api/greenlets?state=live", "api/health")) if base else ({}, {})
        go.touch()
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")
    return {
        "rows": sorted(row["function"] for row in rows["rows"]),
        "backend": health["backend"],
        "hubs": [hub["thread"] for hub in health["hubs"]],
        "switches": health["hubs"][0]["switches"] > 0,
        "fault": health["fault"],
        **json.loads(output),
    }


GEVENT = "import gevent\nfrom greenscope.app.backends import gevent_discovery as discovery\n"
PARKED = "early = gevent.spawn(gevent.sleep, 60); gevent.sleep(0)\n"
WATCHED = {
    "rows": ["<main>", "sleep", "sleep"],
    "backend": "gevent",
    "hubs": ["main"],
    "fault": "",
    "closed": True,
    "switches": True,
    "tracer": True,
}


@pytest.mark.parametrize("patched", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_watch_can_be_called_anywhere(place: str, patched: bool, tmp_path: Path) -> None:
    program = (PATCH if patched else "") + GEVENT + START + PARKED + PLACES[place]
    assert run(program, tmp_path / "go") == WATCHED


@pytest.mark.parametrize("patched", [False, True])
def test_monitor_can_be_closed_in_a_native_thread(patched: bool, tmp_path: Path) -> None:
    program = (PATCH if patched else "") + GEVENT + START + PARKED + "start()\n"
    assert run(program, tmp_path / "go", "in a native thread") == WATCHED


@pytest.mark.parametrize("patched", [False, True])
def test_watch_in_a_thread_before_gevent_is_imported_sees_what_comes(patched: bool, tmp_path: Path) -> None:
    first = "import threading\nthread = threading.Thread(target=start); thread.start(); thread.join()\n"
    assert run(START + first + (PATCH if patched else "") + GEVENT + PARKED, tmp_path / "go") == WATCHED


def test_importing_us_starts_no_thread_sets_no_tracer_and_makes_no_hub() -> None:
    program = """
import greenscope, greenscope.gunicorn, greenscope.app.backends.native
import greenlet, json, os, sys
from gevent._hub_local import get_hub_if_exists
from greenscope.app.backends.gevent import GeventProbe
probe = GeventProbe()                   # made, not attached
tasks = os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else sys._current_frames()
print(json.dumps({"threads": [len(tasks), len(sys._current_frames())], "tracer": greenlet.gettrace(),
    "hub": get_hub_if_exists(), "hooks": [sys.gettrace(), sys.getprofile()]}))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".dev"), "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"threads": [1, 1], "tracer": None, "hub": None, "hooks": [None, None]}
