"""Sockets that make only their greenlet wait; every other name is the standard library's.

Deliberate differences from gevent:
1. `socket` is an instance of the standard library's `socket.socket`.
2. A socket may be used in several threads, one after another.
3. There are no watchers: no `wait(watcher)`, `cancel_wait(watcher)`, `socket.ref`.
"""

import _socket
import socket as _std
from socket import *  # noqa: F403 - this module stands in for it
from socket import SOCK_STREAM
from typing import Any

from greenscope.runtime.addresses import (
    getaddrinfo,
    getfqdn,
    gethostbyaddr,
    gethostbyname,
    gethostbyname_ex,
    getnameinfo,
)
from greenscope.runtime.descriptors import (
    cancel_wait_ex,
    wait_read,
    wait_readwrite,
    wait_write,
)
from greenscope.runtime.sockets import socket as socket

__all__ = [
    *_std.__all__,
    "cancel_wait_ex",
    "getaddrinfo",
    "getfqdn",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "wait_read",
    "wait_readwrite",
    "wait_write",
]

_GLOBAL_DEFAULT_TIMEOUT: Any = getattr(_std, "_GLOBAL_DEFAULT_TIMEOUT", object())

SocketType = socket  # type: ignore[assignment,misc]


def fromfd(fd: int, family: int, type: int, proto: int = 0) -> socket:  # type: ignore[no-redef]
    """Return a socket on a duplicate of a descriptor."""
    return socket(family, type, proto, fileno=_std.dup(fd))


def socketpair(family: int | None = None, type: int = SOCK_STREAM, proto: int = 0) -> tuple[socket, socket]:  # type: ignore[no-redef]
    """Return two sockets that are connected to each other, of AF_UNIX by default."""
    if family is None:
        family = _std.AF_UNIX
    first, second = _socket.socketpair(family, type, proto)
    return (
        socket(family, type, proto, fileno=first.detach()),
        socket(family, type, proto, fileno=second.detach()),
    )


def create_connection(  # type: ignore[no-redef]
    address: tuple[Any, Any],
    timeout: Any = _GLOBAL_DEFAULT_TIMEOUT,
    source_address: Any = None,
    *,
    all_errors: bool = False,
) -> socket:
    """Return a socket that is connected to (host, port): the first of the host's addresses that answers. Blocks.

    `timeout` counts for each address, and stays set. Raises the last error, with `all_errors` an ExceptionGroup.
    """
    host, port = address
    errors: list[OSError] = []
    for family, kind, proto, _name, target in getaddrinfo(host, port, 0, SOCK_STREAM):
        new: socket | None = None
        try:
            new = socket(family, kind, proto)
            if timeout is not _GLOBAL_DEFAULT_TIMEOUT:
                new.settimeout(timeout)
            if source_address:
                new.bind(source_address)
            new.connect(target)
            return new
        except OSError as error:
            if not all_errors:
                errors.clear()
            errors.append(error)
            if new is not None:
                new.close()
        except BaseException:
            if new is not None:
                new.close()
            raise
    if not errors:
        raise OSError("getaddrinfo returns an empty list")
    try:
        if all_errors:
            raise ExceptionGroup("create_connection failed", errors)
        raise errors[0]
    finally:
        errors.clear()  # or each would hold itself by its traceback


def create_server(  # type: ignore[no-redef]
    address: Any,
    *,
    family: int = _std.AF_INET,
    backlog: int | None = None,
    reuse_port: bool = False,
    dualstack_ipv6: bool = False,
) -> socket:
    """Return a TCP socket that listens on an address; arguments and errors are the standard library's."""
    options: dict[str, Any] = {"family": family, "backlog": backlog, "reuse_port": reuse_port}
    made = _std.create_server(address, dualstack_ipv6=dualstack_ipv6, **options)
    return socket(made.family, made.type, made.proto, fileno=made.detach())
