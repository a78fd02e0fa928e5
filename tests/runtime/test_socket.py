# mypy: disable-error-code="func-returns-value"
"""Cooperative sockets over real ones of the kernel."""

import ctypes
import errno
import http.client
import io
import os
import resource
import socket as std
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenscope.runtime import Timeout, getcurrent, joinall, sleep, socket, spawn, spawn_later
from greenscope.runtime.exceptions import ConcurrentObjectUseError
from greenscope.runtime.hub import get_hub
from greenscope.runtime.thread import RuntimeThread

SHORT = 0.01

IPV6 = pytest.param(std.AF_INET6, marks=pytest.mark.skipif(not std.has_ipv6, reason="no IPv6 here"))


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, two = socket.socketpair()
    yield one, two
    one.close()
    two.close()


Pair = tuple[socket.socket, socket.socket]


def tcp_pair() -> Pair:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = spawn(socket.create_connection, server.getsockname())
        accepted, _ = server.accept()
        return client.get(), accepted


@pytest.fixture
def tcp() -> Iterator[Pair]:
    one, two = tcp_pair()
    yield one, two
    one.close()
    two.close()


def echo_until_end(connection: socket.socket) -> None:
    with connection:
        while data := connection.recv(1000):
            connection.sendall(data)


@pytest.mark.parametrize("family", [std.AF_INET, IPV6])
def test_tcp_client_and_server_in_one_thread(family: int) -> None:
    host = "127.0.0.1" if family == std.AF_INET else "::1"
    try:
        server = socket.create_server((host, 0), family=family)
    except OSError as error:
        pytest.skip(f"no such address: {error}")
    with server:
        serving = spawn(lambda: echo_until_end(server.accept()[0]))
        with socket.create_connection(server.getsockname()[:2], timeout=5) as client:
            for n in range(20):
                client.sendall(b"%d" % n)
                assert client.recv(100) == b"%d" % n
            client.shutdown(std.SHUT_WR)
            assert client.recv(100) == b""
        serving.get(timeout=5)


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


def test_kill_of_a_reader_leaves_the_socket_usable(pair: Pair) -> None:
    reading = spawn(pair[0].recv, 1)
    sleep(0)
    reading.kill()
    pair[1].send(b"a")
    assert pair[0].recv(1) == b"a"


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


def test_connect_refused_and_not_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(address)
    with socket.socket() as client:
        assert client.connect_ex(address) == errno.ECONNREFUSED
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    with pytest.raises(ExceptionGroup):
        socket.create_connection(address, all_errors=True)


def test_connect_without_blocking_says_that_it_is_under_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.setblocking(False)
        assert client.connect_ex(server.getsockname()) in (0, errno.EINPROGRESS)


def test_connect_to_a_full_queue_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        others = []
        try:
            for _ in range(4):
                one = socket.socket()
                others.append(one)
                one.settimeout(SHORT)
                one.connect(server.getsockname())
            pytest.fail("the queue never filled")
        except TimeoutError:
            pass
        finally:
            for one in others:
                one.close()


def test_unix_sockets_connect_also_when_the_queue_is_full(tmp_path: Any) -> None:
    path = os.path.join(tmp_path, "s")
    with socket.socket(std.AF_UNIX) as server:
        server.bind(path)
        server.listen(0)

        def client() -> bytes:
            with socket.socket(std.AF_UNIX) as one:
                one.connect(path)
                return one.recv(10)

        clients = [spawn(client) for _ in range(5)]
        sleep(0)
        for _ in clients:
            accepted, _address = server.accept()
            accepted.sendall(b"hi")
            accepted.close()
        joinall(clients, timeout=5, raise_error=True)
        assert [one.value for one in clients] == [b"hi"] * 5


