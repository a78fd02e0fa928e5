"""The dashboard: one Starlette app over one probe, and the object that its parts find each other through.

    build_dashboard(probe) -> DashboardApp
        guard (outermost) -> what the host added -> errors -> router -> pages, JSON, stream, static

It can be served by itself or be mounted under any path of another app. A mounted app is not told when its host starts,
so everything that runs (the feed's tick, the probe's hooks) starts with the first request, in the loop that serves it.
"""

import asyncio
import os
import sys
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from greenscope import __version__
from greenscope.app.access import Access, Authentication
from greenscope.app.assets import Assets, packaged_assets
from greenscope.app.audit import Audit, AuditRecord
from greenscope.app.control import Control
from greenscope.app.feed import Feed
from greenscope.app.formatting import safe_text
from greenscope.app.guard import Guard
from greenscope.app.hosting import host_is_ending
from greenscope.app.hosts import HostList
from greenscope.app.pages.login import PAGE as LOGIN
from greenscope.app.probe import Probe
from greenscope.app.routes import ERRORS, build_routes
from greenscope.app.shared import Shared
from greenscope.app.spawnables import Spawnables, registry
from greenscope.app.stacks import group_stacks
from greenscope.app.stream import EventStream
from greenscope.app.trees import CHUNK, Link, SpawnTree
from greenscope.app.waits import build_waits

#: seconds that a dear answer (stacks, waits) is shared between those who ask
KEEP = 1.0
#: seconds before a feed that could not run is tried again
RETRY = 5.0
#: seconds between two looks at the host of a mounted dashboard
HOST_LOOK = 0.25
#: faults of our own that are told on stderr, and remembered for the health endpoint
TOLD_FAULTS = 10


class Dashboard:
    """What belongs to one dashboard. Pages and endpoints find it as `request.app.state.dashboard`."""

    def __init__(
        self,
        probe: Probe,
        *,
        feed: Feed | None = None,
        control: bool = False,
        token: str | None = None,
        authentication: Authentication = "token",
        hosts: Iterable[str] = (),
        name: str | None = None,
        audit: Audit | str | os.PathLike[str] | None = None,
        spawnables: Spawnables | None = None,
        stream: EventStream | None = None,
    ) -> None:
        self.probe = probe
        self.feed = feed if feed is not None else Feed(probe)
        self.stream = stream if stream is not None else EventStream(self.feed)
        self.access = Access(token, authentication)
        if control and authentication == "none" and token is None:
            raise ValueError("control: needs a token, also on loopback; give token=, or control=False")
        self.controllable = control
        self.hosts = HostList(hosts)
        self.audit = audit if isinstance(audit, Audit) else Audit(audit)
        if self.audit.publish is None:
            self.audit.publish = self._publish_audit
        self.spawnables = spawnables if spawnables is not None else registry
        self.control = Control(probe, self.audit, self.spawnables)
        self.assets: Assets = packaged_assets()
        self.stacks = Shared(lambda: group_stacks(probe), KEEP)
        self.waits = Shared(lambda: build_waits(probe, self._names), KEEP)
        self.tree = Shared(self._grow_tree, KEEP)
        self.guard: Guard | None = None
        self.closed = False
        self.fault_count = 0
        self.faults: deque[str] = deque(maxlen=TOLD_FAULTS)
        self._task: asyncio.Task[None] | None = None
        self._host: asyncio.Task[None] | None = None
        #: whether the server is somebody else's (None: the first start decides)
        self.hosted: bool | None = None
        self._retry = 0.0
        self.info: dict[str, Any] = {
            "name": safe_text(name or Path(sys.argv[0] if sys.argv else "").name or "python"),
            "version": __version__,
            "backend": probe.backend,
            "authentication": authentication,
            "started": time.time(),
        }

    # -- running --------------------------------------------------------------------------------------------

    def start(self, hosted: bool = True) -> None:
        """Begin to watch, in the running event loop; called by the guard for every request, cheap when running.

        `hosted` is False when the server is our own, which closes the dashboard itself. The first call decides.
        """
        task = self._task
        loop = asyncio.get_running_loop()
        if self.closed or (task is not None and task.get_loop() is loop and not task.done()):
            return
        if time.monotonic() >= self._retry:
            self._task = loop.create_task(self._run_feed())
            if self.hosted is None:
                self.hosted = hosted
            if self.hosted and (self._host is None or self._host.done() or self._host.get_loop() is not loop):
                self.stream.closing = False  # another server, after one that has ended
                self._host = loop.create_task(self._end_with_host())

    async def _run_feed(self) -> None:
        """Tick until closed; what stops it is a fault, and the next request after a while tries again."""
        try:
            await self.feed.run()
        except Exception as error:
            self._retry = time.monotonic() + RETRY
            self.on_fault(error)

    async def _end_with_host(self) -> None:
        """End the streams when the server of a mounted dashboard shuts down: it waits for them."""
        while not self.closed and not host_is_ending():
            await asyncio.sleep(HOST_LOOK)
        self.stream.close()

    @property
    def watching(self) -> bool:
        """Whether the tick runs."""
        return self._task is not None and not self._task.done()

    def pause(self) -> None:
        """Stop the tick until the next request; in the dashboard's loop."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """End the streams with a `bye` and stop the tick. Idempotent; in the dashboard's loop."""
        if self.closed:
            return
        self.closed = True
        self.stream.close()
        self.feed.close()

    async def wait_closed(self) -> None:
        """Wait until the tick has stopped, then give the audit's file back."""
        host, self._host = self._host, None
        if host is not None and host.get_loop() is asyncio.get_running_loop():
            host.cancel()
        task, self._task = self._task, None
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            done, _ = await asyncio.wait({task}, timeout=0.5)
            if not done:
                task.cancel()
                await asyncio.wait({task}, timeout=0.5)
        self.audit.close()

    def on_fault(self, error: Exception) -> None:
        """Count a fault of the dashboard's own and tell the first few on stderr; it never goes any further."""
        self.fault_count += 1
        text = "".join(traceback.format_exception(error))
        self.faults.append(text)
        if self.fault_count <= TOLD_FAULTS:
            try:
                sys.stderr.write(f"greenscope: a fault in the dashboard, the program goes on:\n{text}")
            except Exception:
                pass  # a program may have closed its stderr; the health endpoint still tells the count

    # -- answers of more than one part ----------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        """Return the feed's health and ours."""
        return {
            **self.feed.health(),
            "version": __version__,
            "pid": os.getpid(),
            "name": self.info["name"],
            "clients": self.stream.clients,
            "control": self.controllable,
            "faults": self.fault_count,
        }

    def findings(self) -> list[dict[str, Any]]:
        """Return what is wrong, as far as the feed looks for it."""
        find = getattr(self.feed, "findings", None)
        return [] if find is None else list(find())

    def _names(self, ids: list[int]) -> dict[int, tuple[str, str]]:
        states = {sample.id: sample.state for sample in self.probe.sample(ids)}
        return {id: (self.describe(id)[0], str(states.get(id, ""))) for id in ids}

    async def _grow_tree(self) -> SpawnTree:
        tree = SpawnTree()
        for _ in tree.grow(self._links()):
            await asyncio.sleep(0)
        return tree

    def _links(self) -> Iterator[Link]:
        """Read every known greenlet's parent and state, looking at the living in chunks that are not kept."""
        population = self.feed.population
        live = list(population.lives)
        for start in range(0, len(live), CHUNK):
            ids = live[start : start + CHUNK]
            states = {sample.id: sample.state for sample in self.probe.sample(ids)}
            for id in ids:
                life = self.feed.life(id)
                if life is not None:
                    yield id, life.record.parent, states.get(id, life.state)
        for life in list(population.finished):
            yield life.record.id, life.record.parent, life.state

    def describe(self, id: int) -> tuple[str, str]:
        """Return name and function of a greenlet (empty: forgotten)."""
        life = self.feed.life(id)
        return ("", "") if life is None else (safe_text(life.record.name), safe_text(life.record.function))

    def _publish_audit(self, record: AuditRecord) -> None:
        fields = record.fields()
        del fields["t"]
        if record.greenlet is None:
            del fields["greenlet"]
        self.feed.publish("audit", **fields)


