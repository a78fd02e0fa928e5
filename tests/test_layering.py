"""Who may import whom: the house's one direction, held by a test."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: files of app/ that may import the runtime: its probe, and the programs that run on it
MAY_USE_RUNTIME = ("app/backends/native", "app/demo/", "app/cli.py")
#: files of app/ that may import gevent, inside functions or backends only
MAY_USE_GEVENT = ("app/backends/gevent", "app/cli.py", "app/watching.py", "app/integrations/")
WEB = {"starlette", "uvicorn", "jinja2", "anyio", "h11", "asyncio"}


def imports_of(path: Path) -> set[str]:
    """Return the names of all modules that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files_of(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", files_of("runtime"), ids=lambda path: path.name)
def test_runtime_file_imports_nothing_of_the_app_or_the_web(path: Path) -> None:
    for name in imports_of(path):
        assert not name.startswith("greenscope.app"), f"{path.name} imports {name}"
        assert name.split(".")[0] not in WEB | {"gevent"}, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", files_of("app"), ids=lambda path: str(path.relative_to(ROOT)))
def test_app_file_sees_a_runtime_only_through_the_probe(path: Path) -> None:
    relative = str(path.relative_to(ROOT))
    for name in imports_of(path):
        if name.startswith("greenscope.runtime"):
            assert relative.startswith(MAY_USE_RUNTIME), f"{relative} imports {name}"
        if name.split(".")[0] == "gevent":
            assert relative.startswith(MAY_USE_GEVENT), f"{relative} imports {name}"


@pytest.mark.parametrize(
    ("path", "switches"),
    [(path, path.name == "waiting.py") for path in files_of("runtime")],
    ids=lambda x: str(x)[-20:],
)
def test_only_waiting_switches_to_the_hub(path: Path, switches: bool) -> None:
    found = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "switch"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "hub"
    ]
    assert bool(found) == switches, f"{path.name} switches to the hub at lines {found}"


def test_importing_the_runtime_loads_no_web_stack() -> None:
    code = (
        "import sys, greenscope.runtime, greenscope.runtime.pool\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & "
        "{'starlette', 'jinja2', 'uvicorn', 'asyncio', 'anyio', 'gevent'}), "
        "[name for name in sys.modules if name.startswith('greenscope.app')])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert result.stdout.strip() == "[] []"


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys, greenscope\nprint([name for name in sys.modules if name.startswith('greenscope.')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert result.stdout.strip() == "[]"
