"""The page over all processes of a folder, served by one of them: the port is whose it is.

    4711  has the port ------> http://127.0.0.1:8484/   all sockets of the folder, its own included
    4712  tries it once a second, and has it when 4711 is gone, however that went

Nobody is elected: the kernel gives a port to one process only, and takes it back from a dead one. All share a token,
kept in the folder for its user alone, so that a browser stays logged in when the page moves. The port's holder writes
the address with the token beside it, since a host's log is no place for a token.

The other processes are read only while somebody looks: from the first request on, until there was none, and no open
page, for a minute. Then all is forgotten. The first answer waits until the processes have told their state.
"""

import asyncio
import errno
import os
import secrets
import time
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from greenscope.app.cli import write_url
from greenscope.app.listening import PortInUse
from greenscope.app.merging import MergedFeed, build_merged
from greenscope.app.server import DashboardServer
from greenscope.app.settings import check_token

#: seconds between two tries to have the port
RETRY: Final = 1.0
#: seconds without a request and without an open page after which the processes are let go
IDLE: Final = 60.0
#: seconds that the first answer waits for the processes
PATIENCE: Final = 2.0


def shared_token(folder: Path) -> str:
    """Return the token that all processes of a folder share; the first one makes it. Raises OSError."""
    place = folder / "token"
    made = folder / f".token.{os.getpid()}"
    try:
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
        os.link(made, place)  # with its text from the first moment on, or not at all
    except FileExistsError:
        pass
    finally:
        made.unlink(missing_ok=True)
    found = place.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(errno.EACCES, f"{place} can be read by others, or is theirs; remove it")
    return check_token(place.read_text().strip())


class Met:
    """Behind the guard: let a first answer wait for the processes, so that it is not an empty page."""

    def __init__(self, app: ASGIApp, feed: MergedFeed) -> None:
        self.app = app
        self.feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for those who may see more than the door."""
        if scope["type"] == "http" and scope["greenscope.principal"].trusted:
            await self.feed.wait_met(PATIENCE)
        await self.app(scope, receive, send)


class SharedServer(DashboardServer):
    """A server that tells its address in a file while it has it, and watches only while somebody looks."""

    def __init__(self, folder: Path, port: int, *, control: bool, token: str) -> None:
        app = build_merged(folder, control=control, token=token)
        assert isinstance(app.dashboard.feed, MergedFeed)
        self._feed = app.dashboard.feed
        app.add_middleware(Met, feed=self._feed)
        self.url_file = folder / f"{port}.url"
        self.idle = IDLE
        self._told = False
        self._requests = 0
        self._asked = time.monotonic()
        super().__init__(app, port=port)

    def bind(self) -> None:
        """Bind, listen, and tell the address. Raises PortInUse or OSError, and has no port then."""
        if self._told:
            return
        super().bind()
        try:
            write_url(self.url_file, self.url)
        except OSError:
            self._release()
            raise
        self._told = True

    def withdraw(self) -> None:
        """Take the address away: before the port, which may be another's at once then."""
        if self._told:
            self._told = False
            try:
                self.url_file.unlink(missing_ok=True)
            except OSError:
                pass  # the folder is not ours any more

    def _release(self) -> None:
        self.withdraw()
        super()._release()

    def on_served(self) -> None:
        """Watch nothing yet."""
        self.dashboard.hosted = False

    async def on_tick(self, counter: int) -> bool:
        """Look whether anybody looks."""
        now, requests = time.monotonic(), self.server_state.total_requests
        if requests != self._requests or self.dashboard.stream.clients:
            self._requests, self._asked = requests, now
        elif self.dashboard.watching and now - self._asked > self.idle:
            self.dashboard.pause()
            self._feed.forget_all()
        return await super().on_tick(counter)


class SharedPage:
    """One process' part in the page: it serves it while it has the port, and tries to have it otherwise."""

    def __init__(self, folder: Path, port: int, *, control: bool = False, token: str | None = None) -> None:
        token = shared_token(folder) if token is None else check_token(token)
        self.server = SharedServer(folder, port, control=control, token=token)
        self._woken: asyncio.Event | None = None

    def bind(self) -> bool:
        """Try to have the port; tell whether it is ours. Raises OSError when it cannot be."""
        try:
            self.server.bind()
        except PortInUse:
            return False
        return True

    async def run(self) -> None:
        """Serve when the port is free, until `stop`."""
        self._woken = asyncio.Event()
        while not self.server.should_exit and not self._has_port():
            try:
                await asyncio.wait_for(self._woken.wait(), RETRY)
            except TimeoutError:
                pass
        if not self.server.should_exit:
            await self.server.serve()

    def _has_port(self) -> bool:
        try:
            return self.bind()
        except OSError:
            return False  # no descriptors left, or no room for the file: at another time

    def stop(self) -> None:
        """Let `run` end; in its loop, or before it has begun."""
        self.server.withdraw()
        self.server.should_exit = True
        if self._woken is None:
            self.server.stop()
        else:
            self._woken.set()
            self.server.wake()
