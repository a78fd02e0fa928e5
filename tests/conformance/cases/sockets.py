"""Sockets, select() and look-ups of names."""

import errno
import http.client
import io
import os
import socket as standard
import tempfile


def raises(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def listener(rt, family=standard.AF_INET):
    server = rt.socket.socket(family)
    server.bind(("127.0.0.1", 0) if family == standard.AF_INET else ("::1", 0))
    server.listen(16)
    return server


def connected(rt):
    """Return the two ends of a TCP connection."""
    with listener(rt) as server:
        client = rt.socket.create_connection(server.getsockname())
        return client, server.accept()[0]


def case_accept_and_connect_wait_for_each_other(rt):
    server = listener(rt)
    accepting = rt.spawn(server.accept)
    rt.sleep(0)
    assert not accepting.ready()
    client = rt.socket.create_connection(server.getsockname())
    new, address = accepting.get(timeout=2)
    assert address == client.getsockname()
    assert type(new) is rt.socket.socket
    for one in (client, new, server):
        one.close()


def case_sendall_of_much_waits_for_the_reader(rt):
    client, server = connected(rt)
    data = os.urandom(1 << 20) * 8
    sending = rt.spawn(client.sendall, data)
    rt.sleep(0.01)
    assert not sending.ready()
    got = bytearray()
    while len(got) < len(data):
        got += server.recv(1 << 16)
    assert sending.get(timeout=2) is None
    assert got == data
    client.close()
    assert server.recv(10) == b""


def case_recv_times_out_and_the_socket_is_usable_afterwards(rt):
    client, server = connected(rt)
    client.settimeout(0.01)
    assert client.gettimeout() == 0.01
    assert isinstance(raises(rt.socket.timeout, client.recv, 1), TimeoutError)
    server.sendall(b"later")
    assert client.recv(10) == b"later"


def case_recv_never_blocks_when_told(rt):
    client, server = connected(rt)
    client.setblocking(False)
    assert client.gettimeout() == 0.0
    assert raises(BlockingIOError, client.recv, 1).errno == errno.EWOULDBLOCK
    server.sendall(b"x")
    rt.sleep(0.01)
    assert client.recv(1) == b"x"


def case_close_wakes_who_reads(rt):
    client, _server = connected(rt)
    reading = rt.spawn(client.recv, 1)
    rt.sleep(0.001)
    client.close()
    assert raises(OSError, reading.get, timeout=2).errno == errno.EBADF


def case_kill_of_a_reader_leaves_the_socket_usable(rt):
    client, server = connected(rt)
    reading = rt.spawn(client.recv, 1)
    rt.sleep(0.001)
    reading.kill()
    server.sendall(b"y")
    assert client.recv(1) == b"y"


def case_timeout_around_a_read(rt):
    client, _server = connected(rt)
    with rt.Timeout(0.01, False):
        client.recv(1)
        raise AssertionError("read")
    assert rt.with_timeout(0.01, client.recv, 1, timeout_value=b"none") == b"none"


def case_shutdown_ends_the_other_side(rt):
    client, server = connected(rt)
    client.shutdown(standard.SHUT_WR)
    assert server.recv(1) == b""
    server.sendall(b"answer")
    server.close()
    assert client.recv(100) == b"answer"
    assert client.recv(100) == b""


def case_use_after_close_is_an_error(rt):
    client, _server = connected(rt)
    client.close()
    client.close()
    assert client.fileno() == -1
    assert raises(OSError, client.recv, 1).errno == errno.EBADF
    assert raises(OSError, client.sendall, b"x").errno == errno.EBADF


def case_connect_refused(rt):
    with listener(rt) as server:
        address = server.getsockname()
    raises(ConnectionRefusedError, rt.socket.create_connection, address)
    one = rt.socket.socket()
    assert one.connect_ex(address) == errno.ECONNREFUSED
    one.close()


def case_makefile_reads_and_writes_lines(rt):
    client, server = connected(rt)
    out = server.makefile("w", encoding="utf-8", newline="\n")
    lines = client.makefile("r", encoding="utf-8")
    reading = rt.spawn(lines.readline)
    rt.sleep(0.001)
    assert not reading.ready()
    out.write("grün\nmore\n")
    out.flush()
    assert reading.get(timeout=2) == "grün\n"
    server.close()
    out.close()
    assert list(lines) == ["more\n"]
    client.close()
    assert not lines.closed
    lines.close()


def case_ipv6(rt):
    server = listener(rt, standard.AF_INET6)
    client = rt.socket.create_connection(server.getsockname()[:2])
    new, _address = server.accept()
    new.sendall(b"six")
    assert client.recv(10) == b"six"


def case_datagrams(rt):
    one, two = (rt.socket.socket(standard.AF_INET, standard.SOCK_DGRAM) for _ in range(2))
    one.bind(("127.0.0.1", 0))
    receiving = rt.spawn(one.recvfrom, 100)
    rt.sleep(0.001)
    assert two.sendto(b"datagram", one.getsockname()) == 8
    data, address = receiving.get(timeout=2)
    assert (data, address[1]) == (b"datagram", two.getsockname()[1])
    one.settimeout(0.01)
    raises(rt.socket.timeout, one.recvfrom, 100)


def case_unix_sockets(rt):
    with tempfile.TemporaryDirectory() as folder:
        server = rt.socket.socket(standard.AF_UNIX)
        server.bind(folder + "/socket")
        server.listen()
        client = rt.socket.socket(standard.AF_UNIX)
        client.connect(folder + "/socket")
        new, _address = server.accept()
        client.sendall(b"unix")
        assert new.recv(10) == b"unix"
        for one in (client, new, server):
            one.close()


def case_socketpair_dup_and_detach(rt):
    one, two = rt.socket.socketpair()
    again = one.dup()
    one.close()
    again.sendall(b"z")
    buffer = bytearray(4)
    assert two.recv_into(buffer) == 1
    fd = again.detach()
    assert again.fileno() == -1
    third = rt.socket.socket(fileno=fd)
    third.send(b"w")
    assert two.recv(1) == b"w"
    third.close()
    two.close()


def case_select_parks_until_something_is_ready(rt):
    one, two = rt.socket.socketpair()
    selecting = rt.spawn(rt.select.select, [one], [], [], 2)
    rt.sleep(0.001)
    assert not selecting.ready()
    two.send(b"x")
    assert selecting.get() == ([one], [], [])
    assert rt.select.select([two], [two], [], 2) == ([], [two], [])
    assert rt.select.select([two], [], [], 0.01) == ([], [], [])
    assert rt.select.select([two], [], [], 0) == ([], [], [])
    raises(ValueError, rt.select.select, [], [], [], -1)


def case_poll_tells_which_descriptor(rt):
    one, two = rt.socket.socketpair()
    poll = rt.select.poll()
    poll.register(one, rt.select.POLLIN)
    assert poll.poll(0) == []
    assert poll.poll(10) == []
    polling = rt.spawn(poll.poll)
    rt.sleep(0.001)
    two.send(b"x")
    assert polling.get(timeout=2) == [(one.fileno(), rt.select.POLLIN)]
    poll.unregister(one)
    assert poll.poll(0) == []


def case_wait_read_and_wait_write(rt):
    one, two = rt.socket.socketpair()
    rt.socket.wait_write(one.fileno(), timeout=2)
    raises(rt.socket.timeout, rt.socket.wait_read, one.fileno(), timeout=0.01)
    raises(KeyError, rt.socket.wait_read, one.fileno(), timeout=0.01, timeout_exc=KeyError)
    two.send(b"x")
    rt.socket.wait_read(one.fileno(), timeout=2)


def case_look_ups(rt):
    assert rt.socket.gethostbyname("127.0.0.1") == "127.0.0.1"
    found = rt.socket.getaddrinfo("127.0.0.1", 80, type=standard.SOCK_STREAM)
    assert [(info[0], info[4]) for info in found] == [(standard.AF_INET, ("127.0.0.1", 80))]
    assert rt.socket.getnameinfo(("127.0.0.1", 80), standard.NI_NUMERICHOST | standard.NI_NUMERICSERV) == (
        "127.0.0.1",
        "80",
    )
    assert rt.socket.gethostbyname("localhost").startswith("127.")
    raises(rt.socket.gaierror, rt.socket.getaddrinfo, "no host of this name", 80)


def case_http_client_over_our_sockets(rt):
    server = listener(rt)

    def serve():
        new, _address = server.accept()
        with new, new.makefile("rb") as lines:
            length = 0
            while (line := lines.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = lines.read(length)
            new.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    serving = rt.spawn(serve)
    client = http.client.HTTPConnection(*server.getsockname(), timeout=2)
    client._create_connection = rt.socket.create_connection
    client.request("POST", "/", body=io.BytesIO(b"body" * 1000), headers={"Content-Length": "4000"})
    answer = client.getresponse()
    assert (answer.status, answer.read()) == (200, b"body" * 1000)
    client.close()
    serving.get(timeout=2)
