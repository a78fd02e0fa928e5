"""The folder in which watched processes put their sockets, so that one page finds them all.

    $GREENSCOPE_DIR, or $XDG_RUNTIME_DIR/greenscope, or greenscope-UID in the folder for temporary files     0700
        4711.sock    one per process, named by its pid
        4712.sock

Server processes come and go by themselves: each watches itself when it begins and takes its socket away when it ends,
and the next one takes away what those left behind that were killed. What goes wrong here is told in the host's log and
goes no further: being watched is no reason for a server not to start.
"""

import atexit
import errno
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from greenscope.app.natives import native_socket

#: seconds that a process gives its dashboard to say goodbye when it ends
CLOSING = 1.0


def socket_folder() -> Path:
    """Return the folder; nothing is made."""
    chosen = os.environ.get("GREENSCOPE_DIR")
    if chosen:
        return Path(chosen).absolute()
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(runtime):
        return Path(runtime) / "greenscope"
    return Path(tempfile.gettempdir()) / f"greenscope-{os.getuid()}"


def control_allowed() -> bool:
    """Tell whether $GREENSCOPE_CONTROL allows kill, spawn and resize (1, yes, true or on)."""
    return os.environ.get("GREENSCOPE_CONTROL", "").strip().lower() in ("1", "yes", "true", "on")


def make_folder(folder: Path) -> None:
    """Make the folder for this user alone; raises PermissionError for one that others own or may write to."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EACCES, f"{folder} belongs to another user; set GREENSCOPE_DIR to one of your own")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EACCES, f"others may write to {folder}; give it mode 0700")


def sweep(folder: Path) -> None:
    """Remove the sockets of processes that were killed: those that refuse a connection. Does not block."""
    for path in folder.glob("*.sock"):
        probe = native_socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if not stat.S_ISSOCK(path.lstat().st_mode):
                continue  # a plain file refuses, too
            probe.setblocking(False)
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            pass
        finally:
            probe.close()


def watch_process(name: str, tell: Callable[[str], object]) -> Any:
    """Watch this process over a socket in the folder until it ends; return its Monitor, None when that failed.

    `tell` takes what is to be said: where, or why not. Read-only unless $GREENSCOPE_CONTROL allows more.
    """
    from greenscope.app.watching import watch

    try:
        folder = socket_folder()
        make_folder(folder)
        sweep(folder)
        monitor = watch(uds=folder / f"{os.getpid()}.sock", control=control_allowed(), name=name, backend="gevent")
    except Exception as error:
        tell(f"greenscope: not watched: {error}")
        return None
    atexit.register(monitor.close, CLOSING)
    tell(f"greenscope: watched; see it with: greenscope serve {folder}")
    return monitor


def uses_gevent() -> bool:
    """Tell whether this process has a gevent hub to look at."""
    return "gevent.hub" in sys.modules
