"""Descriptors, forks and children by pid: only the greenlet waits."""

import os as std
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greenscope.runtime import os, reinit, sleep, spawn


def child(program: str = "pass") -> int:
    """Start a Python that runs `program`; returns its pid."""
    return os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", program], {})


def test_nb_read_waits_for_bytes_and_nb_write_for_room() -> None:
    reader, writer = std.pipe()
    try:
        assert os.make_nonblocking(reader) is True
        assert os.make_nonblocking(reader) is None
        os.make_nonblocking(writer)
        reading = spawn(os.nb_read, reader, 100)
        sleep(0)
        assert not reading.ready()
        assert os.nb_write(writer, b"bytes") == 5
        assert reading.get(timeout=5) == b"bytes"
        while True:
            try:
                std.write(writer, bytes(65536))
            except BlockingIOError:
                break
        writing = spawn(os.nb_write, writer, b"more")
        sleep(0)
        assert not writing.ready()
        while not writing.ready():
            os.nb_read(reader, 65536)
            sleep(0)
        assert writing.value == 4
    finally:
        std.close(reader)
        os.close(writer)


def test_tp_read_and_tp_write_do_files(tmp_path: Path) -> None:
    fd = std.open(tmp_path / "file", std.O_RDWR | std.O_CREAT)
    try:
        assert os.tp_write(fd, b"content") == 7
        std.lseek(fd, 0, std.SEEK_SET)
        assert os.tp_read(fd, 100) == b"content"
        assert os.tp_read(fd, 100) == b""
    finally:
        std.close(fd)


def test_tp_read_raises_the_error_in_the_caller() -> None:
    with pytest.raises(OSError, match="descriptor"):
        os.tp_read(99999, 1)


@pytest.mark.parametrize("without_pidfd", [False, True])
@pytest.mark.parametrize("anyhow", ["pid", "group", "any"])
def test_waitpid_waits_while_others_run(monkeypatch: pytest.MonkeyPatch, without_pidfd: bool, anyhow: str) -> None:
    if without_pidfd:
        monkeypatch.delattr(std, "pidfd_open", raising=False)
    pid = child("import time; time.sleep(60)") if anyhow == "pid" else child("raise SystemExit(7)")
    if anyhow == "pid":
        waiting = spawn(os.waitpid, pid, 0)
        sleep(0)
        assert not waiting.ready()
        std.kill(pid, 9)
        assert waiting.get(timeout=10) == (pid, 9)
    else:
        found, status = spawn(os.waitpid, 0 if anyhow == "group" else -1, 0).get(timeout=10)
        assert (found, std.waitstatus_to_exitcode(status)) == (pid, 7)


def test_waitpid_without_waiting_and_without_a_child() -> None:
    pid = child("import time; time.sleep(60)")
    assert os.waitpid(pid, std.WNOHANG) == (0, 0)
    std.kill(pid, 9)
    assert os.waitpid(pid, 0) == (pid, 9)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def test_waitpid_leaves_no_descriptor_when_it_is_killed() -> None:
    pid = child("import time; time.sleep(60)")
    before = len(std.listdir("/dev/fd"))
    waiting = spawn(os.waitpid, pid, 0)
    sleep(0)
    waiting.kill()
    assert len(std.listdir("/dev/fd")) <= before
    std.kill(pid, 9)
    assert os.waitpid(pid, 0) == (pid, 9)


def test_fork_gives_the_child_a_fresh_hub() -> None:
    program = """
import os
from greenscope.runtime import fork, reinit, sleep, spawn
from greenscope.runtime.os import waitpid, fork_gevent
others = []
spawn(lambda: (sleep(0.01), others.append(os.getpid())))
sleep(0)
for way in (fork, fork_gevent):
    pid = way()
    if not pid:
        reinit()
        sleep(0.02)
        os._exit(len(others) and others.count(os.getpid()))
    assert waitpid(pid, 0) == (pid, 0)
sleep(0.02)
print(others == [os.getpid()])
"""
    done: Any = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "True\n"


def test_reinit_takes_nothing_away_in_the_parent() -> None:
    waiting = spawn(sleep, 0.001)
    sleep(0)
    reinit()
    waiting.get(timeout=5)
