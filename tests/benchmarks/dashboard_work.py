"""The processes that bench_dashboard measures.

    python dashboard_work.py serve LIVE       a dashboard over a scripted probe with LIVE greenlets
    python dashboard_work.py read PORT COUNT SECONDS PATH     COUNT readers of the event stream

`serve` prints its port and token, then obeys a line of standard input at a time and answers each with a line of JSON:
`rate N` (events a second from now on), `forget` (no order is known any more), `cpu` (seconds of this process and of the
server's thread), `burst N` (N events at once, then what became of them), `state`, `rss`. `read` prints, when its time
is over, how much each reader got and whether a number was missing.
"""

import asyncio
import gc
import json
import re
import resource
import sys
import time
from typing import Any

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.dashboard import build_dashboard
from greenscope.app.feed import Feed
from greenscope.app.model import Site
from greenscope.app.server import DashboardServer, Limits
from greenscope.app.stream import EventStream, StreamLimits

TOKEN = "the-token-of-the-benchmark-0123456789"
CLIENTS = 1_100
#: events that the probe keeps between two ticks
BUFFER = 200_000
#: events of one short life: spawned, started, succeeded
PER_LIFE = 3
#: seconds between two steps of the scripted program
STEP = 0.01
FUNCTIONS = ("fetch", "parse", "hash_file", "compress", "retry_later", "serve_client", "store")


