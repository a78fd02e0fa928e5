"""The cooperative socket class: only the calling greenlet waits.

It is a subclass of the standard one whose descriptor never blocks: a call asks the
kernel first and parks only when the kernel says that it would block. What a time-out
means is this class' business, the kernel is not told.

After a read that came back short, a TCP socket knows that nothing is left; the next
read then parks at once instead of asking for an error (see `poller.Owner`).
"""

import _socket
import os
import socket as _std
from errno import EAGAIN, EALREADY, EINPROGRESS, EISCONN, EWOULDBLOCK
from socket import SO_ERROR, SOCK_STREAM, SOL_SOCKET, getdefaulttimeout
from time import monotonic
from typing import Any, Self

from greenscope.runtime.addresses import resolve_address
from greenscope.runtime.descriptors import Descriptor
from greenscope.runtime.poller import Owner
from greenscope.runtime.waiting import sleep

__all__ = ["socket"]

_base = _socket.socket
_init, _set_timeout = _std.socket.__init__, _base.settimeout
_recv, _recv_into, _send = _base.recv, _base.recv_into, _base.send
_IN_PROGRESS = (EWOULDBLOCK, EINPROGRESS, EALREADY)
_INTERNET = (_std.AF_INET, _std.AF_INET6)
_UNSET: Any = object()

#: seconds between two attempts to connect to a Unix socket whose queue is full
BACKLOG_DELAY = 0.005

#: bytes per turn of sendfile()
SENDFILE_CHUNK = 1 << 20


