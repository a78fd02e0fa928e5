"""A made-up crawler for the scripted probe: pools, stages, failures, hostile names, and life that goes on.

Pages need something to show that looks like a real program and is the same every time. `Scenario(probe)`
scripts one: a full pool of fetchers with a queue behind it, a half-empty pool of hashers, a group of
pipeline stages that wait for each other, a lock with an owner, failures with tracebacks, names that a
hostile web site could have chosen. `populate(n)` sets it up with n live greenlets, `step()` lets some end
and others begin. Randomness is seeded.
"""

import random

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.model import Site

_ROOT = "/srv/crawler/crawler"

HOSTILE_NAMES = (
    "<img src=x onerror=alert(1)>",
    "'\"><script>alert(1)</script>",
    "{{ 7 * 7 }} {% raw %}",
    "nul\0newline\nreturn\rtab\t",
    "lone \ud83d surrogate",
    "\u202eright to left\u2066",
    "\ufeffbom\u2028line\u2029paragraph",
    "javascript:alert(1)",
    "x" * 1_000_000,
)

#: function, file, line, what it parks on (kind, name), line where it parks
_WORK = (
    ("fetch", "fetching.py", 41, ("socket.recv", "tcp 10.0.0.7:443"), 58),
    ("hash_file", "hashing.py", 17, ("threadpool", "2 of 10 threads"), 29),
    ("compress", "hashing.py", 52, ("queue.get", "Queue(100) of parse"), 66),
    ("retry_later", "retrying.py", 12, ("sleep", "1.5 s"), 21),
    ("serve_client", "service.py", 88, ("socket.recv", "tcp 127.0.0.1:9000"), 97),
)
_FAILURES = (
    ("PermissionError", "[Errno 13] Permission denied: '/srv/data/secret.bin'"),
    ("ConnectionResetError", "[Errno 104] Connection reset by peer"),
    ("UnicodeDecodeError", "'utf-8' codec can't decode byte 0x81 in position 77: invalid start byte"),
    ("KeyError", "'content-length'"),
)


def _site(file: str, line: int, function: str) -> Site:
    return Site(f"{_ROOT}/{file}", line, function)


class Scenario:
    """A crawler's life on a scripted probe; deterministic for a seed."""

    def __init__(self, probe: FakeProbe, seed: int = 7) -> None:
        self.probe = probe
        self._random = random.Random(seed)
        self._churning: list[int] = []
        self._count = 0
        self.root = probe.add("main", name="main", file=f"{_ROOT}/__main__.py", line=9)
        probe.start(self.root)
        self.fetchers = probe.open_group("fetchers", size=50)
        self.hashers = probe.open_group("hashers", size=8)
        self.stages = probe.open_group("stages")

    def populate(self, count: int = 200, *, hostile: bool = False) -> None:
        """Bring `count` greenlets to life (at least 12), in all states, and let a few have ended already."""
        probe = self.probe
        holder = self._add_stages()
        for _ in range(min(50, max(4, count // 4))):
            self._add_worker(0, self.fetchers)
        probe.set_waiters(self.fetchers, 3)
        for _ in range(3):
            self._add_worker(1, self.hashers)
        for _ in range(6):
            id = self._add_worker(self._random.randrange(5))
            if self._random.random() < 0.4:
                self._fail(id)
            else:
                probe.succeed(id)
            self._churning.remove(id)
        if hostile:
            for name in HOSTILE_NAMES:
                probe.add("fetch", name=name, file=f"{_ROOT}/fetching.py", line=41, parent=self.root)
        probe.add("retry_later", name="retry-later", file=f"{_ROOT}/retrying.py", line=12)
        stubborn = self._add_worker(4)
        probe.swallow_kills(stubborn)
        self._churning.remove(stubborn)
        for _ in range(2):
            id = self._add_worker(2)
            probe.park(id, "semaphore", "cache lock", owner=holder, place=_site("hashing.py", 61, "compress"))
            self._churning.remove(id)
        for _ in range(count - len(probe.live_ids())):
            self._add_worker(self._random.randrange(2, 5))
        for id in self._random.sample(self._churning, min(len(self._churning), max(2, count // 40))):
            probe.make_ready(id)
        probe.run(self.root, _site("__main__.py", 23, "main"))

    def step(self, ends: int = 5) -> None:
        """Let `ends` greenlets end (one in twelve fails) and as many begin, the rest move a little."""
        probe = self.probe
        for _ in range(min(ends, len(self._churning))):
            index = self._random.randrange(len(self._churning))
            id = self._churning[index]
            self._churning[index] = self._churning[-1]
            self._churning.pop()
            if not probe.is_alive(id):
                continue
            probe.run(id)
            if self._random.random() < 1 / 12:
                self._fail(id)
            else:
                probe.succeed(id)
        for _ in range(ends):
            which = self._random.randrange(5)
            group = {0: self.fetchers, 1: self.hashers}.get(which)
            if group is not None and not probe.has_slot(group):
                which, group = 3, None
            self._add_worker(which, group)
        probe.set_waiters(self.fetchers, self._random.randrange(6))
        for id in self._random.sample(self._churning, min(len(self._churning), 3)):
            if probe.is_alive(id):
                probe.make_ready(id)
        if probe.is_alive(self.root):
            probe.run(self.root)

    def _add_stages(self) -> int:
        """Add the pipeline: each stage waits for the one before; return the one that holds the lock."""
        probe = self.probe
        previous: int | None = None
        for function, line in (("walk", 12), ("read", 31), ("parse", 55), ("store", 80)):
            id = probe.add(
                function,
                name=f"stage {function}",
                file=f"{_ROOT}/stages.py",
                line=line,
                parent=self.root,
                group=self.stages,
                spawn_site=_site("__main__.py", 17, "main"),
            )
            probe.start(id)
            place = _site("stages.py", line + 7, function)
            if previous is None:
                probe.park(id, "sleep", "0.05 s", place=place)
            else:
                probe.park(id, "queue.get", f"Queue(100) before {function}", place=place)
            previous = id
        assert previous is not None
        probe.park(previous, "join", "stage parse", target=previous - 1, place=_site("stages.py", 91, "store"))
        return previous

    def _add_worker(self, which: int, group: int | None = None) -> int:
        function, file, line, (kind, name), at = _WORK[which]
        self._count += 1
        site = _site(file, at, function)
        id = self.probe.add(
            function,
            name=f"{function.replace('_', '-')}-{self._count}",
            file=f"{_ROOT}/{file}",
            line=line,
            parent=self.root,
            group=group,
            spawn_site=_site("__main__.py", 20 + which, "main"),
        )
        self.probe.start(id)
        self.probe.park(id, kind, name, place=site)
        self._churning.append(id)
        return id

    def _fail(self, id: int) -> None:
        type, message = self._random.choice(_FAILURES)
        trace = (_site("fetching.py", 41, "fetch"), _site("fetching.py", 72, "read_body"))
        self.probe.fail(id, type, message, trace)
