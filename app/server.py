"""The server: uvicorn in a thread of its own, a guest in somebody else's process.

What a guest must not do decides everything here. It binds its sockets itself (a busy port raises `PortInUse`, not
SystemExit). It touches no signal unless it is our own command in the main thread. It runs in a raw thread that nobody
joins, takes no lock of the program's, logs nothing, and imports everything before it starts, so that it works beside
gevent. In a forked child, which has no server thread, the descriptors are closed, and the
parent is not warned of a fork beside threads when the only such thread is ours. When told to stop, it says `bye` on
the streams and is gone within 3 s, however stalled their readers are.

A caller may stop it from any thread: `stop` sets a flag and wakes the loop, which looks twice a second anyway.
"""

import _thread
import asyncio
import atexit
import errno
import functools
import os
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol
from urllib.parse import quote

from uvicorn import Config, Server

from greenscope.app.connections import DeadlineProtocol, Deadlines, Limits
from greenscope.app.dashboard import Dashboard, DashboardApp
from greenscope.app.hosts import is_loopback
from greenscope.app.listening import BACKLOG, PortInUse, bind_tcp, bind_unix
from greenscope.app.loop import new_loop
from greenscope.app.natives import pause
from greenscope.app.settings import check_host, check_port, check_uds

__all__ = ["DashboardServer", "InsecureBind", "Limits", "PortInUse"]

#: seconds that healthy clients get for their last bytes, and that all get before they are cut
GRACE_HEALTHY = 1.0
GRACE_STALLED = 2.0
#: tenths of a second between two looks at the flag
HALF_SECOND = 5
#: turns of the loop that asyncio takes from accepting a connection to telling its protocol, and some to spare
ACCEPTING = 5
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
WILDCARDS = ("0.0.0.0", "::", "[::]")


class InsecureBind(ValueError):
    """An address that others can reach needs a token."""


class Beside(Protocol):
    """What runs in a server's loop as long as it serves: `run` until `stop`."""

    async def run(self) -> None: ...

    def stop(self) -> None: ...


class StartThread(Protocol):
    """What starts a native thread: `_thread.start_new_thread` or gevent's original of it."""

    def __call__(self, function: Callable[..., object], args: tuple[Any, ...], /) -> int: ...


