# mypy: disable-error-code="func-returns-value"
"""Names: looked up beside the hub; and those of the standard library's module."""

import socket as std
import threading
from typing import Any

import pytest

from greenscope.runtime import sleep, socket, spawn
from greenscope.runtime.hub import get_hub


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


def test_names_of_the_standard_library_are_there() -> None:
    assert set(std.__all__) <= set(dir(socket))
    assert socket.error is OSError
    assert socket.create_server is not std.create_server