class socket(_std.socket):
    """A socket as the standard library's, in which only the calling greenlet waits (socket's differences 1 to 3).

    Time-outs raise TimeoutError; a greenlet that waits on a socket which another one closes gets OSError (EBADF), and
    one that waits for what another one waits for already gets ConcurrentObjectUseError.
    """

    __slots__ = ("_descriptor", "_streams", "_timeout")

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        _init(self, family, type, proto, fileno)
        _set_timeout(self, 0.0)
        self._timeout: float | None = getdefaulttimeout()
        self._descriptor = Descriptor(_base.fileno(self))
        #: a short read means that nothing is left: not so where reads keep to messages' bounds
        self._streams = _base.type.__get__(self) == SOCK_STREAM and _base.family.__get__(self) in _INTERNET

    # -- time-outs

    def settimeout(self, timeout: float | None) -> None:
        """Set the seconds after which an operation raises TimeoutError; None: never, 0: never block."""
        if timeout is not None:
            timeout = float(timeout)
            if timeout < 0.0:
                raise ValueError("Timeout value out of range")
        self._timeout = timeout

    def gettimeout(self) -> float | None:
        """Return what settimeout() set."""
        return self._timeout

    @property
    def timeout(self) -> float | None:
        """What settimeout() set."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        """Set the time-out to None when `flag` is true, else to 0."""
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        """Return False when the time-out is 0."""
        return self._timeout != 0.0

    def _wait_readable(self) -> None:
        timeout = self._timeout
        if timeout is None:
            self._descriptor.wait_readable()
        elif timeout == 0.0:
            raise BlockingIOError(EAGAIN, os.strerror(EAGAIN))
        elif not self._descriptor.wait_readable(timeout):
            raise TimeoutError("timed out")

    def _wait_writable(self) -> None:
        timeout = self._timeout
        if timeout is None:
            self._descriptor.wait_writable()
        elif timeout == 0.0:
            raise BlockingIOError(EAGAIN, os.strerror(EAGAIN))
        elif not self._descriptor.wait_writable(timeout):
            raise TimeoutError("timed out")

    # -- connections

    def _accept(self) -> Any:
        """Return (descriptor, address): the standard accept() makes a socket of them."""
        while True:
            try:
                return _base._accept(self)  # type: ignore[attr-defined]
            except BlockingIOError:
                pass
            self._wait_readable()

    def accept(self) -> tuple["socket", Any]:
        """Return (a new socket, the peer's address) for the next connection. Blocks."""
        fd, address = self._accept()
        new = socket(_base.family.__get__(self), _base.type.__get__(self), self.proto, fileno=fd)
        return new, address

    def connect(self, address: Any) -> None:
        """Connect to an address; a name in it is looked up. Blocks."""
        if self._timeout == 0.0:
            _base.connect(self, address)
            return
        self._connect(resolve_address(_base.family.__get__(self), address))

    def _connect(self, address: Any) -> None:
        result = _base.connect_ex(self, address)
        while result and result != EISCONN:
            if result not in _IN_PROGRESS:
                raise OSError(result, os.strerror(result))
            if result == EWOULDBLOCK and self.family == _std.AF_UNIX:
                self._wait_backlog()
            else:
                self._wait_writable()
            result = self.getsockopt(SOL_SOCKET, SO_ERROR)
            if not result:
                result = _base.connect_ex(self, address)

    def _wait_backlog(self) -> None:
        """Give a Unix socket's listener time to accept: the kernel does not tell when its queue has room again."""
        if self._timeout is not None:
            raise TimeoutError("timed out: the listener's queue is full")
        sleep(BACKLOG_DELAY)

    def connect_ex(self, address: Any) -> int:
        """Connect as connect() does, but return the error's number, 0 without one. Blocks."""
        try:
            if self._timeout == 0.0:
                return _base.connect_ex(self, address)
            self.connect(address)
        except TimeoutError as error:
            return error.errno or EAGAIN
        except _std.gaierror:
            raise
        except OSError as error:
            if error.errno is None:
                raise
            return error.errno
        return 0

    # -- reading

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Return up to `bufsize` bytes, none at the end of the stream. Blocks."""
        owner = self._descriptor.owner
        if owner is not None and owner.drained:
            self._wait_drained(owner)
        while True:
            try:
                data = _recv(self, bufsize, flags)
            except BlockingIOError:
                pass
            else:
                if 0 < len(data) < bufsize and self._streams and not flags:
                    owner = self._descriptor.owner
                    if owner is not None and owner.exact:
                        owner.drained = True
                return data
            self._wait_readable()

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read into a buffer up to `nbytes` bytes (0: its size); returns how many. Blocks."""
        owner = self._descriptor.owner
        if owner is not None and owner.drained:
            self._wait_drained(owner)
        while True:
            try:
                count = _recv_into(self, buffer, nbytes, flags)
            except BlockingIOError:
                pass
            else:
                if self._streams and not flags and 0 < count < (nbytes or memoryview(buffer).nbytes):
                    owner = self._descriptor.owner
                    if owner is not None and owner.exact:
                        owner.drained = True
                return count
            self._wait_readable()

    def _wait_drained(self, owner: Owner) -> None:
        """Park at once: the kernel has nothing. A socket that never blocks has to ask it, for lack of a turn."""
        owner.drained = False
        if self._timeout != 0.0:
            self._wait_readable()

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """Return (bytes, sender's address). Blocks."""
        while True:
            try:
                return _base.recvfrom(self, bufsize, flags)
            except BlockingIOError:
                pass
            self._wait_readable()

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """Read into a buffer; returns (how many bytes, sender's address). Blocks."""
        while True:
            try:
                return _base.recvfrom_into(self, buffer, nbytes, flags)
            except BlockingIOError:
                pass
            self._wait_readable()

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> Any:
        """Return (data, ancillary data, flags, address), as the standard library's. Blocks."""
        while True:
            try:
                return _base.recvmsg(self, bufsize, ancbufsize, flags)
            except BlockingIOError:
                pass
            self._wait_readable()

    def recvmsg_into(self, buffers: Any, ancbufsize: int = 0, flags: int = 0) -> Any:
        """Return (how many bytes, ancillary data, flags, address), as the standard library's. Blocks."""
        while True:
            try:
                return _base.recvmsg_into(self, buffers, ancbufsize, flags)
            except BlockingIOError:
                pass
            self._wait_readable()

    # -- writing

    def send(self, data: Any, flags: int = 0, timeout: Any = _UNSET) -> int:
        """Send bytes; returns how many the kernel took. Blocks until it takes some.

        `timeout` (seconds) stands in for that of the socket.
        """
        while True:
            try:
                return _send(self, data, flags)
            except BlockingIOError:
                pass
            if timeout is _UNSET:
                self._wait_writable()
            elif timeout == 0.0:
                raise BlockingIOError(EAGAIN, os.strerror(EAGAIN))
            elif not self._descriptor.wait_writable(timeout):
                raise TimeoutError("timed out")

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all bytes. Blocks; the time-out counts for the whole. After an error nobody knows how many were sent."""
        sent = 0
        try:
            sent = _send(self, data, flags)
            if data.__class__ is bytes and sent == len(data):
                return
        except BlockingIOError:
            if self._timeout == 0.0:
                raise
        with memoryview(data) as view:
            if sent < view.nbytes:
                self._send_rest(as_bytes(view), sent, flags)

    def _send_rest(self, view: memoryview, sent: int, flags: int) -> None:
        size = len(view)
        timeout = self._timeout
        deadline = monotonic() + timeout if timeout else None
        while sent < size:
            try:
                sent += _send(self, view[sent:], flags)
                continue
            except BlockingIOError:
                if timeout == 0.0:
                    raise
            if deadline is None:
                self._descriptor.wait_writable()
            elif not self._descriptor.wait_writable(max(0.0, deadline - monotonic())):
                raise TimeoutError("timed out")

    def sendto(self, data: Any, *args: Any) -> int:
        """Send to an address: sendto(data, address) or sendto(data, flags, address); a name is looked up. Blocks."""
        if args:
            *flags, address = args
            args = (*flags, resolve_address(_base.family.__get__(self), address))
        while True:
            try:
                return _base.sendto(self, data, *args)
            except BlockingIOError:
                pass
            self._wait_writable()

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        """Send buffers and ancillary data; returns how many bytes the kernel took. Blocks."""
        while True:
            try:
                return _base.sendmsg(self, buffers, ancdata, flags, address)
            except BlockingIOError:
                if flags & getattr(_std, "MSG_DONTWAIT", 0):
                    raise
            self._wait_writable()

    def _sendfile_use_sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a regular file by the kernel; the standard sendfile() falls back to send() for others."""
        self._check_sendfile_params(file, offset, count)  # type: ignore[attr-defined]
        give_up: Any = _std._GiveupOnSendfile  # type: ignore[attr-defined]
        try:
            fileno = file.fileno()
            size = os.fstat(fileno).st_size
        except (AttributeError, OSError) as error:
            raise give_up(error)  # not a regular file
        if not size or self._timeout == 0.0:
            if self._timeout == 0.0:
                raise ValueError("non-blocking sockets are not supported")
            return 0
        total = 0
        try:
            while count is None or total < count:
                chunk = SENDFILE_CHUNK if count is None else min(SENDFILE_CHUNK, count - total)
                try:
                    sent = os.sendfile(self.fileno(), fileno, offset + total, chunk)
                except BlockingIOError:
                    self._wait_writable()
                    continue
                except OSError as error:
                    if not total:
                        raise give_up(error)
                    raise
                if not sent:
                    break
                total += sent
            return total
        finally:
            if total and hasattr(file, "seek"):
                file.seek(offset + total)

    # -- the end

    def _real_close(self, _ss: Any = _base) -> None:
        self._descriptor.release()
        _ss.close(self)

    def __del__(self) -> None:
        try:
            self._descriptor.release()
        except AttributeError:
            pass  # it was never made
        super().__del__()  # type: ignore[misc]

    def detach(self) -> int:
        """Give the descriptor up without closing it; returns it. Greenlets that wait on it get OSError."""
        self._descriptor.release()
        return super().detach()

    def dup(self) -> Self:
        """Return a new socket on a duplicate of the descriptor."""
        fd = _std.dup(self.fileno())
        new = self.__class__(self.family, self.type, self.proto, fileno=fd)
        new.settimeout(self._timeout)
        return new

    @property
    def closed(self) -> bool:
        """True after close(), also when a file of makefile() still holds the connection open."""
        return bool(self._closed)  # type: ignore[attr-defined]


def as_bytes(view: memoryview) -> memoryview:
    """Return a view of the same memory by the byte; of a copy when its format cannot be taken apart."""
    try:
        return view.cast("B")
    except TypeError:
        return memoryview(view.tobytes())
