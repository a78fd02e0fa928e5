"""Pipes as file objects in which only the reading or writing greenlet waits.

The raw file is ours, over a descriptor that never blocks; buffers and text on top of
it are the standard library's. One greenlet at a time may use a buffered file, as one
thread at a time may use a standard one.
"""

import io
import os
from typing import Any

from greenscope.runtime.descriptors import Descriptor

__all__ = ["RawPipe", "open_pipe", "replace_pipe"]


class RawPipe(io.RawIOBase):
    """An unbuffered file over a pipe, or whatever else can be polled. It owns the descriptor."""

    def __init__(self, fd: int, mode: str) -> None:
        super().__init__()
        os.set_blocking(fd, False)
        self._descriptor = Descriptor(fd)
        self._fd = fd
        self.mode = mode

    @property
    def name(self) -> int:
        """The descriptor's number, as for files that open() makes of one."""
        return self._fd

    def fileno(self) -> int:
        """Return the descriptor's number; raises ValueError when it is closed."""
        self._check_open()
        return self._fd

    def readable(self) -> bool:
        """Return True for the reading end."""
        self._check_open()
        return "r" in self.mode

    def writable(self) -> bool:
        """Return True for the writing end."""
        self._check_open()
        return "w" in self.mode

    def readinto(self, buffer: Any) -> int:
        """Read what is there into a buffer, at least a byte; returns how many, 0 at the end. Blocks."""
        self._check_open()
        while True:
            try:
                return os.readv(self._fd, [buffer])
            except BlockingIOError:
                pass
            self._descriptor.wait_readable()

    def write(self, data: Any) -> int:
        """Write as much as the pipe takes, at least a byte; returns how many bytes. Blocks."""
        self._check_open()
        while True:
            try:
                return os.write(self._fd, data)
            except BlockingIOError:
                pass
            self._descriptor.wait_writable()

    def close(self) -> None:
        """Close the descriptor; greenlets that wait on it get OSError (EBADF). Idempotent."""
        if not self.closed:
            fd, self._fd = self._fd, -1
            self._descriptor.release()
            super().close()
            os.close(fd)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def __repr__(self) -> str:
        return f"<RawPipe {self.mode} {'closed' if self.closed else self._fd}>"


def open_pipe(fd: int, mode: str, bufsize: int = -1) -> Any:
    """Return a binary file object ("r" or "w") that owns `fd`; `bufsize` as for open(), 0: unbuffered."""
    raw = RawPipe(fd, mode + "b")
    if bufsize == 0:
        return raw
    size = io.DEFAULT_BUFFER_SIZE if bufsize < 0 else bufsize
    return io.BufferedReader(raw, size) if mode == "r" else io.BufferedWriter(raw, size)


def replace_pipe(file: Any, mode: str, bufsize: int) -> Any:
    """Return a cooperative file object in place of a standard one that has not been used, and close that one."""
    if file is None:
        return None
    new = open_pipe(os.dup(file.fileno()), mode, 0 if isinstance(file, io.RawIOBase) else bufsize)
    if isinstance(file, io.TextIOWrapper):
        new = io.TextIOWrapper(
            new,
            encoding=file.encoding,
            errors=file.errors,
            line_buffering=file.line_buffering,
            write_through=file.write_through,
        )
    file.close()
    return new
