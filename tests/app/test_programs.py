"""Programs run as Python would run them: arguments, path, exit status, traceback."""

import io
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenscope.app.programs import INTERRUPTED, NoProgram, Program, run_to_status


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    argv, path, main = list(sys.argv), list(sys.path), sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main
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
        ("raise SystemExit(2**70)", 255),
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


def test_script_knows_its_whole_path_and_its_arguments_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "import os, sys\nos.chdir('/')\nprint(__file__, sys.argv[0], __spec__, __package__)")
    assert run_to_status(Program("program.py").run) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'program.py'} program.py None None\n"


def test_main_stays_when_the_script_has_ended(tmp_path: Path) -> None:
    run_to_status(Program(write(tmp_path, "LEFT = 1")).run)
    assert sys.modules["__main__"].LEFT == 1


def test_folder_and_archive_run_their_main(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder, "import sys, neighbour_in_folder\nprint(__file__, sys.argv[0] == sys.path[0])", "__main__.py")
    write(folder, "", "neighbour_in_folder.py")
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", folder)
    for target in (str(folder), archive):
        assert run_to_status(Program(target).run) == 0
        assert capsys.readouterr().out == f"{target}/__main__.py True\n"
        sys.modules.pop("neighbour_in_folder")


@pytest.mark.parametrize("module", [True, False])
def test_what_is_not_found_is_told_in_one_line(
    tmp_path: Path, module: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_to_status(Program("no_such_module" if module else str(tmp_path), module=module).run) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"{sys.executable}: ")
    assert err.count("\n") == 1


def test_syntax_error_shows_the_program_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = write(tmp_path, "def f(:\n")
    assert run_to_status(Program(script).run) == 1
    assert capsys.readouterr().err.startswith(f'  File "{script}", line 1\n')


def test_the_programs_own_excepthook_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hook, script = sys.excepthook, write(tmp_path, "import sys\nsys.excepthook = lambda *x: print('hook', x[1])\n1/0")
    try:
        assert run_to_status(Program(script).run) == 1
    finally:
        sys.excepthook = hook
    assert capsys.readouterr() == ("hook division by zero\n", "")


def test_closed_stderr_changes_no_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    assert run_to_status(Program(write(tmp_path, "1/0")).run) == 1
    assert run_to_status(Program(write(tmp_path, "raise SystemExit('no')")).run) == 1


def test_missing_script_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoProgram, match=r"no-such\.py"):
        Program(str(tmp_path / "no-such.py")).check()
