"""Names to addresses: look-ups that may take seconds, made in the hub's thread pool.

An address that is numeric already is answered at once, without a thread: the system's
resolver does not leave the process for it.
"""

import _socket
import socket as _std
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent

from greenscope.runtime.hub import get_hub

__all__ = [
    "getaddrinfo",
    "getfqdn",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "resolve_address",
]

_FAMILIES = (_std.AF_INET, _std.AF_INET6)


def is_numeric(host: Any) -> bool:
    """Return True for an IPv4 or IPv6 address in text, which needs no look-up."""
    if isinstance(host, bytes | bytearray):
        try:
            host = bytes(host).decode("ascii")
        except UnicodeDecodeError:
            return False
    if not isinstance(host, str):
        return False
    for family in _FAMILIES:
        try:
            _socket.inet_pton(family, host.partition("%")[0])
            return True
        except (OSError, ValueError):
            pass
    return False


def _numeric_port(port: Any) -> bool:
    return port is None or isinstance(port, int) or (isinstance(port, str | bytes) and port.isdigit())


def _look_up(function: Callable[..., Any], *args: Any) -> Any:
    """Call a resolver's function in the thread pool; where nothing may block, at once."""
    hub = get_hub()
    if getcurrent() is hub:
        return function(*args)
    return hub.threadpool.apply(function, args)


def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[Any]:
    """Return (family, type, proto, name, address) tuples for a host and a port, as the standard library does. Blocks.

    Raises gaierror when there are none.
    """
    args = (host, port, family, type, proto, flags)
    if (host is None or is_numeric(host)) and _numeric_port(port):
        return list(_std.getaddrinfo(*args))
    found: list[Any] = _look_up(_std.getaddrinfo, *args)
    return found


def gethostbyname(hostname: str) -> str:
    """Return the IPv4 address of a host. Blocks; raises gaierror."""
    if is_numeric(hostname):
        return _std.gethostbyname(hostname)
    found: str = _look_up(_std.gethostbyname, hostname)
    return found


def gethostbyname_ex(hostname: str) -> tuple[str, list[str], list[str]]:
    """Return (name, aliases, IPv4 addresses) of a host. Blocks; raises gaierror."""
    found: tuple[str, list[str], list[str]] = _look_up(_std.gethostbyname_ex, hostname)
    return found


def gethostbyaddr(ip_address: str) -> tuple[str, list[str], list[str]]:
    """Return (name, aliases, addresses) of an address. Blocks; raises herror or gaierror."""
    found: tuple[str, list[str], list[str]] = _look_up(_std.gethostbyaddr, ip_address)
    return found


def getnameinfo(sockaddr: Any, flags: int) -> tuple[str, str]:
    """Return (host, port) of a socket address. Blocks; raises gaierror."""
    if flags & _std.NI_NUMERICHOST and flags & _std.NI_NUMERICSERV:
        return _std.getnameinfo(sockaddr, flags)
    found: tuple[str, str] = _look_up(_std.getnameinfo, sockaddr, flags)
    return found


def getfqdn(name: str = "") -> str:
    """Return the fully qualified name of a host, of this one by default. Blocks."""
    found: str = _look_up(_std.getfqdn, name)
    return found


def resolve_address(family: int, address: Any) -> Any:
    """Return an address that connect() and the like take without a look-up of their own. Blocks; raises gaierror."""
    if family not in _FAMILIES or not isinstance(address, tuple) or len(address) < 2:
        return address
    host, port = address[:2]
    if not isinstance(host, str) or not host or host == "<broadcast>":
        return address
    try:
        _socket.inet_pton(family, host)
        return address
    except (OSError, ValueError):
        pass
    found = getaddrinfo(host, None, family)[0][-1]
    return (found[0], port, *(address[2:] or found[2:]))
