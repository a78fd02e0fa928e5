"""Listening sockets: bound by ourselves, so that a busy port is an exception and not the end of the program.

TCP listens on one address. A Unix socket is made in a private folder beside its place, given 0600, and then renamed
into place: at no moment can another user connect, and a stale socket of a dead process is replaced in one step, while
one that still answers is `PortInUse`.
"""

import _socket
import errno
import os
import socket
import stat
import sys
import tempfile
from pathlib import Path

from greenscope.app.natives import native_socket

#: a reader that stalls absorbs this much in the kernel instead of 3.9 MB
SEND_BUFFER = 64 * 1024
#: asyncio also tries to accept this often in a row, and, when descriptors have run out, fails as often
BACKLOG = 128
#: sun_path of unix(7) without its final NUL; the BSDs have 103
MAX_PATH = 107 if sys.platform == "linux" else 103


class PortInUse(OSError):
    """Somebody listens there already; `address` is the port, or the path of a Unix socket."""

    def __init__(self, address: int | str, host: str = "") -> None:
        self.address = address
        self.port = address if isinstance(address, int) else None
        if isinstance(address, int):
            message = f"port {address} on {host} is in use; choose another, or 0 for any free one"
        else:
            message = f"the socket {address} is in use by another process"
        super().__init__(errno.EADDRINUSE, message)

    def __reduce__(self) -> tuple[type["PortInUse"], tuple[int | str]]:
        return type(self), (self.address,)


def bind_tcp(host: str, port: int) -> socket.socket:
    """Bind and listen; raises PortInUse, or OSError naming host and port. Does not block on numeric hosts."""
    name = "127.0.0.1" if host.lower() == "localhost" else host.strip("[]")
    try:
        family, kind, protocol, _, address = _socket.getaddrinfo(  # no patched one: it makes a hub
            name or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        number, reason = getattr(error, "errno", None), getattr(error, "strerror", None) or str(error)
        raise OSError(number, f"host: {host!r} cannot be resolved: {reason}") from error
    listener = native_socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(port, host) from error
        raise OSError(error.errno, f"host, port: cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


def bind_unix(path: Path) -> socket.socket:
    """Bind a Unix socket that only its user may connect to; makes its folder (0700) when there is none.

    Raises PortInUse when another process answers there, OSError when the place is not safe or not a socket.
    """
    folder = path.parent
    if max(len(os.fsencode(path)), len(os.fsencode(folder)) + len("/.12345678/s")) > MAX_PATH:
        raise OSError(errno.ENAMETOOLONG, f"uds: {path} is too long; a socket's path has at most {MAX_PATH} bytes")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_folder(folder)
        check_place(path)
        private = Path(tempfile.mkdtemp(prefix=".", dir=folder))  # mkdtemp makes it 0700
    except PortInUse:
        raise
    except OSError as error:
        reason = (
            error.strerror
            if str(folder) in str(error.strerror)
            else f"no socket can be made in {folder}: {error.strerror}"
        )
        raise OSError(error.errno, f"uds: {reason}") from error
    listener = native_socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made = private / "s"
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        listener.bind(str(made))
        made.chmod(0o600)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        made.rename(path)
    except OSError as error:
        listener.close()
        made.unlink(missing_ok=True)
        raise OSError(error.errno, f"uds: cannot listen on {path}: {error.strerror or error}") from error
    finally:
        private.rmdir()
    return listener


def check_folder(folder: Path) -> None:
    """Refuse a folder in which others could replace our socket."""
    found = folder.stat()
    others_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if others_write and not found.st_mode & stat.S_ISVTX:
        raise PermissionError(errno.EACCES, f"others may write to {folder}; use a folder with mode 0700")
    if found.st_uid not in (os.geteuid(), 0):
        raise PermissionError(errno.EACCES, f"{folder} belongs to another user; use a folder of your own")


def check_place(path: Path) -> None:
    """Refuse a place where something else is, or where somebody still answers."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, f"{path} exists and is not a socket")
    probe = native_socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(1.0)
    try:
        probe.connect(str(path))
    except (ConnectionRefusedError, FileNotFoundError):
        return  # nobody listens: left behind by a process that is gone
    except OSError as error:
        if error.errno != errno.EAGAIN:
            raise
    finally:
        probe.close()
    raise PortInUse(str(path))
