"""The folder for the sockets of server processes: whose it is, what is swept, what a fault costs the host."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenscope.app import socket_folder as place


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gs-", dir="/tmp") as made:
        yield Path(made)


def test_folder_is_the_chosen_one_or_one_of_the_users_own(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("GREENSCOPE_DIR", str(folder / "chosen"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    assert place.socket_folder() == folder / "chosen"
    monkeypatch.delenv("GREENSCOPE_DIR")
    assert place.socket_folder() == folder / "greenscope"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "none"))
    assert place.socket_folder() == Path(tempfile.gettempdir()) / f"greenscope-{os.getuid()}"


def test_folder_is_made_for_its_user_alone(folder: Path) -> None:
    place.make_folder(folder / "a" / "b")
    assert (folder / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_folder_that_others_may_write_to_is_refused(folder: Path) -> None:
    folder.chmod(0o770)
    with pytest.raises(PermissionError, match="mode 0700"):
        place.make_folder(folder)


@pytest.mark.parametrize(("text", "allowed"), [("1", True), (" Yes ", True), ("0", False), ("", False), ("no", False)])
def test_control_is_allowed_only_when_it_is_said(monkeypatch: pytest.MonkeyPatch, text: str, allowed: bool) -> None:
    monkeypatch.setenv("GREENSCOPE_CONTROL", text)
    assert place.control_allowed() is allowed


def test_accounting_is_light_unless_another_one_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GREENSCOPE_ACCOUNTING", raising=False)
    assert place.chosen_accounting() == "light"
    monkeypatch.setenv("GREENSCOPE_ACCOUNTING", " Full ")
    assert place.chosen_accounting() == "full"
    monkeypatch.setenv("GREENSCOPE_ACCOUNTING", "much")
    with pytest.raises(ValueError, match="GREENSCOPE_ACCOUNTING: 'much' is none of off, light, full"):
        place.chosen_accounting()


def test_sweep_takes_away_the_sockets_of_the_dead_only(folder: Path) -> None:
    living, dead = folder / "1.sock", folder / "2.sock"
    other, file = folder / "3.other", folder / "4.sock"
    file.write_text("no socket")
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX) as gone,
        socket.socket(socket.AF_UNIX) as kept,
    ):
        listener.bind(str(living))
        listener.listen()
        gone.bind(str(dead))
        kept.bind(str(other))
        gone.close()
        kept.close()
        place.sweep(folder)
    assert {path.name for path in folder.iterdir()} == {"1.sock", "3.other", "4.sock"}


def test_fault_is_told_and_goes_no_further(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    folder.chmod(0o777)
    monkeypatch.setenv("GREENSCOPE_DIR", str(folder))
    said: list[str] = []
    assert place.watch_process("host", said.append) is None
    assert said == [f"greenscope: not watched: [Errno 13] others may write to {folder}; give it mode 0700"]


@pytest.mark.parametrize(
    "module", ["greenscope", "greenscope.app.cli", "greenscope.app.merging", "greenscope.gunicorn"]
)
def test_import_loads_no_server_that_it_may_be_used_with(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "servers = {'gunicorn', 'locust', 'celery', 'gevent', 'flask'}\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & servers))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert result.stdout.strip() == "[]"


def test_greenlet_that_ends_a_program_that_is_ending_is_no_traceback(folder: Path) -> None:
    """gunicorn's worker does so on SIGQUIT: a greenlet exits, while the main one may be at its exit already."""
    program = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import gevent, sys\n"
        "from greenscope.app.socket_folder import watch_process\n"
        "assert watch_process('ending', lambda text: None) is not None\n"
        "def end():\n    for _ in range(3):\n        gevent.sleep()\n    sys.exit()\n"
        "gevent.spawn(end)\n"
    )
    environment = {**os.environ, "GREENSCOPE_DIR": str(folder)}
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, env=environment
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert list(folder.glob("*.sock")) == []
