"""The work that bench_probe measures: `probe_work.py WATCHING WORK ROUNDS [PACE]` prints its time, plain and watched.

A third figure tells of how many rounds both were done while the machine was quiet (`quiet.py`; PACE is its best pace):
until there are ROUNDS of them work is done on, for at most MOST_SECONDS. When there are none, all that were done count,
as they always do of tasks: the figure tells how many, then.

WATCHING is `events` (the probe is attached without accounting; four times a second, as the dashboard does, what it has
noted is taken, and thrown away), `hooks` (the same with accounting), `watched` (watch() with its server thread), `page`
(the same, and a client that keeps the greenlets' page open in another process) or `floor` (hooks that note who lives,
since when and spawned by whose code, and tell nobody: below that there is nothing to show; of works that spawn nobody,
in place of both figures, what the statements that keep an account take in a loop of their own).

Plain and watched rounds alternate in one process, and the best of each counts: a process keeps where it got its memory
and a machine its mood, which differ more from run to run than what is measured here. Of gaps the median counts. What
tasks lose takes seconds to show, and no machine is quiet for so long: of them the median of ratios counts, over all
rounds, of a watched one to the plain one before it; a dashboard has begun for some time then.
"""

import http.client
import itertools
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import runtime_work
from quiet import Rounds

from greenscope import runtime
from greenscope.runtime import event, joinall, lock, pool, queue, sleep, spawn  # noqa: F401 - the works use them
from greenscope.runtime.every import every
from greenscope.runtime.instruments import STARTED, Instrument, hooks

clock = time.perf_counter
#: when to stop waiting for a quiet machine; below peers.RUN_SECONDS
MOST_SECONDS = 40.0

#: reads a page's stream until it is ended, as a browser tab would
READER = """
import http.client, sys
host, port, token, path = sys.argv[1:]
connection = http.client.HTTPConnection(host, int(port), timeout=60)
connection.request("GET", path, headers={"Authorization": "Bearer " + token})
answer = connection.getresponse()
print(answer.status, flush=True)
while answer.read1(65536):
    pass
"""


def burn() -> None:
    """Work for about 100 us."""
    deadline = clock() + 100e-6
    while clock() < deadline:
        pass


def tasks_of_100_us(rt: Any, seconds: float = 1.0) -> float:
    """Return the microseconds per task: greenlets of 100 us each, in waves of 50, for some seconds."""
    done = 0
    began = clock()
    while clock() - began < seconds:
        rt.joinall([rt.spawn(burn) for _ in range(50)])
        done += 50
    return (clock() - began) / done * 1e6


def longest_gap(rt: Any, seconds: float = 3.0) -> float:
    """Return the longest time that the hub's thread did not get on, ms: tasks of 100 us look at the clock all the time.

    What is beyond a few microseconds is another thread's doing, or the machine's.
    """
    worst = 0.0
    seen = clock()
    end = seen + seconds

    def look() -> None:
        nonlocal worst, seen
        deadline = clock() + 100e-6
        while (now := clock()) < deadline:
            if now - seen > worst:
                worst = now - seen
            seen = now

    while clock() < end:
        rt.joinall([rt.spawn(look) for _ in range(50)])
    return worst * 1e3


WORKS: dict[str, Callable[..., float]] = {
    **runtime_work.WORKS,
    "tasks_of_100_us": tasks_of_100_us,
    "longest_gap": longest_gap,
}


class Floor(Instrument):
    """The least that an observer has to do at a birth and at an end, whoever writes it."""

    def __init__(self) -> None:
        self.alive: dict[int, Any] = {}
        ids, alive, frame_at, now = itertools.count(1), self.alive, sys._getframe, time.monotonic

        def spawned(greenlet: Any) -> None:
            frame = frame_at(hooks.depth)
            hooks.depth = STARTED
            id = greenlet._greenscope_id = next(ids)
            greenlet._greenscope_born = now()
            greenlet._greenscope_origin = frame.f_code
            alive[id] = greenlet

        def lived(greenlets: list[Any]) -> None:
            for greenlet in greenlets:
                alive.pop(greenlet._greenscope_id, None)

        self.spawned = spawned  # type: ignore[method-assign]
        self.lived = lived


#: switches of an item, and those among them that end a wait: of works that spawn nobody while they are measured
SWITCHES = {"sleep_zero": (1, 0), "semaphore_handoff": (1, 1), "tcp_echo": (2, 2)}


class Keeper:
    """Has slots as a carrier and a hub have them, for accounts."""

    __slots__ = ("current", "longest_run", "now", "parked_at", "relay_until", "run_time", "switches", "wait_time")

    def __init__(self) -> None:
        self.now = self.relay_until = time.monotonic() + 1e6
        self.current: Any = None
        self.run_time = self.longest_run = self.wait_time = self.parked_at = 0.0
        self.switches = 0


def account(name: str) -> float:
    """Return what keeping an account takes per item of a work that spawns nobody, us."""
    settled, woken = account_alone()
    switches, wakes = SWITCHES[name]
    return switches * settled + wakes * woken


