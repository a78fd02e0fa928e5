"""Cooperative sockets and their descriptors: closed, copied, moved, forked, and numbers that come again."""

import errno
import os
import socket as std
import subprocess
import sys
import weakref

import pytest

from greenscope.runtime import sleep, socket, spawn, spawn_later
from greenscope.runtime.exceptions import ConcurrentObjectUseError
from greenscope.runtime.hub import get_hub
from greenscope.runtime.thread import RuntimeThread
from tests.runtime.sockets.pairs import SHORT, Pair


def test_it_is_a_standard_socket_with_own_timeouts(pair: Pair) -> None:
    assert isinstance(pair[0], std.socket)
    assert pair[0].gettimeout() is None
    assert pair[0].getblocking()
    pair[0].settimeout(3)
    assert pair[0].timeout == 3.0
    pair[0].setblocking(False)
    assert pair[0].gettimeout() == 0.0
    assert not os.get_blocking(pair[1].fileno())
    with pytest.raises(ValueError, match="Timeout value out of range"):
        pair[0].settimeout(-1)


def test_default_timeout_is_taken_over() -> None:
    std.setdefaulttimeout(7)
    try:
        with socket.socket() as made:
            assert made.gettimeout() == 7
    finally:
        std.setdefaulttimeout(None)


def test_close_wakes_who_waits_with_an_error(pair: Pair) -> None:
    reading = spawn(pair[0].recv, 1)
    sleep(0)
    pair[0].close()
    reading.join(5)
    assert isinstance(reading.exception, OSError)
    assert reading.exception.errno == errno.EBADF
    assert get_hub().poller.refs == 0
    with pytest.raises(OSError, match="descriptor"):
        pair[0].recv(1)


def test_descriptor_number_that_is_used_again_starts_afresh() -> None:
    for _ in range(3):
        one, two = socket.socketpair()
        reading = spawn(one.recv, 1)
        sleep(0)
        two.send(b"x")
        assert reading.get(timeout=5) == b"x"
        if _ == 1:
            os.close(one.detach())
            two.close()
        else:
            one.close()
            two.close()


def test_socket_that_was_forgotten_open_does_not_disturb_the_next_one() -> None:
    one, two = socket.socketpair()
    one.settimeout(SHORT)
    with pytest.raises(TimeoutError):
        one.recv(1)
    watched = weakref.ref(one)
    pair = [one, two]
    del one, two
    with pytest.warns(ResourceWarning):
        pair.clear()
    assert watched() is None
    assert get_hub().poller._interests == {}


def test_socket_that_was_closed_long_ago_does_not_disturb_who_has_its_number_now() -> None:
    old, other = socket.socketpair()
    number = old.fileno()
    old.close()
    other.close()
    one, two = socket.socketpair()
    assert number in (one.fileno(), two.fileno())
    with one, two:
        readers = [spawn(one.recv, 1), spawn(two.recv, 1)]
        sleep(0)
        del old, other
        one.sendall(b"a")
        two.sendall(b"b")
        assert [reader.get(timeout=5) for reader in readers] == [b"b", b"a"]


def test_descriptors_travel_over_unix_sockets(pair: Pair) -> None:
    read, write = os.pipe()
    reading = spawn(lambda: std.recv_fds(pair[0], 10, 1))
    sleep(0)
    std.send_fds(pair[1], [b"fd"], [write])
    _, (copy,), _, _ = reading.get(timeout=5)
    os.write(copy, b"x")
    assert os.read(read, 1) == b"x"
    for fd in (read, write, copy):
        os.close(fd)


def test_dup_detach_fromfd_and_fileno(pair: Pair) -> None:
    copy = pair[0].dup()
    again = socket.fromfd(pair[0].fileno(), pair[0].family, pair[0].type)
    moved = socket.socket(fileno=again.detach())
    assert again.fileno() == -1
    assert (moved.family, moved.type) == (pair[0].family, pair[0].type)
    for one in (copy, moved):
        assert isinstance(one, socket.socket)
        pair[1].sendall(b"x")
        assert spawn(one.recv, 1).get(timeout=5) == b"x"
        one.close()


def test_socket_moves_to_another_thread_s_hub(pair: Pair) -> None:
    reading = spawn(pair[0].recv, 1)
    sleep(0)
    pair[1].send(b"a")
    assert reading.get(timeout=5) == b"a"
    with RuntimeThread() as thread:
        future = thread.submit(pair[0].recv, 1)
        spawn_later(0.001, pair[1].send, b"b")
        assert future.result(5) == b"b"
        stuck = thread.submit(pair[0].recv, 1)
        thread.call(sleep, 0)
        with pytest.raises(ConcurrentObjectUseError, match="another thread"):
            pair[0].recv(1)
        pair[0].close()
        with pytest.raises(OSError, match="closed in another greenlet"):
            stuck.result(5)


def test_waits_on_anybody_s_descriptor() -> None:
    read, write = os.pipe()
    with pytest.raises(TimeoutError):
        socket.wait_read(read, SHORT)
    with pytest.raises(KeyError):
        socket.wait_read(read, SHORT, KeyError())
    socket.wait_write(write, 1)
    socket.wait_readwrite(write, 1)
    waiting = spawn(socket.wait_read, read)
    sleep(0)
    os.write(write, b"x")
    waiting.get(timeout=5)
    os.close(read)
    os.close(write)


FORK = """
import os, warnings
warnings.simplefilter("ignore")
from greenscope.runtime import socket, sleep, spawn
one, two = socket.socketpair()
reading = spawn(one.recv, 10)
sleep(0)
pid = os.fork()
if pid == 0:
    again = spawn(one.recv, 10)
    sleep(0)
    two.sendall(b"child")
    os._exit(len(again.get(timeout=5)))
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
two.sendall(b"parent")
print(reading.get(timeout=5))
"""


def test_forked_child_uses_a_socket_on_a_hub_of_its_own() -> None:
    ended = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=20)
    assert (ended.stdout, ended.stderr) == ("b'parent'\n", "")


EXIT = """
import threading, time
from greenscope.runtime import get_hub, select, sleep, socket, spawn, spawn_later, subprocess
from greenscope.runtime.thread import RuntimeThread
server = socket.create_server(("127.0.0.1", 0))
def serve():
    while True:
        echo, _ = server.accept()
        spawn(echo.recv, 100)
spawn(serve)
clients = [socket.create_connection(server.getsockname()) for _ in range(3)]
for client in clients:
    spawn(client.recv, 100)
spawn(select.select, [server], [], [])
spawn(get_hub().threadpool.apply, time.sleep, (30,))
spawn(subprocess.run, ["sleep", "0.5"])
spawn_later(30, print)
thread = RuntimeThread().start()
thread.submit(socket.create_connection(server.getsockname()).recv, 100)
thread.submit(lambda: get_hub().threadpool.apply(time.sleep, (30,)))
sleep(0.1)
print("done")
"""


def test_interpreter_exit_with_everything_running_is_quiet() -> None:
    ended = subprocess.run([sys.executable, "-c", EXIT], capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")
