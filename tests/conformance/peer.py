"""Run the cases of one file against one runtime, in a process of its own: `python peer.py PACKAGE FILE`.

Each outcome is a line of JSON on stdout: {"case": name, "error": null or a traceback}. A case is a function
`case_<what>(rt)`; `rt` is the package, with its modules as attributes. What a case prints on stderr is dropped
unless it fails.
"""

import importlib
import importlib.util
import inspect
import io
import json
import sys
import traceback
from types import ModuleType
from typing import Any

MODULES = (
    *("event", "hub", "local", "lock", "pool", "queue", "timeout", "exceptions"),
    *("select", "socket", "subprocess", "threadpool"),
)

#: seconds of the runtime's own Timeout for one case
CASE_SECONDS = 20


def load_cases(path: str) -> dict[str, Any]:
    """Import a file of cases by its path; returns its cases by name, in order."""
    spec = importlib.util.spec_from_file_location("cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: case for name, case in vars(module).items() if name.startswith("case_") and inspect.isfunction(case)}


def load_runtime(package: str) -> ModuleType:
    """Import a runtime and its modules."""
    for name in MODULES:
        importlib.import_module(f"{package}.{name}")
    return importlib.import_module(package)


def run_case(rt: Any, case: Any) -> str | None:
    """Run one case; returns a traceback when it failed."""
    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        with rt.Timeout(CASE_SECONDS, ref=False):  # else no case could see LoopExit
            case(rt)
    except BaseException:
        return traceback.format_exc() + sys.stderr.getvalue()  # type: ignore[attr-defined]
    finally:
        sys.stderr = stderr
    return None


def main(package: str, path: str) -> None:
    """Run all cases of a file."""
    rt = load_runtime(package)
    for name, case in load_cases(path).items():
        print(json.dumps({"case": name, "error": run_case(rt, case)}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