@pytest.mark.parametrize("family", [std.AF_INET, IPV6])
def test_datagrams(family: int) -> None:
    host = "127.0.0.1" if family == std.AF_INET else "::1"
    with socket.socket(family, std.SOCK_DGRAM) as one, socket.socket(family, std.SOCK_DGRAM) as two:
        try:
            one.bind((host, 0))
        except OSError as error:
            pytest.skip(f"no such address: {error}")
        reading = spawn(lambda: [one.recvfrom(100) for _ in range(2)])
        sleep(0)
        two.sendto(b"first", one.getsockname())
        two.sendto(b"second", 0, one.getsockname())
        got = reading.get(timeout=5)
        assert [data for data, _ in got] == [b"first", b"second"]
        assert got[0][1][1] == two.getsockname()[1]


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


def test_http_client_of_the_standard_library_over_our_socket() -> None:
    body = b"x" * 200_000

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as requests:
            for _ in range(3):
                assert requests.readline().startswith(b"GET /")
                while requests.readline().strip():
                    pass
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with socket.create_server(("127.0.0.1", 0)) as server:
        serving = spawn(serve, server)
        client = http.client.HTTPConnection(*server.getsockname())
        client._create_connection = socket.create_connection  # type: ignore[attr-defined]
        for _ in range(3):
            client.request("GET", "/")
            assert client.getresponse().read() == body
        client.close()
        serving.get(timeout=5)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Room for two descriptors for each of 1,000 connections; the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_a_thousand_connections_are_accepted_and_answered() -> None:
    count = 1000

    def accept(server: socket.socket) -> None:
        for _ in range(count):
            spawn(echo_until_end, server.accept()[0])

    def client(address: Any) -> bytes:
        with socket.create_connection(address) as one:
            one.sendall(b"hello")
            sleep(0)
            return one.recv(10)

    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        accepting = spawn(accept, server)
        clients = [spawn(client, server.getsockname()) for _ in range(count)]
        joinall([accepting, *clients], timeout=20, raise_error=True)
        assert [one.value for one in clients] == [b"hello"] * count


def test_numeric_addresses_need_no_thread() -> None:
    hub = get_hub()
    before = hub._threadpool
    assert socket.getaddrinfo("127.0.0.1", 80, type=std.SOCK_STREAM)[0][4] == ("127.0.0.1", 80)
    assert socket.gethostbyname("127.0.0.1") == "127.0.0.1"
    assert socket.getaddrinfo("::1", "80", type=std.SOCK_STREAM)[0][4][0] == "::1"
    assert hub._threadpool is before


def test_names_are_looked_up_in_the_thread_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = std.getaddrinfo

    def slow(*args: Any) -> Any:
        seen.append(threading.get_ident())
        return real("127.0.0.1", *args[1:])

    monkeypatch.setattr(std, "getaddrinfo", slow)
    ticks: list[int] = []
    ticking = spawn(lambda: [(sleep(0), ticks.append(n)) for n in range(3)])
    found = socket.getaddrinfo("example.invalid", 80, type=std.SOCK_STREAM)
    ticking.get(timeout=5)
    assert found[0][4] == ("127.0.0.1", 80)
    assert seen != [threading.get_ident()]
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(("example.invalid", server.getsockname()[1]))
    with socket.socket(type=std.SOCK_DGRAM) as one:
        assert one.sendto(b"x", ("example.invalid", 9)) == 1


def test_look_up_of_nonsense_raises_as_the_standard_library_does() -> None:
    with pytest.raises(std.gaierror):
        socket.getaddrinfo("no such name.invalid", 80)
    with pytest.raises((std.gaierror, std.herror)):
        socket.gethostbyaddr("no such name.invalid")
    assert socket.getnameinfo(("127.0.0.1", 80), std.NI_NUMERICHOST | std.NI_NUMERICSERV) == ("127.0.0.1", "80")


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


def test_what_a_parked_greenlet_waits_for_is_shown(pair: Pair) -> None:
    reading = spawn(pair[0].recv, 1)
    sleep(0)
    carrier = reading._carrier
    assert carrier is not None
    assert carrier.waiting_on.waits_as == "read"
    assert str(pair[0].fileno()) in repr(carrier.waiting_on)
    reading.kill()
    assert getcurrent() is not reading


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


def test_names_of_the_standard_library_are_there() -> None:
    assert set(std.__all__) <= set(dir(socket))
    assert socket.error is OSError
    assert socket.create_server is not std.create_server


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
