"""The folder in which watched processes put their sockets, so that one page finds them all.

    $GREENSCOPE_DIR, or $XDG_RUNTIME_DIR/greenscope, or greenscope-UID in the folder for temporary files     0700
        4711.sock    one per process, named by its pid
        4712.sock
    8484.url     where one of them serves the page over all, when $GREENSCOPE_PORT asks for it     shared_page

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

from greenscope.app.backends.choice import ACCOUNTING
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


def shared_port() -> int | None:
    """Return $GREENSCOPE_PORT, the port of a page over the whole folder (None: no page). Raises ValueError."""
    text = os.environ.get("GREENSCOPE_PORT", "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 65535:
        raise ValueError(f"GREENSCOPE_PORT: {text[:80]!r} is no port; give a number from 1 to 65535")
    return int(text)


def chosen_accounting() -> str:
    """Return $GREENSCOPE_ACCOUNTING (off, light or full; default: light). Raises ValueError for anything else."""
    text = os.environ.get("GREENSCOPE_ACCOUNTING", "").strip().lower() or "light"
    if text not in ACCOUNTING:
        raise ValueError(f"GREENSCOPE_ACCOUNTING: {text[:80]!r} is none of {', '.join(ACCOUNTING)}")
    return text


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
        accounting = chosen_accounting()
        page = share_page(folder, tell)  # before a thread of ours runs beside its imports
    except Exception as error:
        tell(f"greenscope: not watched: {error}")
        return None
    try:
        monitor = watch(
            uds=folder / f"{os.getpid()}.sock",
            control=control_allowed(),
            name=name,
            backend="gevent",
            accounting=accounting,
        )
    except Exception as error:
        tell(f"greenscope: not watched: {error}")
        if page is not None:
            page.stop()
        return None
    if page is not None:
        monitor.server.beside.append(page)
    atexit.register(monitor.close_at_exit, CLOSING)
    tell(f"greenscope: watched; see it with: greenscope serve {folder}")
    return monitor


def share_page(folder: Path, tell: Callable[[str], object]) -> Any:
    """Return this process' part in the page over all of the folder, when $GREENSCOPE_PORT asks for one (else None).

    `tell` takes where it is, or why there is none: that is no reason not to watch.
    """
    try:
        port = shared_port()
        if port is None:
            return None
        from greenscope.app.shared_page import SharedPage

        page = SharedPage(folder, port, control=control_allowed(), token=os.environ.get("GREENSCOPE_TOKEN") or None)
        if page.bind() or page.server.url_file.exists():
            where = f"http://127.0.0.1:{port}/ (with its token in {page.server.url_file})"
            tell(f"greenscope: all processes on one page: {where}")
        else:
            tell(f"greenscope: port {port} is in use; the page over all processes comes when it is free")
    except Exception as error:
        tell(f"greenscope: no page over all processes: {error}")
        return None
    return page


def uses_gevent() -> bool:
    """Tell whether this process has a gevent hub to look at."""
    return "gevent.hub" in sys.modules
