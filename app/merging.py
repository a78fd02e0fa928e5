"""One page over many processes: `greenscope serve DIRECTORY`.

    DIRECTORY/4711.sock --.
    DIRECTORY/4712.sock ---+--> MergedProbe --> MergedFeed --> pages, JSON, event stream
    DIRECTORY/4713.sock --'

Pages, stream, guard and control are those of one process; only the feed differs in what has to be asked of others:
what is wrong is what each process has found out itself, at fifty looks a second that no wire could carry, and before
the details of one greenlet are told, its process is asked for its stack.
"""

import argparse
import asyncio
import secrets
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from greenscope.app.backends.merged import MergedProbe
from greenscope.app.backends.merged_control import RemoteSpawnables
from greenscope.app.dashboard import KEEP, DashboardApp, build_dashboard
from greenscope.app.feed import Feed
from greenscope.app.findings.diagnosis import Diagnosis
from greenscope.app.formatting import split_ident
from greenscope.app.listening import check_folder
from greenscope.app.merged_stacks import merge_stacks
from greenscope.app.selection import Steps
from greenscope.app.shared import Shared
from greenscope.app.socket_folder import make_folder, socket_folder


class MergedDiagnosis(Diagnosis):
    """What the processes have found out; nothing is looked for here."""

    def __init__(self, feed: Feed, rows: Callable[[], list[dict[str, Any]]]) -> None:
        super().__init__(feed, ())
        self._told = rows

    async def watch(self) -> None:
        """Look at nothing: each process has a watchdog of its own."""

    def read(self) -> None:
        """Take no event: each process has looked at its own."""

    def steps(self) -> Steps:
        """Do nothing on a tick."""
        yield from ()

    def rows(self) -> list[dict[str, Any]]:
        """Return the findings of all processes, open and worst first."""
        return self._told()


class MergedFeed(Feed):
    """The feed over a MergedProbe."""

    several = True

    def __init__(self, probe: MergedProbe, **options: Any) -> None:
        self.merged = probe
        super().__init__(probe, **options)

    def _begin(self) -> None:
        super()._begin()
        self.diagnosis = MergedDiagnosis(self, self._findings_of_all)

    def _findings_of_all(self) -> list[dict[str, Any]]:
        rows = [
            {**row, "id": f"{worker.pid}-{row.get('id', '')}", "pid": worker.pid}
            for worker in self.merged.live_workers()
            for row in worker.findings
        ]
        rank = {"critical": 0, "warning": 1, "info": 2}
        return sorted(rows, key=lambda row: (row.get("state") != "open", rank.get(str(row.get("severity")), 3)))

    def _apply_steps(self) -> Steps:
        restarted, self.merged.restarted = self.merged.restarted, []
        for pid in restarted:
            self._drop(pid)
        yield from super()._apply_steps()

    def _drop(self, pid: int) -> None:
        """Let go of all that is known of a process that has begun anew: its ids will come again."""
        population = self.population
        stores: tuple[dict[int, Any], ...] = (population.lives, population.bands, population.closed)
        for store in stores:
            for id in [id for id in store if split_ident(id)[0] == pid]:
                del store[id]
        population.finished.discard(lambda id: split_ident(id)[0] == pid)
        self.publish("gap", lost=0, reason=f"process {pid} has begun anew")

    def _check(self, now: float) -> None:
        if self.merged.differs:
            self.merged.differs = False
            self._checked = float("-inf")
        super()._check(now)

    async def wait_met(self, timeout: float) -> None:
        """Wait until what all processes have told first is known here: once, and about so long at most."""
        if not self.merged.met:
            await self.merged.wait_met(timeout)
            while self._ticking:
                await asyncio.sleep(0.005)  # it may have begun before the last of them told
            await self._wait_tick()

    def forget_all(self) -> None:
        """Let go of the processes and of all that is known of them, under a new epoch; `run` may follow."""
        self.merged.forget_all()
        self._begin()

    async def wait_greenlet(self, id: int) -> dict[str, Any] | None:
        """Return all about one greenlet, after its process was asked for its stack."""
        await self.merged.wait_look([id])
        return self.greenlet(id)

    def health(self) -> dict[str, Any]:
        """Return the feed's health, and how each process is."""
        return {**super().health(), "workers": self.merged.rows()}


def build_merged(
    directory: Path, *, control: bool = False, token: str | None = None, authentication: Any = "token"
) -> DashboardApp:
    """Return the dashboard over all processes with a socket in `directory`. Raises ValueError for unfit settings."""
    probe = MergedProbe(directory)
    app = build_dashboard(
        probe,
        feed=MergedFeed(probe),
        control=control,
        token=token,
        authentication=authentication,
        name=directory.name or "/",
        spawnables=RemoteSpawnables(probe.workers),
    )
    app.dashboard.stacks = Shared(lambda: merge_stacks(probe), KEEP)
    return app


def open_folder(chosen: Path | None) -> Path:
    """Return the folder to serve; that of the server processes is made when it is not there yet."""
    if chosen is None:
        folder = socket_folder()
        make_folder(folder)
        return folder
    folder = chosen.absolute()
    if not folder.is_dir():
        raise ValueError(f"DIRECTORY: there is no folder {str(folder)!r}; give the one with the sockets in it")
    check_folder(folder)
    return folder


def serve_directory(options: argparse.Namespace) -> int:
    """Serve one page over the processes in a folder, as the command line says; blocks until Ctrl-C or SIGTERM.

    Raises ValueError or OSError for a folder that is not there or not safe, PortInUse for a busy port.
    """
    from greenscope.app.cli import announce
    from greenscope.app.programs import INTERRUPTED
    from greenscope.app.server import DashboardServer

    directory = open_folder(options.directory)
    token = options.token or secrets.token_urlsafe(32)
    app = build_merged(directory, control=not options.read_only, token=token)
    server = DashboardServer(app, host=options.host, port=options.port)
    server.bind()
    announce(server, options)
    try:
        server.run()
    finally:
        app.dashboard.probe.close()
    return INTERRUPTED if server.signal == signal.SIGINT else 0
