"""Descriptors and the wake-up, without a hub."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from greenscope.runtime.poller import READ, WRITE, Poller, Watch


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, two = socket.socketpair()
    yield one, two
    one.close()
    two.close()


Pair = tuple[socket.socket, socket.socket]


def test_watch_fires_while_its_descriptor_is_ready(poller: Poller, pair: Pair) -> None:
    watch = poller.add(pair[0].fileno(), READ, print)
    assert poller.refs == 1
    assert poller.poll(0) == []
    pair[1].send(b"x")
    assert poller.poll(1) == [watch]
    assert poller.poll(1) == [watch]  # level triggered
    watch.stop()
    watch.stop()
    assert poller.poll(0) == []
    assert poller.refs == 0


def test_two_watches_of_one_descriptor_fire_apart(poller: Poller, pair: Pair) -> None:
    reading = poller.add(pair[0].fileno(), READ, print)
    writing = poller.add(pair[0].fileno(), WRITE, print)
    assert poller.poll(1) == [writing]
    writing.stop()
    assert poller.poll(0) == []
    pair[1].send(b"x")
    assert poller.poll(1) == [reading]


def test_many_watches_of_one_descriptor_fire_in_order_and_stop_in_any(poller: Poller, pair: Pair) -> None:
    reading = [poller.add(pair[0].fileno(), READ, print) for _ in range(6)]
    writing = [poller.add(pair[0].fileno(), WRITE, print) for _ in range(2)]
    assert poller.poll(0) == writing
    pair[1].send(b"x")
    assert poller.poll(1) == reading + writing
    for watch in (reading.pop(), writing.pop(), reading.pop(0), writing.pop(), reading.pop(2)):
        watch.stop()
    assert poller.poll(1) == reading
    assert poller.refs == 3
    pair[0].recv(1)
    assert poller.poll(0) == []  # nobody asks whether it can be written to
    for watch in reading:
        watch.stop()
    assert poller.idle


def test_watch_that_a_signals_handler_stops_while_others_are_collected_is_no_fault(poller: Poller, pair: Pair) -> None:
    watches = [poller.add(pair[0].fileno(), WRITE, print) for _ in range(3)]

    class Interrupted(list[Watch]):
        def append(self, watch: Watch) -> None:
            super().append(watch)
            watches[1].stop()

    fired = Interrupted()
    poller._fire(pair[0].fileno(), poller._interests[pair[0].fileno()], 4, fired)
    assert fired[0] is watches[0]
    assert watches[2] in fired
    assert [watch for watch in fired if watch.function is not None] == [watches[0], watches[2]]


def test_stopped_watch_leaves_a_descriptor_free_for_its_next_owner(poller: Poller) -> None:
    one, two = socket.socketpair()
    number = one.fileno()
    poller.add(number, READ, print).stop()
    one.close()
    two.close()
    three, four = socket.socketpair()
    assert number in (three.fileno(), four.fileno())
    other = four if three.fileno() == number else three
    watch = poller.add(number, READ, print)
    other.send(b"x")
    assert poller.poll(1) == [watch]
    three.close()
    four.close()


def test_add_names_what_cannot_be_watched(poller: Poller, tmp_path: os.PathLike[str]) -> None:
    with pytest.raises(OSError, match="descriptor"):
        poller.add(9999, READ, print)
    with open(os.path.join(tmp_path, "file"), "w") as file, pytest.raises(PermissionError):
        poller.add(file.fileno(), READ, print)
    assert poller.refs == 0


def test_owned_descriptor_fires_once_per_edge(poller: Poller, pair: Pair) -> None:
    owner = poller.own(pair[0].fileno())
    owner.reader.function = print
    poller.arm(owner, READ)
    assert poller.poll(0) == []
    pair[1].send(b"x")
    assert poller.poll(1) == [owner.reader]
    assert poller.poll(0) == []
    pair[1].send(b"y")
    assert poller.poll(1) == [owner.reader]


def test_owned_descriptor_with_a_watch_beside_it_is_level_triggered_for_that_time(poller: Poller, pair: Pair) -> None:
    owner = poller.own(pair[0].fileno())
    owner.reader.function = print
    poller.arm(owner, READ)
    pair[1].send(b"x")
    watch = poller.add(pair[0].fileno(), READ, print)
    for _ in range(2):
        assert set(poller.poll(1)) == {owner.reader, watch}
    watch.stop()
    assert poller.poll(1) == [owner.reader]
    assert poller.poll(0) == []


def test_owned_descriptor_knows_when_short_reads_mean_empty(poller: Poller, pair: Pair) -> None:
    owner = poller.own(pair[0].fileno())
    assert not owner.exact
    poller.arm(owner, READ)
    assert owner.exact
    owner.drained = True
    pair[1].send(b"x")
    assert poller.poll(1) == []
    assert not owner.drained
    pair[1].shutdown(socket.SHUT_WR)
    assert poller.poll(1) == []
    assert not owner.exact


def test_forget_returns_who_was_waiting(poller: Poller, pair: Pair) -> None:
    owner = poller.own(pair[0].fileno())
    owner.writer.function = print
    poller.arm(owner, WRITE)
    watch = poller.add(pair[0].fileno(), READ, print)
    assert set(poller.forget(pair[0].fileno())) == {owner.writer, watch}
    assert poller.refs == 0
    assert poller.forget(pair[0].fileno()) == []
    assert poller.poll(0) == []


def test_own_displaces_an_owner_that_closed_without_a_word(poller: Poller) -> None:
    one, two = socket.socketpair()
    number = one.fileno()
    poller.arm(poller.own(number), READ)
    one.close()
    two.close()
    three, four = socket.socketpair()
    other = four if three.fileno() == number else three
    owner = poller.own(number)
    owner.reader.function = print
    poller.arm(owner, READ)
    other.send(b"x")
    assert poller.poll(1) == [owner.reader]
    three.close()
    four.close()


def test_wake_ends_a_poll_of_another_thread(poller: Poller) -> None:
    done: list[object] = []
    thread = threading.Thread(target=lambda: done.append(poller.poll(10)))
    thread.start()
    poller.wake()
    thread.join(5)
    assert done == [[]]


def test_wake_never_blocks_and_may_come_after_close(poller: Poller) -> None:
    for _ in range(100_000):
        poller.wake()
    assert poller.poll(1) == []
    assert poller.poll(0) == []
    poller.close()
    poller.wake()
    assert poller.closed


WITHOUT_EPOLL = """
import select, sys
for name in [name for name in dir(select) if "epoll" in name.lower()]:
    delattr(select, name)
from greenscope.runtime import joinall, socket, spawn
one, two = socket.socketpair()
def ping(sock, first):
    for n in range(50):
        if first or n:
            sock.sendall(b"x")
        assert sock.recv(10) == b"x"
    if not first:
        sock.sendall(b"x")
big = b"y" * 1_000_000
joinall([spawn(ping, one, True), spawn(ping, two, False)], raise_error=True)
def drain():
    left = len(big)
    while left:
        left -= len(two.recv(65536))
joinall([spawn(one.sendall, big), spawn(drain)], raise_error=True)
print("fine")
"""


def test_sockets_work_where_there_is_no_epoll() -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT_EPOLL], capture_output=True, text=True, timeout=20)
    assert (ended.stdout, ended.stderr) == ("fine\n", "")
