# mypy: disable-error-code="func-returns-value"
"""Child processes for which only their greenlet waits."""

import os
import signal
import subprocess as std
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenscope.runtime import Timeout, get_hub, iwait, joinall, sleep, spawn, subprocess, wait
from greenscope.runtime.thread import RuntimeThread

SHORT = 0.02


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    with Timeout(5):
        while get_hub().poller.refs or get_hub().holds:
            sleep(0.001)
    assert (get_hub().poller.refs, get_hub().holds) == (0, 0)


@pytest.fixture(params=["pidfd", "thread"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to learn of a child's end."""
    if request.param == "thread":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    elif not hasattr(os, "pidfd_open"):
        pytest.skip("no pidfd here")
    return str(request.param)


def test_wait_parks_only_the_greenlet(way: str) -> None:
    popen = subprocess.Popen(["sleep", "0.02"])
    ticks: list[int] = []
    ticking = spawn(lambda: [(sleep(0), ticks.append(n)) for n in range(3)])
    assert popen.wait() == 0
    assert ticking.ready()
    assert popen.wait() == 0
    assert isinstance(popen, std.Popen)


def test_wait_times_out_and_may_be_repeated(way: str) -> None:
    popen = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        popen.wait(timeout=SHORT)
    assert popen.stdin is not None
    popen.stdin.close()
    assert popen.wait(timeout=5) == 0


def test_several_greenlets_wait_for_one_child(way: str) -> None:
    popen = subprocess.Popen(["sleep", "0.02"])
    waiting = [spawn(popen.wait) for _ in range(3)]
    joinall(waiting, timeout=5, raise_error=True)
    assert [one.value for one in waiting] == [0, 0, 0]


def test_runtime_s_wait_takes_children_beside_greenlets(way: str) -> None:
    popen = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert popen.stdin is not None
    greenlet = spawn(popen.stdin.close)  # so the greenlet is done first, however busy the machine is
    assert wait([popen, greenlet], timeout=5) == [greenlet, popen]
    assert popen.returncode == 0
    with iwait([popen]) as done:
        assert list(done) == [popen]


def test_running_child_keeps_the_loop_alive_and_is_reaped(way: str) -> None:
    popen = subprocess.Popen(["sleep", "0.02"])
    assert wait()
    assert popen.returncode == 0


def test_unlinked_callback_is_not_called() -> None:
    called: list[Any] = []
    popen = subprocess.Popen(["true"])
    popen.rawlink(called.append)
    popen.unlink(called.append)
    popen.wait()
    sleep(0)
    assert called == []
    popen.rawlink(called.append)
    sleep(0)
    sleep(0)
    assert called == [popen]


def test_poll_is_right_without_a_turn_of_the_hub(way: str) -> None:
    popen = subprocess.Popen(["true"])
    deadline = time.monotonic() + 5
    while popen.poll() is None:
        assert time.monotonic() < deadline
    assert popen.poll() == popen.returncode == 0


def test_killed_child_tells_its_signal(way: str) -> None:
    popen = subprocess.Popen(["sleep", "100"])
    popen.kill()
    assert popen.wait(timeout=5) == -signal.SIGKILL
    assert "returncode=-9" in repr(popen)


def test_child_that_cannot_start_raises_as_usual() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        subprocess.Popen(["/no/such/program"], stdout=subprocess.PIPE)
    with pytest.raises(TypeError):
        subprocess.Popen(["true"], bufsize="many")  # type: ignore[arg-type]
    assert len(os.listdir("/proc/self/fd")) == before


def test_nothing_of_a_child_is_left_open(way: str) -> None:
    subprocess.run(["true"], capture_output=True)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        subprocess.run(["true"], capture_output=True)
    assert len(os.listdir("/proc/self/fd")) == before


def test_pipes_are_cooperative_files() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as popen:
        assert popen.stdin is not None
        assert popen.stdout is not None
        reading = spawn(popen.stdout.readline)
        sleep(0)
        assert not reading.ready()
        popen.stdin.write(b"hello\n")
        popen.stdin.flush()
        assert reading.get(timeout=5) == b"hello\n"
        popen.stdin.close()
        assert popen.stdout.read() == b""
    assert popen.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sent", "expected"),
    [
        ({"text": True}, "grün\r\n", "grün\n"),
        ({"universal_newlines": True}, "a\rb\n", "a\nb\n"),
        ({"encoding": "latin-1"}, "\xe4", "\xe4"),
        ({"encoding": "ascii", "errors": "replace"}, "\xe4", "?"),
        ({"text": True, "bufsize": 1}, "line\n", "line\n"),
        ({"bufsize": 0}, b"\xff", b"\xff"),
        ({"bufsize": 10}, b"x" * 100, b"x" * 100),
        ({}, b"\r\n", b"\r\n"),
    ],
)
def test_text_and_buffers_mean_what_they_mean_in_the_standard_library(arguments: Any, sent: Any, expected: Any) -> None:
    arguments.update(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with subprocess.Popen(["cat"], **arguments) as popen:
        output, errors = popen.communicate(sent)
    assert (output, errors) == (expected, None)
    with std.Popen(["cat"], **arguments) as reference:
        assert reference.communicate(sent)[0] == output


def test_reading_line_by_line_in_text_mode() -> None:
    code = "import sys\nfor n in range(3): print(n, flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as popen:
        assert popen.stdout is not None
        assert list(popen.stdout) == ["0\n", "1\n", "2\n"]


def test_communicate_moves_much_in_all_directions() -> None:
    data = os.urandom(1 << 16) * 20
    done = subprocess.run(["sh", "-c", "tee /dev/stderr"], input=data, capture_output=True, timeout=20)
    assert (done.stdout, done.stderr) == (data, data)


def test_communicate_ignores_that_the_child_does_not_read() -> None:
    done = subprocess.run(["sh", "-c", "echo x; exit 3"], input=b"y" * (1 << 20), capture_output=True, timeout=20)
    assert (done.returncode, done.stdout) == (3, b"x\n")


def test_communicate_may_go_on_after_its_timeout_and_loses_nothing() -> None:
    code = "echo first; read line; echo $line"
    popen = subprocess.Popen(
        ["sh", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    stdin: Any = popen.stdin
    popen.stdin = None  # it stays ours
    output: Any = None
    with Timeout(5):
        while not output:
            with pytest.raises(subprocess.TimeoutExpired) as caught:
                popen.communicate(timeout=SHORT)
            output = caught.value.output
    assert output == b"first\n"
    stdin.write("second\n")
    stdin.close()
    assert popen.communicate(timeout=5) == ("first\nsecond\n", "")


def test_run_kills_at_its_timeout() -> None:
    begin = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        subprocess.run(["sh", "-c", "echo part; exec sleep 100"], capture_output=True, timeout=0.2)
    assert caught.value.stdout == b"part\n"
    assert time.monotonic() - begin < 5


def test_killed_greenlet_kills_the_child_that_it_runs() -> None:
    def main() -> None:
        subprocess.run(["sleep", "100"], capture_output=True)

    running = spawn(main)
    with Timeout(5):
        while not get_hub().poller.refs:
            sleep(0.001)
    running.kill(timeout=5)
    assert running.dead


def test_run_checks_and_refuses_as_the_standard_library_does() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        subprocess.run(["sh", "-c", "echo no; exit 4"], check=True, stdout=subprocess.PIPE)
    assert (caught.value.returncode, caught.value.output) == (4, b"no\n")
    with pytest.raises(ValueError, match="capture_output"):
        subprocess.run(["true"], capture_output=True, stdout=subprocess.PIPE)
    with pytest.raises(ValueError, match="stdin and input"):
        subprocess.run(["true"], input=b"", stdin=subprocess.PIPE)
    with pytest.raises(ValueError, match="stdout argument"):
        subprocess.check_output(["true"], stdout=subprocess.PIPE)


def test_small_functions() -> None:
    assert subprocess.call(["sh", "-c", "exit 5"]) == 5
    assert subprocess.check_call(["true"]) == 0
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.check_call("exit 2", shell=True)
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.call(["sleep", "100"], timeout=SHORT)
    assert subprocess.check_output(["echo", "hi"]) == b"hi\n"
    assert subprocess.check_output(["cat"], input=None) == b""
    assert subprocess.check_output(["cat"], input=None, text=True) == ""
    assert subprocess.getstatusoutput("echo a; echo b >&2; exit 3") == (3, "a\nb")
    assert subprocess.getoutput("echo a") == "a"
    assert subprocess.list2cmdline(["a b", "c"]) == '"a b" c'


def test_stdout_may_be_a_file_or_nothing(tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as file:
        subprocess.run(["echo", "hi"], stdout=file, stderr=subprocess.DEVNULL, check=True)
    assert (tmp_path / "out").read_bytes() == b"hi\n"


def test_many_children_at_once() -> None:
    begun = [spawn(subprocess.check_output, ["echo", str(n)]) for n in range(30)]
    joinall(begun, timeout=20, raise_error=True)
    assert [one.value for one in begun] == [b"%d\n" % n for n in range(30)]


def test_child_is_waited_for_in_another_thread(way: str) -> None:
    popen = subprocess.Popen(["sleep", "0.02"])
    with RuntimeThread() as thread:
        assert thread.submit(popen.wait, 5).result(10) == 0
    with Timeout(5):
        while get_hub().poller.refs:
            sleep(0.001)


def test_child_with_open_pipes_that_is_let_go_leaves_no_greenlet() -> None:
    with pytest.raises(ZeroDivisionError):
        _ = run_and_fail()
    sleep(0)
    assert get_hub().poller.refs == 0


def run_and_fail() -> int:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as popen:
        stdin: Any = popen.stdin
        popen.stdin = None
        with pytest.raises(subprocess.TimeoutExpired):
            popen.communicate(timeout=SHORT)
        stdin.close()
        return 1 // 0


EXIT = """
from greenscope.runtime import sleep, spawn, subprocess
for _ in range(2):
    spawn(subprocess.run, ["sleep", "0.3"], capture_output=True)
sleep(0.05)
print("done")
"""


def test_interpreter_exit_with_children_running_is_quiet() -> None:
    ended = std.run([sys.executable, "-c", EXIT], capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


def test_leaving_the_block_ends_who_reads_or_writes_elsewhere() -> None:
    with subprocess.Popen(["sleep", "100"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as popen:
        stdin: Any = popen.stdin
        stdout: Any = popen.stdout
        reading = spawn(stdout.read)
        writing = spawn(stdin.write, b"x" * (1 << 20))
        sleep(0)
        popen.kill()
    assert popen.returncode == -signal.SIGKILL
    assert stdout.closed
    assert stdin.closed
    joinall([reading, writing], timeout=5)
    assert isinstance(reading.exception, OSError)
    assert writing.exception is not None
