"""The names this dashboard answers to: Host and Origin grammar.

DNS rebinding makes a foreign page's own name point at 127.0.0.1; the browser then thinks that it talks to its own
origin, and only the Host header tells the truth. So the header is parsed with a strict grammar and its name must be
one that we know: the loopback names, and what the operator configured. Nothing is resolved, nothing is normalised
(`localhost.`, `0177.0.0.1` and their friends are simply not in the list), and nothing from a forwarded header is read.

The port is not compared: through an SSH tunnel it differs, and a rebinding page cannot change the name. The own
origin, which Origin is compared with, is made from the Host header that passed: scheme, name and port.

Grammar: RFC 9110 section 7.2 (Host), RFC 3986 section 3.2.2 (host), RFC 6454 section 6.2 (Origin).
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

_HOST = re.compile(
    rb"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?)(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True, slots=True)
class Host:
    """A well-formed Host header: lower-case name (IPv6 in brackets) and port (None: the scheme's own)."""

    name: str
    port: int | None

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"


def parse_host(value: bytes) -> Host | None:
    """Parse one Host header's value; None if it is malformed."""
    match = _HOST.fullmatch(value)
    if match is None:
        return None
    name = match["name"].decode("ascii").lower()
    if name.startswith("["):
        try:
            ipaddress.IPv6Address(name[1:-1])
        except ValueError:
            return None
    port = match["port"]
    if port is None:
        return Host(name, None)
    number = int(port)
    return Host(name, number) if 0 < number < 65536 else None


class HostList:
    """The allow-list of host names, and the origins that belong to them."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._names: set[str] = set(LOOPBACK_NAMES)
        self._schemes: dict[str, str] = {}
        #: set by a server bound to a wildcard address: the address a connection arrived at is a name of ours too
        self.own_addresses = False
        for host in hosts:
            self.allow(host)

    def allow(self, host: str) -> None:
        """Add a name, `name`, `name:port` (the port is ignored) or `https://name` behind a TLS proxy.

        Raises ValueError for anything that could never be a Host header.
        """
        scheme, separator, rest = host.rpartition("://")
        if separator and scheme not in ("http", "https"):
            raise ValueError(f"hosts: {host!r}: the scheme must be http or https")
        if ":" in rest and not rest.startswith("[") and rest.count(":") > 1:
            rest = f"[{rest}]"  # a bare IPv6 address, as people write it
        parsed = parse_host(rest.encode("utf-8"))
        if parsed is None:
            raise ValueError(
                f"hosts: {host!r} is not a host name; right would be 'dash.example' or 'https://dash.example'"
            )
        self._names.add(parsed.name)
        if separator:
            self._schemes[parsed.name] = scheme

    def knows(self, host: Host, server: object = None) -> bool:
        """Tell whether `host` is ours; `server` is the ASGI scope's (address, port) of the accepting socket."""
        if host.name in self._names:
            return True
        if not self.own_addresses or not isinstance(server, (tuple, list)) or not server:
            return False
        try:
            literal = ipaddress.ip_address(host.name.strip("[]"))
            return not literal.is_unspecified and literal == ipaddress.ip_address(str(server[0]))
        except ValueError:
            return False

    def origin(self, host: Host, scheme: str) -> str:
        """Return the origin that a page served under `host` has."""
        return f"{self._schemes.get(host.name, scheme)}://{host}"


def is_loopback(host: str) -> bool:
    """Tell whether binding to `host` (a name or an address) reaches this machine only. Never resolves a name."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
