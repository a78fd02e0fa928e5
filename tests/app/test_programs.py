"""Programs run as Python would run them: arguments, path, exit status, traceback."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenscope.app.programs import INTERRUPTED, NoProgram, Program, run_to_status


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    argv, path = list(sys.argv), list(sys.path)
    yield
    sys.argv[:] = argv
    sys.path[:] = path


def write(folder: Path, text: str, name: str = "program.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_script_sees_its_own_arguments_and_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "VALUE = 7\n", "neighbour_of_script.py")
    script = write(
        tmp_path, "import sys, neighbour_of_script\nprint(__name__, sys.argv[1:], neighbour_of_script.VALUE)"
    )
    assert run_to_status(Program(script, ("--x", "1")).run) == 0
    assert capsys.readouterr().out == "__main__ ['--x', '1'] 7\n"


def test_module_runs_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "import sys\nprint(__name__, len(sys.argv))", "module_of_cwd.py")
    assert run_to_status(Program("module_of_cwd", module=True).run) == 0
    assert capsys.readouterr().out == "__main__ 1\n"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 0),
        ("raise SystemExit", 0),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit(257)", 1),
        ("raise SystemExit('no')", 1),
        ("raise KeyboardInterrupt", INTERRUPTED),
        ("1/0", 1),
    ],
)
def test_exit_status_is_that_of_python(
    tmp_path: Path, text: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_to_status(Program(write(tmp_path, text)).run) == status


def test_traceback_begins_in_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = write(tmp_path, "def f():\n    1/0\nf()\n")
    assert run_to_status(Program(script).run) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{script}", line 3, in <module>'


def test_missing_script_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoProgram, match=r"no-such\.py"):
        Program(str(tmp_path / "no-such.py")).check()
