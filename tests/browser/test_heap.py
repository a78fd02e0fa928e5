"""Pages that stay open for days: heap, nodes and listeners of busy pages stay flat.

    GREENSCOPE_SOAK=600 python -m pytest -s -o faulthandler_timeout=0 tests/browser/test_heap.py  ten minutes

Each sample is taken after a full collection. What grows by design (ten minutes of points for the charts, 500 rows of
events) does so in the warm-up, or weighs little against the bound.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

SECONDS = float(os.environ.get("GREENSCOPE_SOAK", "6"))
PATHS = ("/", "/greenlets?state=live&sort=-id&open=2", "/groups/1", "/tail", "/findings")
SAMPLES = 6
#: bytes by which a heap may differ from its first sample: points of charts, caches of the engine
MOST = 2_000_000

pytestmark = pytest.mark.timeout(SECONDS * 3 + 120)


def measure(session: Any) -> dict[str, int]:
    session.send("HeapProfiler.collectGarbage")
    counters = session.send("Memory.getDOMCounters")
    return {
        "heap": session.send("Runtime.getHeapUsage")["usedSize"],
        "nodes": counters["nodes"],
        "listeners": counters["jsEventListeners"],
    }


def test_busy_pages_keep_their_heap(start_observed: Callable[..., Any], visit: Callable[[Any], Any]) -> None:
    observed = start_observed("--ends", "100")
    tabs = {}
    for path in PATHS:
        tab = visit(observed)
        tab.page.context.add_cookies([{"name": "greenscope_rate", "value": "0.25", "url": observed.base}])
        tabs[path] = tab.page.context.new_cdp_session(tab.open(path))
        tab.page.wait_for_selector('#badge[data-link="live"]')
    time.sleep(max(3.0, SECONDS / 6))  # until the tail is full and the engine has compiled what it wants to
    samples: dict[str, list[dict[str, int]]] = {path: [measure(session)] for path, session in tabs.items()}
    for _ in range(SAMPLES):
        time.sleep(SECONDS / SAMPLES)
        for path, session in tabs.items():
            samples[path].append(measure(session))
    for path, taken in samples.items():
        print(f"{path:40} heap {' '.join(format(one['heap'] / 1e6, '.2f') for one in taken)} MB,", end=" ")
        print(f"nodes {taken[0]['nodes']} -> {taken[-1]['nodes']}, listeners {taken[-1]['listeners']}")
        assert taken[-1]["heap"] - taken[0]["heap"] < MOST, path
        assert taken[-1]["nodes"] < taken[0]["nodes"] + 20_000, path
        assert taken[-1]["listeners"] <= taken[0]["listeners"] + 20, path
