"""Files, forks and children by descriptor and pid, for which only the greenlet waits.

`nb_read` and `nb_write` are for pipes and sockets, which the kernel can report ready;
`tp_read` and `tp_write` are for regular files, which it cannot, and so take a thread.

A fork needs no help: a child gets a fresh hub as soon as it is there, whatever forked
it (see `hub`), and nothing here takes the exit status of a child but who asks for it.
So the functions that fork are the standard library's, under gevent's names.

Deliberate differences from gevent:
1. fork() is os.fork() and watches no child; waitpid() works for any child of this process.
2. There is no `fork_and_watch` and `forkpty_and_watch`: `spawn(waitpid, pid, 0)` is the same, and has a result.
"""

import os as _std
from os import close, posix_spawn, posix_spawnp
from typing import Any

from greenscope.runtime.descriptors import wait_descriptor
from greenscope.runtime.hub import get_hub
from greenscope.runtime.poller import READ, WRITE

__all__ = [
    "close",
    "fork",
    "fork_gevent",
    "forkpty",
    "forkpty_gevent",
    "make_nonblocking",
    "nb_read",
    "nb_write",
    "posix_spawn",
    "posix_spawnp",
    "tp_read",
    "tp_write",
    "waitpid",
]


def make_nonblocking(fd: int) -> bool | None:
    """Make reads and writes of a descriptor never block; True when they did before. Raises OSError."""
    if _std.get_blocking(fd):
        _std.set_blocking(fd, False)
        return True
    return None


def nb_read(fd: int, n: int) -> bytes:
    """Read at most `n` bytes from a non-blocking descriptor; b"" at its end. Blocks; raises OSError."""
    while True:
        try:
            return _std.read(fd, n)
        except BlockingIOError:
            pass
        wait_descriptor(fd, READ)


def nb_write(fd: int, buf: Any) -> int:
    """Write to a non-blocking descriptor; returns how many bytes went. Blocks until some do; raises OSError."""
    while True:
        try:
            return _std.write(fd, buf)
        except BlockingIOError:
            pass
        wait_descriptor(fd, WRITE)


def tp_read(fd: int, n: int) -> bytes:
    """Read at most `n` bytes from any descriptor, in the hub's thread pool; b"" at its end. Blocks; raises OSError."""
    read: bytes = get_hub().threadpool.apply(_std.read, (fd, n))
    return read


def tp_write(fd: int, buf: Any) -> int:
    """Write to any descriptor, in the hub's thread pool; returns how many bytes it took. Blocks; raises OSError."""
    written: int = get_hub().threadpool.apply(_std.write, (fd, buf))
    return written


def fork(*args: Any, **kwargs: Any) -> int:
    """Fork; returns the child's pid, 0 in the child, where a fresh hub has only this greenlet (difference 1).

    Raises OSError. Does not block.
    """
    return _std.fork(*args, **kwargs)


def fork_gevent() -> int:
    """Do as fork()."""
    return _std.fork()


def forkpty(*args: Any, **kwargs: Any) -> tuple[int, int]:
    """Fork with a new terminal; returns (pid, descriptor), with pid 0 in the child. Raises OSError."""
    return _std.forkpty(*args, **kwargs)


def forkpty_gevent() -> tuple[int, int]:
    """Do as forkpty()."""
    return _std.forkpty()


def waitpid(pid: int, options: int) -> tuple[int, int]:
    """Return (pid, status) of a child as os.waitpid() does. Blocks unless `options` has WNOHANG.

    Any child of this process, whoever forked it (difference 1). Raises ChildProcessError when there is no such child.
    """
    while True:
        ended = _std.waitpid(pid, options | _std.WNOHANG)
        if ended[0] or options & _std.WNOHANG:
            return ended
        if options or pid <= 0 or not _wait_pidfd(pid):
            get_hub().threadpool.apply(_wait_natively, (pid, options))


def _wait_pidfd(pid: int) -> bool:
    """Wait for the descriptor of a child that its end makes readable; False where there is no such thing."""
    try:
        fd = _std.pidfd_open(pid)
    except (AttributeError, OSError):
        return False
    try:
        wait_descriptor(fd, READ)
    finally:
        _std.close(fd)
    return True


def _wait_natively(pid: int, options: int) -> None:
    """Wait in a thread, and leave the status to whoever asks for it."""
    kind, ident = (_std.P_PID, pid) if pid > 0 else (_std.P_ALL, 0) if pid == -1 else (_std.P_PGID, -pid)
    if pid == 0:
        ident = _std.getpgrp()
    what = _std.WEXITED
    if options & _std.WUNTRACED:
        what |= _std.WSTOPPED
    try:
        _std.waitid(kind, ident, what | (options & _std.WCONTINUED) | _std.WNOWAIT)
    except ChildProcessError:
        pass  # somebody else took it: waitpid() will say so


def reinit(hub: Any = None) -> None:
    """Do nothing: a forked child has a fresh hub already. Does not block."""
