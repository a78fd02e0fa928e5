"""The command line, as a user meets it: real processes, real sockets."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from greenscope.app.cli import build_parser, main, split_program

PROGRAM = """\
import sys
from greenscope.runtime import sleep, spawn
print("arguments", sys.argv[1:], flush=True)
workers = [spawn(sleep, 60) for _ in range(5)]
sleep(float(sys.argv[1]))
sys.exit(7)
"""


def ask(url: str, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    parts = urllib.parse.urlsplit(url)
    token = urllib.parse.unquote(parts.fragment.partition("token=")[2])
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text else None


def wait_for_sleepers(url: str) -> list[Any]:
    """Return the rows of the program's five sleepers, once they are there."""
    deadline = time.monotonic() + 10
    while True:
        rows = [row for row in ask(url, "/api/greenlets")[1]["rows"] if row["function"].endswith("sleep")]
        if len(rows) == 5:
            return rows
        assert time.monotonic() < deadline, rows
        time.sleep(0.05)


def wait_for_file(path: Path, process: "subprocess.Popen[str]", seconds: float = 15) -> str:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text().strip()


@contextmanager
def running(tmp_path: Path, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    url_file = tmp_path / "url"
    process = subprocess.Popen(
        [sys.executable, "-m", "greenscope", arguments[0], "--port", "0", "--url-file", str(url_file), *arguments[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        yield process, wait_for_file(url_file, process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return str(path)


def test_run_shows_the_programs_greenlets_and_ends_with_its_status(tmp_path: Path, script: str) -> None:
    with running(tmp_path, "run", script, "1.5", "--port", "9") as (process, url):
        assert len(wait_for_sleepers(url)) == 5
        assert ask(url, "/api/health")[1]["name"] == "program.py"
        out, err = process.communicate(timeout=20)
    assert process.returncode == 7
    assert out == "arguments ['1.5', '--port', '9']\n"
    assert err == f"greenscope: {url}\n"


def test_kill_ends_a_greenlet_of_the_program(tmp_path: Path, script: str) -> None:
    with running(tmp_path, "run", script, "30") as (_, url):
        victim = wait_for_sleepers(url)[0]["id"]
        status, answer = ask(url, f"/api/greenlets/{victim}/kill", "POST", {})
        assert (status, answer["state"]) == (200, "killed")


def test_read_only_refuses_control(tmp_path: Path, script: str) -> None:
    with running(tmp_path, "run", "--read-only", script, "30") as (_, url):
        assert ask(url, "/api/greenlets/2/kill", "POST", {})[0] == 403


def test_accounting_that_is_off_tells_no_times(tmp_path: Path, script: str) -> None:
    with running(tmp_path, "run", "--accounting", "off", script, "30") as (_, url):
        assert all(row["run_time"] is None for row in wait_for_sleepers(url))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("busy", [False, True])
def test_signal_ends_program_and_dashboard_within_3_s(
    tmp_path: Path, script: str, number: int, status: int, busy: bool
) -> None:
    if busy:
        Path(script).write_text("from greenscope.runtime import spawn\ndef f():\n    while True: pass\nspawn(f).join()")
    with running(tmp_path, "run", script, "60") as (process, _):
        begin = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
        assert time.monotonic() - begin < 3
    assert process.returncode == status
    assert busy or "Traceback" not in err


def test_demo_that_a_shell_put_into_the_background_ends_on_sigint(tmp_path: Path) -> None:
    script = '"$0" -m greenscope demo --port 0 --url-file url "$1" >out 2>err & echo $!; wait $!; echo $?'
    command = ["sh", "-c", script, sys.executable, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as shell:
        assert shell.stdout is not None
        demo, status = int(shell.stdout.readline()), ""
        wait_for_file(tmp_path / "url", shell)
        for _ in range(3):  # Python loses one that comes while it lets go of an import's lock: as by hand, once more
            os.kill(demo, signal.SIGINT)
            try:
                status, _ = shell.communicate(timeout=5)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            os.kill(demo, signal.SIGKILL)
        assert status == "130\n"
    assert "KeyboardInterrupt" not in (tmp_path / "err").read_text()


def test_hold_keeps_the_page_up_after_the_program(tmp_path: Path, script: str) -> None:
    with running(tmp_path, "run", "--hold", script, "0.01") as (process, url):
        wait_for_sleepers(url)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        assert ask(url, "/api/health")[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 7


PLAIN = """\
import os, signal, sys, threading, time
signal.signal(signal.SIGUSR1, lambda *_: print("signal", flush=True))
os.kill(os.getpid(), signal.SIGUSR1)
print(threading.current_thread() is threading.main_thread(), flush=True)
child = os.fork()
if not child:
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
threading.Thread(target=lambda: (time.sleep(0.5), print("thread", flush=True))).start()
"""


def test_program_has_the_main_thread_with_its_signals_forks_and_threads(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(PLAIN)
    command = [sys.executable, "-m", "greenscope", "run", "--port", "0", "plain.py"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "signal\nTrue\n3\nthread\n")
    assert result.stderr.count("\n") == 1


THREAD = """\
import sys, threading
from greenscope.runtime import joinall, sleep, spawn
def work():
    joinall([spawn(sleep, 60) for _ in range(5)])
threading.Thread(target=work).start()
"""


def test_page_is_up_while_a_thread_goes_on_and_sigterm_ends_it(tmp_path: Path, script: str) -> None:
    Path(script).write_text(THREAD)
    with running(tmp_path, "run", "--token", "t" * 20, script) as (process, url):
        wait_for_sleepers(url)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=10) == ("", f"greenscope: {url}\n")
    assert process.returncode == -signal.SIGTERM


def test_sigterm_after_the_main_function_leaves_no_socket_file(tmp_path: Path, script: str) -> None:
    Path(script).write_text(THREAD + "print('ended', flush=True)\n")
    with running(tmp_path, "run", "--uds", str(tmp_path / "socket"), script) as (process, _):
        assert process.stdout is not None
        assert process.stdout.readline() == "ended\n"
        while process.poll() is None:  # the main function has ended, or is just about to: then a second one would kill
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
    assert not (tmp_path / "socket").exists()


FORK = """\
import os, sys
child = os.fork()
if not child:
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_forked_child_does_not_hold_and_nobody_is_warned_of_our_thread(tmp_path: Path, script: str) -> None:
    Path(script).write_text(FORK)
    with running(tmp_path, "run", "--hold", script) as (process, url):
        assert process.stdout is not None
        assert process.stdout.readline() == "3\n"
        with pytest.raises(subprocess.TimeoutExpired):  # it holds now: an interrupt of the program's own end is 130
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10) == ("", f"greenscope: {url}\n")
    assert process.returncode == 0


@pytest.mark.parametrize("place", ["missing/url", "folder"])
def test_url_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path, script: str, place: str) -> None:
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    command = [sys.executable, "-m", "greenscope", "run", "--uds", "socket", "--url-file", place, script, "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=tmp_path)
    assert result.returncode == 2
    assert f"--url-file: cannot write {place}" in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_unix_socket_needs_no_token(tmp_path: Path, script: str) -> None:
    folder = tmp_path / "own"
    folder.mkdir(mode=0o700)
    with running(tmp_path, "run", "--uds", str(folder / "socket"), script, "30") as (_, url):
        assert url == f"unix:{folder / 'socket'}"
        assert os.stat(folder / "socket").st_mode & 0o777 == 0o600


def test_busy_port_is_an_error_without_a_traceback(tmp_path: Path, script: str) -> None:
    with running(tmp_path, "run", script, "30") as (_, url):
        port = urllib.parse.urlsplit(url).port
        command = [sys.executable, "-m", "greenscope", "run", "--port", str(port), script, "1"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert result.returncode == 2
    assert str(port) in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["run"], "SCRIPT"),
        (["run", "-m", ""], "-m:"),
        (["run", "no-such-file.py"], "no-such-file.py"),
        (["run", "--port", "70000", "x.py"], "70000"),
        (["run", "--no-patch", "x.py"], "--gevent"),
        (["demo", "/no/such/folder"], "/no/such/folder"),
        (["demo", ""], "PATH"),
        (["run", "--url-file", "", "x.py"], "--url-file: it is empty"),
        (["run", "--uds", "", "x.py"], "--uds: it is empty"),
        (["run", "--uds", "/", "x.py"], "uds: '/' does not fit"),
        (["run", "--audit", "", "x.py"], "--audit: it is empty"),
        (["run", "--audit", "/no/such/file", "x.py"], "audit: cannot open /no/such/file"),
        (["run", "--host", "", "x.py"], "host: ''"),
        (["serve", ""], "DIRECTORY: it is empty"),
        (["serve", "/no/such/folder"], "/no/such/folder"),
        (["demo", "--passes", "-1"], "--passes"),
        (["run", "--token", "", "x.py"], "token"),
        (["run", "--por", "0", "x.py"], "--por"),
        (["run", "--accounting", "much", "x.py"], "--accounting"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_typing_mistake_is_named_without_a_traceback(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.py").touch()
    try:
        status = main(words)
    except SystemExit as end:
        status = int(str(end.code))
    assert status == 2
    err = capsys.readouterr().err
    assert named in err
    assert "Traceback" not in err


def test_options_behind_the_script_are_the_scripts() -> None:
    own, rest = split_program(["run", "--port", "0", "x.py", "--port", "1", "-m", "y"])
    assert (own, rest) == (["run", "--port", "0", "x.py"], ["--port", "1", "-m", "y"])
    own, rest = split_program(["run", "--accounting", "off", "x.py", "--accounting", "full"])
    assert (own, rest) == (["run", "--accounting", "off", "x.py"], ["--accounting", "full"])
    own, rest = split_program(["run", "--read-only", "-m", "package.module", "--token", "z"])
    assert (own, rest) == (["run", "--read-only", "-m", "package.module"], ["--token", "z"])
    assert build_parser().parse_args(own).module == "package.module"
    assert split_program(["run", "-mpackage", "--token", "z"]) == (["run", "-m", "package"], ["--token", "z"])