def account_alone(count: int = 200_000) -> tuple[float, float]:
    """Return what the statements of park() that settle an account take, and those of a waker, us: with nothing else."""
    hub, raw, now_of = Keeper(), Keeper(), time.monotonic
    began_at = clock()
    for _ in range(count):
        pass
    looped = clock() - began_at
    hub.now = now_of()
    began_at = clock()
    for _ in range(count):
        began = hub.now
        if began:
            now = now_of()
            spent = now - began
            raw.run_time += spent
            raw.switches += 1
            if spent > raw.longest_run:
                raw.longest_run = spent
            raw.parked_at = hub.now = now
            hub.current = raw
            if now > hub.relay_until:
                break
    settled = clock() - began_at
    began_at = clock()
    for _ in range(count):
        now = hub.now
        if now:
            raw.wait_time += now - (raw.parked_at or now)
    woken = clock() - began_at
    return (settled - looped) / count * 1e6, (woken - looped) / count * 1e6


@contextmanager
def watching(kind: str) -> Iterator[None]:
    """Watch as `kind` says while the block runs."""
    if kind in ("events", "hooks"):
        from greenscope.app.backends.native import NativeProbe

        probe = NativeProbe(accounting=kind == "hooks")
        probe.attach()
        ended = threading.Event()

        def throw_away() -> None:
            while not ended.wait(0.25):
                probe.told.intake.take()

        thread = threading.Thread(target=throw_away)
        thread.start()
        yield
        ended.set()
        thread.join()
        probe.close()
        return
    if kind == "floor":
        floor = Floor()
        runtime.get_hub().accounted = True
        every.link_value(floor.lived)
        hooks.add(floor)
        yield
        hooks.remove(floor)
        every.unlink(floor.lived)
        runtime.get_hub().accounted = False
        return
    import greenscope

    with greenscope.watch(port=0, backend="native") as monitor:
        sleep(0.5)
        if kind == "watched":
            yield
            return
        url, _, token = monitor.url.partition("#token=")
        parts = urllib.parse.urlsplit(url)
        path = "/events?kinds=none&view=greenlets&state=live&limit=100&rate=0.5"
        arguments = [str(parts.hostname), str(parts.port), token, path]
        reader = subprocess.Popen([sys.executable, "-c", READER, *arguments], stdout=subprocess.PIPE, text=True)
        try:
            assert reader.stdout is not None
            status = reader.stdout.readline().strip()
            if status != "200":
                raise http.client.HTTPException(f"the stream answered {status}")
            yield
        finally:
            reader.kill()
            reader.communicate()


def pin_heap(megabytes: int = 256) -> list[bytes]:
    """Return what makes Python keep so much memory: two objects in each arena of 1 MiB, all else in it is free again.

    With more of them each pool would stay theirs, of no use for objects of another size.
    """
    filled = [bytes(470) for _ in range(megabytes * 2048)]
    return filled[::1024]


def best_of(work: Any, plain: Rounds, watched: Rounds, quiet: int) -> tuple[float, float, int]:
    """Return what to print of rounds that a machine can be quiet for."""
    best = median if work is longest_gap else min
    figures = [best((one.quiet() if quiet else None) or one.all()) for one in (plain, watched)]
    return figures[0], figures[1], quiet


def ratio_of(plain: Rounds, watched: Rounds) -> tuple[float, float, int]:
    """Return what to print of rounds that last: neighbours differ less than the best of each, and all of them count."""
    ratios = [seen / unseen for seen, unseen in zip(watched.all(), plain.all(), strict=True)]
    usual = median(plain.all())
    return usual, usual * median(ratios), len(ratios)


def main(kind: str, name: str, rounds: str, best: str = "inf") -> None:
    """Do one work in turns, plain and watched as `kind` says, and print the figure of each, us per item (gaps: ms)."""
    plain, watched = Rounds(float(best)), Rounds(float(best))
    end = clock() + MOST_SECONDS
    switched = kind == "floor" and name in SWITCHES
    pinned = pin_heap()
    work = WORKS[name]
    lasting = work is tasks_of_100_us
    if not switched:
        work(runtime)
    while True:
        if switched:
            plain.measure(lambda: 0.0)
            watched.measure(lambda: account(name))
        else:
            plain.measure(lambda: work(runtime))
            with watching(kind):
                joinall([spawn(runtime_work.noop) for _ in range(100)])
                if lasting:
                    tasks_of_100_us(runtime, 0.5)
                watched.measure(lambda: work(runtime))
        plain.best = watched.best = min(plain.best, watched.best)
        quiet = 0 if lasting else min(len(plain.quiet()), len(watched.quiet()))
        if quiet >= int(rounds) or clock() > end:
            break
    print(*(ratio_of(plain, watched) if lasting else best_of(work, plain, watched, quiet)))
    del pinned


if __name__ == "__main__":
    main(*sys.argv[1:])
