"""Host and Origin grammar."""

import pytest

from greenscope.app.hosts import Host, HostList, is_loopback, parse_host


@pytest.mark.parametrize(
    "value",
    [
        b"localhost/x", b"a@localhost", b"", b" ", b"localhost:", b"localhost:0", b"localhost:65536", b"localhost:8x",
        b"[::1", b"::1", b"[]", b"[gg::1]", b"[127.0.0.1]", b"local host", b"localhost\x00", b"localhost,evil", b"-a",
        b"localhost:80:80", b"http://localhost", b"localhost?x", b"localhost#x", "lócalhost".encode(), b"%6cocalhost",
        b"a" * 300, b"localhost\\x", b"[::1%lo]",
    ],
)  # fmt: skip
def test_parse_host_refuses_what_is_malformed(value: bytes) -> None:
    assert parse_host(value) is None


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b"LOCALHOST:8484", Host("localhost", 8484)),
        (b"127.0.0.1", Host("127.0.0.1", None)),
        (b"[::1]:1", Host("[::1]", 1)),
        (b"localhost.", Host("localhost.", None)),
        (b"a-b.example:65535", Host("a-b.example", 65535)),
    ],
)
def test_parse_host_reads_name_and_port(value: bytes, host: Host) -> None:
    assert parse_host(value) == host


@pytest.mark.parametrize(
    "name",
    [
        "evil.example", "localhost6", "0177.0.0.1", "127.0.0.555", "0.0.0.0", "127.0.0.1.nip.io", "localhost.",
        "2130706433", "127.1", "0x7f.0.0.1", "[::]", "[::ffff:127.0.0.1]", "localhost.evil.example", "127.0.0.2",
    ],
)  # fmt: skip
def test_host_list_knows_loopback_names_only(name: str) -> None:
    host = parse_host(name.encode())
    assert host is not None
    assert not HostList().knows(host, (name.strip("[]"), 8484))


def test_host_list_knows_what_was_configured() -> None:
    hosts = HostList(["Dash.example:1", "https://tls.example", "fe80::1"])
    assert hosts.knows(Host("dash.example", 99))
    assert hosts.knows(Host("[fe80::1]", None))
    assert hosts.origin(Host("tls.example", None), "http") == "https://tls.example"
    assert hosts.origin(Host("localhost", 8484), "http") == "http://localhost:8484"


@pytest.mark.parametrize("wrong", ["a b", "ftp://x", "http://", "x/y", "*", "*.example"])
def test_host_list_refuses_what_could_never_match(wrong: str) -> None:
    with pytest.raises(ValueError, match="hosts:"):
        HostList([wrong])


def test_host_list_knows_the_accepting_address_of_a_wildcard_bind_only() -> None:
    hosts = HostList()
    host = Host("192.168.1.5", 8484)
    assert not hosts.knows(host, ("192.168.1.5", 8484))
    hosts.own_addresses = True
    assert hosts.knows(host, ("192.168.1.5", 8484))
    assert not hosts.knows(host, ("192.168.1.6", 8484))
    assert not hosts.knows(Host("evil.example", None), ("evil.example", 80))
    assert not hosts.knows(Host("0.0.0.0", None), ("0.0.0.0", 80))
    assert not hosts.knows(host, None)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("localhost", True), ("::1", True), ("[::1]", True), ("127.9.9.9", True),
        ("0.0.0.0", False), ("::", False), ("", False), ("192.168.1.5", False), ("localhost.evil", False),
    ],
)  # fmt: skip
def test_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