class DashboardServer(Server):
    """Serves one dashboard on one TCP address or one Unix socket."""

    def __init__(
        self,
        app: DashboardApp,
        *,
        host: str = "127.0.0.1",
        port: int = 8484,
        uds: str | os.PathLike[str] | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        self.dashboard: Dashboard = app.state.dashboard
        self.host = check_host(host)
        self.port = check_port(port)
        self.uds = None if uds is None else check_uds(uds)
        self.deadlines = Deadlines(limits)
        self.finished = False
        #: how often a connection could not be accepted for want of descriptors or memory
        self.exhausted = 0
        #: the signal that ended `run`, and what a thread's loop died of
        self.signal: int | None = None
        self.error: BaseException | None = None
        self._socket: socket.socket | None = None
        self._socket_file: tuple[int, int] | None = None
        self._running = False
        self._ident = 0
        #: what is to run beside it, from the loop's next look on; may be added to from any thread
        self.beside: deque[Beside] = deque()
        self._beside: dict[asyncio.Task[None], Beside] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken: asyncio.Event | None = None
        self._check_exposure()
        config = Config(
            app,
            loop="asyncio",
            http=functools.partial(DeadlineProtocol, self.deadlines),  # type: ignore[arg-type]
            ws="none",
            backlog=BACKLOG,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        super().__init__(config)

    def _check_exposure(self) -> None:
        """Refuse an address that others can reach, unless they need a token there."""
        authentication = self.dashboard.access.authentication
        if self.uds is not None:
            return
        if authentication == "uds":
            raise InsecureBind("authentication 'uds' is for a Unix socket only; give uds= or a token")
        if not is_loopback(self.host) and authentication != "token":
            raise InsecureBind(f"host {self.host!r} can be reached by others: it needs a token")

    # -- the socket -----------------------------------------------------------------------------------------

    def bind(self) -> None:
        """Bind and listen, in the caller's thread; idempotent. Raises PortInUse or OSError. Loads all imports."""
        if self._socket is not None:
            return
        if self.uds is not None:
            self._socket = bind_unix(self.uds)
            found = self.uds.stat()
            self._socket_file = (found.st_dev, found.st_ino)
        else:
            if self.host in WILDCARDS:
                self.dashboard.hosts.own_addresses = True
            else:
                self.dashboard.hosts.allow(self.host)  # before there is a socket that an error would leave behind
            self._socket = bind_tcp(self.host, self.port)
            self.port = int(self._socket.getsockname()[1])
        _servers.add(self)
        if not self.config.loaded:
            self.config.load()

    @property
    def url(self) -> str:
        """The address to open; the token is in its fragment, which is sent to nobody."""
        token = self.dashboard.access.token
        fragment = "" if token is None else f"#token={quote(token, safe='')}"
        if self.uds is not None:
            return f"unix:{self.uds}"
        host = "127.0.0.1" if self.host == "0.0.0.0" else "[::1]" if self.host in WILDCARDS else self.host
        bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
        return f"http://{bracketed}:{self.port}/{fragment}"

    def _release(self) -> None:
        """Close the listener and remove our socket file."""
        listener, self._socket = self._socket, None
        if listener is None:
            return
        listener.close()
        self.remove_socket_file()

    def remove_socket_file(self) -> None:
        """Remove our socket file, unless another process has taken its place."""
        if self.uds is not None:
            try:
                found = self.uds.lstat()
                if (found.st_dev, found.st_ino) == self._socket_file:
                    self.uds.unlink()
            except OSError:
                pass  # it is gone already

    # -- running --------------------------------------------------------------------------------------------

    def run(self, sockets: list[socket.socket] | None = None, *, handle_signals: bool = True) -> None:
        """Serve until stopped; blocks. In the main thread SIGINT and SIGTERM stop it (`signal` tells which)."""
        self.bind()
        with _Signals(self, handle_signals and threading.current_thread() is threading.main_thread()):
            self._run()

    def start_thread(self, start: StartThread = _thread.start_new_thread) -> None:
        """Serve in a native thread that `start` starts; returns when the socket listens. Raises PortInUse."""
        self.bind()
        self._running = True
        try:
            start(self._run_guarded, ())
        except BaseException:
            self._running = False
            raise

    def _run_guarded(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self.error = error
            try:
                sys.stderr.write("greenscope: the dashboard's server ended, the program goes on:\n")
                traceback.print_exception(error, file=sys.stderr)
            except Exception:
                pass  # a program may have closed its stderr; `error` still tells

    def _run(self) -> None:
        self._running = True
        self._ident = _thread.get_ident()
        try:
            # Not asyncio.run: a policy set by the program (uvloop) must not decide what we run on. Never in debug mode:
            # it compares thread identifiers, which gevent changes when it patches a program that is watched already.
            with asyncio.Runner(debug=False, loop_factory=new_loop) as runner:
                runner.run(self.serve())
        finally:
            self._release()
            self.finished = True
            self._running = False

    def stop(self, timeout: float = 5.0, sleep: Callable[[float], None] = pause) -> bool:
        """Stop serving and wait at most `timeout` seconds; True when it has ended. From any thread; idempotent.

        `sleep` is how it waits: cooperatively where the program is, unless told otherwise.
        """
        self.should_exit = True
        self.wake()
        if not self._running:
            self._release()
            self.finished = True
            return True
        if self._ident == _thread.get_ident():
            return False  # asked from within: the loop ends after this turn
        deadline = time.monotonic() + timeout
        while not self.finished and time.monotonic() < deadline:
            sleep(0.005)  # no lock: the program could hold it
        return self.finished

    def wake(self) -> None:
        """Let the loop look at `should_exit` now; from any thread, and from a signal handler."""
        loop, woken = self._loop, self._woken
        if loop is not None and woken is not None:
            try:
                loop.call_soon_threadsafe(woken.set)
            except RuntimeError:
                pass  # it has ended already

    async def main_loop(self) -> None:
        """Wait for the end, and keep the Date header of answers right."""
        assert self._woken is not None
        turn = 0
        # uvicorn's own loop wakes ten times a second; its tick counts in tenths
        while not await self.on_tick(turn):
            turn += HALF_SECOND
            while self.beside:
                added = self.beside.popleft()
                self._beside[asyncio.create_task(added.run())] = added
            try:
                async with asyncio.timeout(HALF_SECOND / 10):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in the running loop until `should_exit`."""
        assert self._socket is not None
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._loop.get_exception_handler() is None:  # else we are the one beside another
            self._loop.set_exception_handler(self._on_loop_fault)
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=[self._socket])
        self.on_served()
        try:
            if not self.should_exit:
                await self.main_loop()
        finally:
            await self.shutdown()

    def on_served(self) -> None:
        """Begin to watch: not with the first request, since what happens before it is part of the story."""
        self.dashboard.start(hosted=False)

    def _on_loop_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Count what asyncio would log: no descriptors left, a callback that failed."""
        error = context.get("exception")
        if self.should_exit:
            return  # what fails because we are closing is no news
        if isinstance(error, OSError) and error.errno in EXHAUSTED:
            # asyncio tells this once per place in the backlog, every second: tell people once
            self.exhausted += 1
            if self.exhausted > 1:
                return
        if isinstance(error, Exception):
            self.dashboard.on_fault(error)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, say bye, give clients a moment, then cut them."""
        if self._socket is not None:
            # Accept no more, and let asyncio finish what it has accepted, before the server is closed: one that is
            # in between then would be dropped without being closed (CPython issue 109564).
            asyncio.get_running_loop().remove_reader(self._socket)
        for other in (*self._beside.values(), *self.beside):
            other.stop()
        for _ in range(ACCEPTING):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        self._release()
        self.dashboard.close()
        for connection in list(self.server_state.connections):
            try:
                connection.shutdown()
            except Exception:
                connection.transport.abort()
        await self._wait_connections(GRACE_HEALTHY + GRACE_STALLED if not self.force_exit else 0.0)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()
        await self._wait_connections(0.25)
        await self.dashboard.wait_closed()
        if self._beside:
            await asyncio.wait(self._beside, timeout=GRACE_HEALTHY + GRACE_STALLED)

    async def _wait_connections(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        state = self.server_state
        while (state.connections or state.tasks) and time.monotonic() < deadline and not self.force_exit:
            await asyncio.sleep(0.01)

    # -- fork -----------------------------------------------------------------------------------------------

    def close_in_child(self) -> None:
        """Close our descriptors in a forked child, without a word to the loop that still runs in the parent."""
        listener, self._socket = self._socket, None
        if listener is not None:
            listener.close()
        for connection in list(self.server_state.connections):
            held = connection.transport.get_extra_info("socket")
            try:
                os.close(getattr(held, "_sock", held).detach())
            except (OSError, AttributeError):
                pass  # closed already
        self.server_state.connections.clear()
        self._running = False
        self.finished = True


class _Signals:
    """SIGINT and SIGTERM stop the server while the block runs; then the handlers are as they were."""

    def __init__(self, server: DashboardServer, active: bool) -> None:
        self._server = server
        self._active = active
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if self._active:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._server.should_exit:
            self._server.force_exit = True  # the second Ctrl-C means now
        self._server.should_exit = True
        self._server.signal = number
        self._server.wake()


_servers: "weakref.WeakSet[DashboardServer]" = weakref.WeakSet()


def _before_fork() -> None:
    """Keep Python from warning (since 3.12) of a fork in a process with threads, when all but one of them are ours."""
    own = {server._ident for server in _servers}
    if sum(ident not in own for ident in sys._current_frames()) <= 1:
        warnings.filterwarnings("ignore", r"This process .* is multi-threaded, use of fork", DeprecationWarning)


def _on_fork() -> None:
    for server in list(_servers):
        server.close_in_child()
    _servers.clear()


def _on_exit() -> None:
    """Leave no socket file behind when a program ends without closing us; the thread itself just ends with it."""
    for server in list(_servers):
        server.remove_socket_file()


os.register_at_fork(before=_before_fork, after_in_child=_on_fork)
atexit.register(_on_exit)
