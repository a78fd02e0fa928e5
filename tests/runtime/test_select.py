"""select() and poll() in one greenlet while others run."""

import errno
import os
import select as std
import socket as std_socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenscope.runtime import get_hub, select, sleep, socket, spawn

SHORT = 0.01


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for fd in (read, write):
        try:
            os.close(fd)
        except OSError:
            pass


Pipe = tuple[int, int]


def test_select_returns_what_is_ready_at_once(pipe: Pipe) -> None:
    assert select.select([pipe[0]], [pipe[1]], []) == ([], [pipe[1]], [])
    os.write(pipe[1], b"x")
    assert select.select([pipe[0]], [pipe[1]], [], 0) == ([pipe[0]], [pipe[1]], [])


def test_select_parks_until_something_is_ready(pipe: Pipe) -> None:
    selecting = spawn(select.select, [pipe[0]], [], [])
    sleep(0)
    assert not selecting.ready()
    os.write(pipe[1], b"x")
    assert selecting.get(timeout=5) == ([pipe[0]], [], [])
    assert get_hub().poller.refs == 0


def test_select_times_out(pipe: Pipe) -> None:
    assert select.select([pipe[0]], [], [], SHORT) == ([], [], [])
    assert select.select([], [], [], SHORT) == ([], [], [])
    assert get_hub().poller.refs == 0


def test_select_without_time_gives_others_a_turn(pipe: Pipe) -> None:
    turns: list[int] = []
    spawn(turns.append, 1)
    assert select.select([pipe[0]], [], [], 0) == ([], [], [])
    assert turns == [1]


def test_select_takes_our_sockets_while_they_are_read_elsewhere() -> None:
    one, two = socket.socketpair()
    with one, two:
        reading = spawn(one.recv, 10)
        selecting = spawn(select.select, [one], [], [])
        sleep(0)
        two.sendall(b"x")
        assert reading.get(timeout=5) == b"x"
        two.sendall(b"y")
        assert selecting.get(timeout=5) == ([one], [], [])
        assert one.recv(10) == b"y"
        again = spawn(one.recv, 10)
        sleep(0)
        two.sendall(b"z")
        assert again.get(timeout=5) == b"z"


def test_select_reports_urgent_data() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as one:
        two, _ = server.accept()
        with two:
            selecting = spawn(select.select, [two], [], [two], 5)
            sleep(0)
            one.send(b"!", std_socket.MSG_OOB)
            assert selecting.get(timeout=5)[2] == [two]


@pytest.mark.parametrize(
    ("lists", "error"),
    [
        (([-1], [], []), ValueError),
        (([object()], [], []), TypeError),
        ((3, [], []), TypeError),
        (([], [], [], -1), ValueError),
    ],
)
def test_select_refuses_what_the_standard_library_refuses(lists: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        select.select(*lists)


def test_closed_descriptor_is_an_error(pipe: Pipe) -> None:
    os.close(pipe[0])
    with pytest.raises(OSError, match="descriptor") as caught:
        select.select([pipe[0]], [], [], SHORT)
    assert caught.value.errno == errno.EBADF


def test_regular_files_are_always_ready(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    with open(path) as file:
        assert select.select([file], [file], []) == ([file], [file], [])


def test_poll_parks_until_something_is_ready(pipe: Pipe) -> None:
    poller = select.poll()
    poller.register(pipe[0], std.POLLIN)
    assert poller.poll(0) == []
    assert poller.poll(SHORT * 1000) == []
    polling = spawn(poller.poll)
    sleep(0)
    os.write(pipe[1], b"x")
    assert polling.get(timeout=5) == [(pipe[0], std.POLLIN)]
    poller.register(pipe[1])
    assert sorted(poller.poll()) == sorted([(pipe[0], std.POLLIN), (pipe[1], std.POLLOUT)])
    poller.modify(pipe[1], 0)
    poller.unregister(pipe[0])
    assert poller.poll(SHORT * 1000) == []
    with pytest.raises(KeyError):
        poller.unregister(pipe[0])
    with pytest.raises(FileNotFoundError):
        poller.modify(pipe[0], 1)


def test_poll_tells_of_a_hang_up(pipe: Pipe) -> None:
    poller = select.poll()
    poller.register(pipe[0], std.POLLIN)
    polling = spawn(poller.poll, -1)
    sleep(0)
    os.close(pipe[1])
    assert polling.get(timeout=5) == [(pipe[0], std.POLLHUP)]


def test_close_ends_a_select_and_a_poll_elsewhere() -> None:
    for _ in range(2):
        one, two = socket.socketpair()
        number = one.fileno()
        poller = select.poll()
        poller.register(one, std.POLLIN)
        selecting = spawn(select.select, [one], [], [])
        polling = spawn(poller.poll)
        sleep(0)
        one.close()
        selecting.join(5)
        assert isinstance(selecting.exception, ValueError | OSError)
        assert polling.get(timeout=5) == [(number, std.POLLNVAL)]
        two.close()
        assert get_hub().poller.refs == 0


def test_kill_of_a_select_leaves_no_watch(pipe: Pipe) -> None:
    selecting = spawn(select.select, pipe, [], [])
    sleep(0)
    selecting.kill()
    assert get_hub().poller.refs == 0


def test_names_of_the_standard_library_are_there() -> None:
    assert {name for name in dir(std) if not name.startswith("_")} <= set(dir(select))
    assert select.error is OSError