def raise_limit() -> None:
    """Allow as many descriptors as the system does."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Program:
    """A scripted program: many that are parked, and short lives at a rate."""

    def __init__(self, live: int) -> None:
        self.probe = FakeProbe(buffer=10 * live + BUFFER)
        self.rate = 0.0
        self.ended = 0
        self.parked: list[int] = []
        self.pool = self.probe.open_group("fetchers", 100)
        for number in range(live):
            function = FUNCTIONS[number * 7919 % len(FUNCTIONS)]
            id = self.probe.add(function, name=f"{function} {number * 104_729 % 1_000_003}", line=number % 500)
            place = Site(f"/srv/crawler/{function}.py", number % 97, function)
            self.probe.start(id, place)
            self.probe.park(id, "socket.recv", f"10.0.0.{number % 250}:443", place=place)
            self.parked.append(id)

    def live_once(self, alone: bool = False) -> None:
        """Let one greenlet live its short life, and (unless `alone`) one that is parked run for a moment."""
        id = self.probe.add("short")
        self.probe.start(id)
        self.probe.succeed(id)
        self.ended += 1
        if self.parked and not alone:
            other = self.parked[self.ended * 7919 % len(self.parked)]
            self.probe.run(other)
            self.probe.park(other, "socket.recv", "10.0.0.1:443")

    async def run(self) -> None:
        """Live at the present rate, for ever."""
        due = time.monotonic()
        owed = 0.0
        while True:
            now = time.monotonic()
            owed = min(owed + (now - due) * self.rate / PER_LIFE, 10_000.0)
            due = now
            while owed >= 1:
                owed -= 1
                self.live_once()
            await asyncio.sleep(STEP)


class Bench:
    """The server with its program, and what can be asked of it."""

    def __init__(self, live: int) -> None:
        self.program = Program(live)
        self.feed = Feed(self.program.probe)
        self.feed.tick()
        self.program.probe._buffer = BUFFER
        stream = EventStream(self.feed, limits=StreamLimits(clients=CLIENTS))
        app = build_dashboard(self.program.probe, feed=self.feed, stream=stream, token=TOKEN, control=True)
        self.server = DashboardServer(app, port=0, limits=Limits(connections=CLIENTS + 100, incomplete=CLIENTS))
        self.server.start_thread()
        while self.server._loop is None:
            time.sleep(0.01)
        asyncio.run_coroutine_threadsafe(self.program.run(), self.server._loop)
        gc.collect()
        gc.freeze()

    def ask(self, function: Any) -> Any:
        """Call in the server's thread."""

        async def call() -> Any:
            return function()

        assert self.server._loop is not None
        return asyncio.run_coroutine_threadsafe(call(), self.server._loop).result(60)

    def state(self) -> dict[str, Any]:
        """Return what is so, and what the feed thinks."""
        feed, probe = self.feed, self.program.probe
        return {
            "live": len(probe.live_ids()),
            "known": len(feed.population.lives),
            "ended": self.program.ended,
            "told": feed.population.ended["succeeded"],
            "dropped": sum(feed.dropped.values()),
            "ring": len(feed.ring),
            "finished": len(feed.population.finished),
            "clients": feed.health()["uptime"] and self.server.dashboard.stream.clients,
        }

    def forget(self) -> None:
        """Let the next answer be made from nothing."""
        orders = self.feed._orders
        orders._kept.clear()
        orders._surveyed = (float("-inf"), float("-inf"))

    def burst(self, count: int) -> dict[str, Any]:
        """Let `count` events happen at once, as a program does that keeps the interpreter to itself meanwhile."""
        before = rss()

        def happen() -> None:
            for _ in range(count // PER_LIFE):
                self.program.live_once(alone=True)

        begun = time.monotonic()
        self.ask(happen)
        took = time.monotonic() - begun
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            state: dict[str, Any] = self.ask(self.state)
            if state["live"] == state["known"] and state["ended"] == state["told"]:
                break
            time.sleep(0.1)
        return {**state, "took": took, "settled": time.monotonic() - begun - took, "grown": rss() - before}

    def obey(self, line: str) -> Any:
        """Carry out one command."""
        command, *arguments = line.split()
        if command == "rate":
            self.program.rate = float(arguments[0])
            return None
        if command == "forget":
            return self.ask(self.forget)
        if command == "cpu":
            return {"process": time.process_time(), "thread": self.ask(time.thread_time), "at": time.monotonic()}
        if command == "burst":
            return self.burst(int(arguments[0]))
        if command == "rss":
            return rss()
        return self.ask(self.state)


def rss() -> float:
    """Return the resident memory in MiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def serve(live: int) -> None:
    """Serve until standard input ends."""
    raise_limit()
    bench = Bench(live)
    print(json.dumps({"port": bench.server.port, "token": TOKEN}), flush=True)
    for line in sys.stdin:
        print(json.dumps(bench.obey(line)), flush=True)
    bench.server.stop()


class Reader:
    """One reader: counts bytes and events, and looks for numbers that are missing."""

    ids = re.compile(rb"^id: [0-9a-f]+-([0-9]+)\r?\n(?:event: (?!hb)|data: \{)", re.MULTILINE)

    def __init__(self) -> None:
        self.status = 0
        self.bytes = self.events = self.missing = self.last = self.gaps = 0
        self.rest = b""

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self.bytes += len(data)
        data = self.rest + data
        cut = data.rfind(b"\n\n") + 2
        if cut < 2:
            self.rest = data
            return
        self.rest, data = data[cut:], data[:cut]
        self.gaps += data.count(b"event: gap")
        for block in data.split(b"\n\n"):
            found = re.search(rb'"seq":\s?"?([0-9]+)', block)
            if found is None or b"event: hb" in block or b"event: gap" in block:
                continue
            number = int(found[1])
            if self.last:
                self.missing += number - self.last - 1
            self.last = number
            self.events += 1

    async def run(self, port: int, path: str) -> None:
        """Read for ever."""
        reading, writing = await asyncio.open_connection("127.0.0.1", port)
        try:
            top = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            writing.write(top.encode())
            head = await reading.readuntil(b"\r\n\r\n")
            self.status = int(head.split()[1])
            while data := await reading.read(65536):
                # chunked framing (RFC 9112 section 7.1): sizes stand on lines of their own
                self.feed(re.sub(rb"(?:^|\r\n)[0-9a-f]+\r\n", b"", data).replace(b"\r\n", b""))
        finally:
            writing.close()


async def read(port: int, count: int, seconds: float, path: str) -> dict[str, Any]:
    """Connect `count` readers, let them read for some seconds once all are there, and sum up."""
    readers = [Reader() for _ in range(count)]
    tasks = []
    for reader in readers:
        tasks.append(asyncio.create_task(reader.run(port, path)))
        if len(tasks) % 20 == 0:
            await asyncio.sleep(0.02)
    deadline = time.monotonic() + 30
    while any(reader.status == 0 for reader in readers) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    print(json.dumps({"connected": sum(reader.status == 200 for reader in readers)}), flush=True)
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "bytes": sum(reader.bytes for reader in readers),
        "events": min(reader.events for reader in readers),
        "missing": sum(reader.missing for reader in readers),
        "gaps": sum(reader.gaps for reader in readers),
    }


def main(arguments: list[str]) -> None:
    """Serve, or read."""
    if arguments[0] == "serve":
        serve(int(arguments[1]))
    else:
        raise_limit()
        _, port, count, seconds, path = arguments
        print(json.dumps(asyncio.run(read(int(port), int(count), float(seconds), path))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
