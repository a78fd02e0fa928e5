"""The observed program of the browser tests: a dashboard over the scripted probe, in a process of its own.

Playwright runs on greenlets itself, so what is observed must not share its process. The made-up crawler lives on by
itself; `--still` keeps it as it is, `--empty` has nothing in it.
"""

import argparse
import asyncio
import enum
import os
import socket
import threading
import time
from pathlib import Path
from typing import Literal

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.backends.scenario import Scenario
from greenscope.app.dashboard import DashboardApp, build_dashboard
from greenscope.app.feed import Feed
from greenscope.app.server import DashboardServer
from greenscope.app.spawnables import Spawnables
from greenscope.app.stream import EventStream, StreamLimits


class Depth(enum.Enum):
    """How far to follow links."""

    SHALLOW = 1
    DEEP = 9


def crawl(
    url: str,
    depth: int = 2,
    delay: float = 0.5,
    follow: bool = True,
    mode: Literal["breadth", "depth"] = "breadth",
    reach: Depth = Depth.SHALLOW,
    tags: list[str] = ["a", "link"],  # noqa: B006 - a form's default
    proxy: str | None = None,
) -> None:
    """Fetch a page and what it links to.

    Stops by itself at the given depth; `delay` is the pause between two requests to one host, in seconds.
    """


def tidy() -> None:
    """Throw away what the cache holds too long."""


def make_app(options: argparse.Namespace) -> tuple[DashboardApp, FakeProbe, Scenario | None]:
    """Build the dashboard over a scripted probe as the options say."""
    probe = FakeProbe()
    scenario = None
    if not options.empty:
        scenario = Scenario(probe)
        scenario.populate(options.count, hostile=options.hostile)
    if options.broken:
        probe.block(3.2)
        probe.lose("spawned", 1204)
    offered = Spawnables()
    if not options.empty:
        offered.add(crawl)
        offered.add(tidy)
    feed = Feed(probe)
    app = build_dashboard(
        probe,
        feed=feed,
        control=not options.read_only,
        token=options.token,
        name=options.name,
        spawnables=offered,
        stream=EventStream(feed, limits=StreamLimits(send=options.send)) if options.send else None,
    )
    return app, probe, scenario


class LivingServer(DashboardServer):
    """A server in whose loop the crawler lives on, so that nothing here needs a lock."""

    scenario: Scenario | None = None
    ends = 5

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve, and let the crawler go on meanwhile."""
        living = asyncio.get_running_loop().create_task(self.live_on())
        await super().serve(sockets)
        living.cancel()

    async def live_on(self) -> None:
        """Let some greenlets end and others begin, twice a second."""
        while self.scenario is not None:
            await asyncio.sleep(0.5)
            self.scenario.step(self.ends)


def main() -> None:
    """Serve until killed; write the address to `--url-file` once it listens."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default="open-sesame-for-tests-only-0123456789")
    parser.add_argument("--url-file", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--name", default="crawler.py")
    parser.add_argument("--ends", type=int, default=5, help="greenlets that end each half second")
    parser.add_argument("--send", type=float, help="seconds after which a reader that takes nothing is cut")
    for flag in ("--read-only", "--hostile", "--empty", "--still", "--broken"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    app, _probe, scenario = make_app(options)
    server = LivingServer(app, host="127.0.0.1", port=options.port)
    server.scenario = None if options.still else scenario
    server.ends = options.ends
    server.bind()
    starter = os.getppid()

    def end_with_starter() -> None:
        # a test run that dies must not leave this behind
        while os.getppid() == starter:
            time.sleep(0.5)
        server.should_exit = True

    threading.Thread(target=end_with_starter, daemon=True).start()
    options.url_file.write_text(server.url)

    server.run()


if __name__ == "__main__":
    main()
