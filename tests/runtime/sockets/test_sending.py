"""Cooperative sockets: all is sent, of whatever kind, or the time is over."""

import ctypes
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenscope.runtime import socket, spawn
from tests.runtime.sockets.pairs import SHORT, Pair, tcp_pair


@pytest.mark.parametrize("make", [socket.socketpair, tcp_pair])
def test_sendall_of_much_waits_for_the_reader(make: Callable[[], Pair]) -> None:
    one, two = make()
    data = os.urandom(1 << 16) * 64
    received = bytearray()

    def reader() -> None:
        while chunk := two.recv(100_000):
            received.extend(chunk)

    reading = spawn(reader)
    one.sendall(data)
    one.sendall(memoryview(data)[:1000])
    one.sendall(bytearray(b"tail"))
    one.close()
    reading.get(timeout=10)
    two.close()
    assert received == data + data[:1000] + b"tail"


def test_sendall_times_out_as_a_whole(pair: Pair) -> None:
    pair[0].settimeout(SHORT)
    with pytest.raises(TimeoutError):
        pair[0].sendall(b"x" * (1 << 24))
    pair[0].setblocking(False)
    with pytest.raises(BlockingIOError):
        pair[0].sendall(b"x")
    with pytest.raises(BlockingIOError):
        pair[0].send(b"x")


def test_sendall_takes_arrays_by_their_bytes(pair: Pair) -> None:
    from array import array

    pair[0].sendall(array("I", [1, 2, 3]))
    assert len(pair[1].recv(100)) == 3 * array("I").itemsize


def test_sendall_takes_structures(pair: Pair) -> None:
    class Structure(ctypes.Structure):
        _fields_ = [("x", ctypes.c_int), ("filler", ctypes.c_char * (1 << 22))]

    pair[0].sendall(b"")
    writing = spawn(pair[0].sendall, Structure(1))
    left = ctypes.sizeof(Structure)
    while left:
        left -= len(pair[1].recv(1 << 20))
    writing.get(timeout=5)


def test_send_may_have_a_timeout_of_its_own(pair: Pair) -> None:
    one: Any = pair[0]
    while one.send(b"x" * 100_000) == 100_000:
        pass
    with pytest.raises(TimeoutError):
        one.send(b"x" * 100_000, timeout=SHORT)
    with pytest.raises(BlockingIOError):
        one.send(b"x" * 100_000, timeout=0.0)


def test_sendfile_sends_regular_files_and_others(tmp_path: Any, tcp: Pair) -> None:
    one, two = tcp
    data = os.urandom(300_000)
    path = os.path.join(tmp_path, "f")
    Path(path).write_bytes(data)
    received = bytearray()

    def reader() -> None:
        while chunk := two.recv(100_000):
            received.extend(chunk)

    reading = spawn(reader)
    with open(path, "rb") as file:
        assert one.sendfile(file, 10, 250_000) == 250_000
        assert file.tell() == 250_010
    assert one.sendfile(io.BytesIO(b"memory")) == 6
    one.close()
    reading.get(timeout=5)
    assert received == data[10:250_010] + b"memory"
