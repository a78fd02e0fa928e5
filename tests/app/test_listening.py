"""Listening sockets: busy ports, private Unix sockets."""

import os
import pickle
import socket
import stat
from pathlib import Path

import pytest

from greenscope.app.listening import PortInUse, bind_tcp, bind_unix


def test_busy_port_is_a_typed_error_that_names_it() -> None:
    first = bind_tcp("127.0.0.1", 0)
    port = first.getsockname()[1]
    with pytest.raises(PortInUse, match=f"port {port} ") as caught:
        bind_tcp("127.0.0.1", port)
    assert (caught.value.port, caught.value.errno) == (port, 98)
    assert pickle.loads(pickle.dumps(caught.value)).port == port
    first.close()
    bind_tcp("127.0.0.1", port).close()


def test_listener_has_a_small_send_buffer_that_connections_inherit() -> None:
    with bind_tcp("localhost", 0) as listener:
        client = socket.create_connection(listener.getsockname())
        listener.setblocking(True)
        server, _ = listener.accept()
        assert server.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * 64 * 1024
        server.close()
        client.close()


def test_ipv6_loopback_is_bound() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        listener = bind_tcp("[::1]", 0)
    except OSError:
        pytest.skip("no IPv6 here")
    assert listener.family == socket.AF_INET6
    listener.close()


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("no.such.host.invalid", 0, "'no.such.host.invalid' cannot be resolved"),
        ("192.0.2.1", 0, "cannot listen on 192.0.2.1"),
    ],
)
def test_bad_addresses_are_named(host: str, port: int, message: str) -> None:
    with pytest.raises((OSError, ValueError), match=message):
        bind_tcp(host, port)


def test_unix_socket_is_private_in_a_private_folder(tmp_path: Path) -> None:
    path = tmp_path / "run" / "scope" / "1.sock"
    with bind_unix(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert list(path.parent.iterdir()) == [path]


def test_unix_socket_is_never_open_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with bind_unix(tmp_path / "x.sock"):
            assert stat.S_IMODE((tmp_path / "x.sock").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_stale_unix_socket_is_replaced_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    first = bind_unix(path)
    with pytest.raises(PortInUse, match=r"x\.sock is in use") as caught:
        bind_unix(path)
    assert caught.value.address == str(path)
    first.close()
    with bind_unix(path):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(path))
        client.close()


def test_place_that_is_not_a_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(FileExistsError, match="not a socket"):
        bind_unix(path)
    assert path.read_text() == "data"


def test_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(PermissionError, match="others may write"):
        bind_unix(tmp_path / "x.sock")
    tmp_path.chmod(0o1777)
    bind_unix(tmp_path / "x.sock").close()


def test_path_that_is_too_long_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 90)
    with pytest.raises(OSError, match="at most 10"):
        bind_unix(path)
    assert list(tmp_path.iterdir()) == []