class DashboardApp(Starlette):
    """The app: Starlette with the guard outermost, before even its own error handling."""

    def __init__(self, dashboard: Dashboard, routes: list[BaseRoute]) -> None:
        super().__init__(routes=routes, exception_handlers=ERRORS, lifespan=_lifespan)
        self.router.redirect_slashes = False  # a redirect is made from the Host header; a wrong path is just wrong
        self.state.dashboard = dashboard
        self.dashboard = dashboard

    def build_middleware_stack(self) -> ASGIApp:
        """Put the guard before everything; what a host adds goes behind it."""
        board = self.dashboard
        app: ASGIApp = ExceptionMiddleware(self.router, handlers=self.exception_handlers)
        for cls, args, kwargs in reversed(self.user_middleware):
            app = cls(app, *args, **kwargs)
        board.guard = Guard(
            app,
            board.access,
            board.hosts,
            control=board.controllable,
            login_page=LOGIN.endpoint,
            on_request=board.start,
            on_refused=board.audit.refuse,
            on_fault=board.on_fault,
        )
        return board.guard


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """Close with the server, when somebody serves the app by itself."""
    yield
    board: Dashboard = app.state.dashboard
    board.close()
    await board.wait_closed()


def build_dashboard(
    probe: Probe,
    *,
    feed: Feed | None = None,
    control: bool = False,
    token: str | None = None,
    authentication: Authentication = "token",
    hosts: Iterable[str] = (),
    name: str | None = None,
    audit: Audit | str | os.PathLike[str] | None = None,
    spawnables: Spawnables | None = None,
    stream: EventStream | None = None,
) -> DashboardApp:
    """Build the app that watches `probe`.

    `control` allows kill, spawn and resize; `authentication` is by `token` (needed then), by the permissions of the
    Unix socket (`uds`), or left to the host app (`none`: reading is open, control still needs a token). `hosts` are
    the names besides the loopback ones under which it may be reached. `audit` is a file's path.
    Raises ValueError for settings that would be unsafe, AuditError when the audit's file cannot be opened.
    """
    dashboard = Dashboard(
        probe,
        feed=feed,
        control=control,
        token=token,
        authentication=authentication,
        hosts=hosts,
        name=name,
        audit=audit,
        spawnables=spawnables,
        stream=stream,
    )
    return DashboardApp(dashboard, build_routes(dashboard.stream.endpoint, dashboard.assets))
