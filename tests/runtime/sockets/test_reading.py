"""Cooperative sockets: who reads waits alone, in time, and to the end."""

import socket as std
from collections.abc import Callable
from typing import Any

import pytest

from greenscope.runtime import Timeout, getcurrent, sleep, socket, spawn
from greenscope.runtime.exceptions import ConcurrentObjectUseError
from greenscope.runtime.hub import get_hub
from tests.runtime.sockets.pairs import SHORT, Pair


def test_other_greenlets_run_while_one_waits(pair: Pair) -> None:
    order: list[str] = []

    def reader() -> None:
        order.append("reads")
        assert pair[0].recv(10) == b"hello"
        order.append("has read")

    reading = spawn(reader)
    sleep(0)
    order.append("writes")
    pair[1].sendall(b"hello")
    reading.get(timeout=5)
    assert order == ["reads", "writes", "has read"]


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.recv(1),
        lambda s: s.recv_into(bytearray(1)),
        lambda s: s.recvfrom(1),
        lambda s: s.recvfrom_into(bytearray(1)),
        lambda s: s.recvmsg(1),
        lambda s: s.recvmsg_into([bytearray(1)]),
        lambda s: s.accept(),
    ],
)
def test_reads_time_out_and_never_block_when_told(call: Callable[[Any], Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(type=std.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        tried = server if "accept" in call.__code__.co_names else datagrams
        tried.settimeout(SHORT)
        with pytest.raises(TimeoutError, match="timed out"):
            call(tried)
        tried.setblocking(False)
        with pytest.raises(BlockingIOError):
            call(tried)
    assert get_hub().poller.refs == 0


def test_timeout_of_a_stream_leaves_it_usable(tcp: Pair) -> None:
    one, two = tcp
    one.settimeout(SHORT)
    for n in range(3):  # the second time it knows without asking the kernel that nothing is there
        two.sendall(b"%d" % n)
        assert one.recv(10) == b"%d" % n
        with pytest.raises(TimeoutError):
            one.recv(10)
    with Timeout(SHORT, False):
        one.settimeout(None)
        one.recv(10)
    one.setblocking(False)
    with pytest.raises(BlockingIOError):
        one.recv(10)
    two.sendall(b"x")
    assert one.recv(10) == b"x"


def test_nonblocking_stream_sees_what_comes_without_a_turn_of_the_hub(tcp: Pair) -> None:
    one, two = tcp
    reading = spawn(one.recv, 10)
    sleep(0)
    two.sendall(b"a")
    assert reading.get(timeout=5) == b"a"
    one.setblocking(False)
    two.sendall(b"b")
    assert one.recv(10) == b"b"


def test_stream_that_ends_with_its_last_bytes_is_read_to_the_end(tcp: Pair) -> None:
    one, two = tcp
    reading = spawn(lambda: [one.recv(100) for _ in range(3)])
    sleep(0)
    two.sendall(b"first")
    while not reading.ready() and one.getsockopt(std.SOL_SOCKET, std.SO_ERROR) == 0:
        sleep(0)
        two.close()
    assert reading.get(timeout=5) == [b"first", b"", b""]


def test_urgent_data_does_not_stop_a_stream(tcp: Pair) -> None:
    one, two = tcp
    reading = spawn(lambda: (one.recv(100), one.recv(100)))
    sleep(0)
    two.send(b"a")
    two.send(b"!", std.MSG_OOB)
    two.send(b"b")
    assert b"".join(reading.get(timeout=5)) == b"ab"


def test_both_directions_are_waited_for_at_once(pair: Pair) -> None:
    one, two = pair
    reading = spawn(one.recv, 10)
    writing = spawn(one.sendall, b"x" * (1 << 22))
    sleep(0)
    two.sendall(b"hi")
    assert reading.get(timeout=5) == b"hi"
    assert not writing.ready()
    left = 1 << 22
    while left:
        left -= len(two.recv(1 << 20))
    writing.get(timeout=5)


def test_a_second_reader_is_refused(pair: Pair) -> None:
    first = spawn(pair[0].recv, 1)
    sleep(0)
    with pytest.raises(ConcurrentObjectUseError, match="another greenlet"):
        pair[0].recv(1)
    pair[1].send(b"a")
    assert first.get(timeout=5) == b"a"


def test_kill_of_a_reader_leaves_the_socket_usable(pair: Pair) -> None:
    reading = spawn(pair[0].recv, 1)
    sleep(0)
    reading.kill()
    pair[1].send(b"a")
    assert pair[0].recv(1) == b"a"


def test_makefile_reads_and_writes_lines(tcp: Pair) -> None:
    one: Any = tcp[0]
    two = tcp[1]
    writer: Any = two.makefile("w", encoding="utf-8")
    reader: Any = one.makefile("r", encoding="utf-8")
    reading = spawn(lambda: [next(reader), next(reader)])
    sleep(0)
    print("grün", file=writer, flush=True)
    sleep(0)
    print("zwei", file=writer, flush=True)
    assert reading.get(timeout=5) == ["grün\n", "zwei\n"]
    one.close()
    assert one.closed
    print("drei", file=writer, flush=True)
    assert next(reader) == "drei\n"  # the file holds the connection
    reader.close()
    assert one.fileno() == -1
    writer.close()


def test_what_a_parked_greenlet_waits_for_is_shown(pair: Pair) -> None:
    reading = spawn(pair[0].recv, 1)
    sleep(0)
    carrier = reading._carrier
    assert carrier is not None
    assert carrier.waiting_on.waits_as == "read"
    assert str(pair[0].fileno()) in repr(carrier.waiting_on)
    reading.kill()
    assert getcurrent() is not reading


def test_messages_take_their_arguments_by_name_and_wait(pair: Pair) -> None:
    reader, writer = pair
    reading = spawn(reader.recvmsg, 100, ancbufsize=0, flags=0)
    sleep(0)
    assert not reading.ready()
    assert writer.sendmsg(buffers=[b"one", b"two"], flags=0) == 6
    assert reading.get(timeout=5)[0] == b"onetwo"
    into = spawn(reader.recvmsg_into, [bytearray(3), bytearray(3)], flags=0)
    sleep(0)
    writer.sendmsg([b"three"])
    assert into.get(timeout=5)[0] == 5
