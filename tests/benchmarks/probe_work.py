"""The work that bench_probe measures: `python probe_work.py WATCHING WORK ROUNDS` prints its time, plain and watched.

WATCHING is `events` (the probe is attached without accounting, its notes are thrown away), `hooks` (the same with
accounting), `watched` (watch() with its server thread) or `page` (the same, and a client that keeps the greenlets'
page open in another process).

Plain and watched rounds alternate in one process, and the best of each counts: a process keeps where it got its memory
and a machine its mood, which differ more from run to run than what is measured here.
"""

import gc
import http.client
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from greenscope.runtime import joinall, sleep, spawn
from greenscope.runtime.pool import Pool

clock = time.perf_counter

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


def noop() -> None:
    """Do nothing."""


def burn() -> None:
    """Work for about 100 us."""
    deadline = clock() + 100e-6
    while clock() < deadline:
        pass


def spin(count: int) -> None:
    """Let the others run, `count` times."""
    for _ in range(count):
        sleep(0)


def per_item(count: int, function: Callable[[], object]) -> float:
    """Return the microseconds per item of a function that handles `count` of them."""
    gc.collect()
    began = clock()
    function()
    return (clock() - began) / count * 1e6


def spawn_waves(count: int = 20_000) -> float:
    def waves() -> None:
        for _ in range(count // 100):
            joinall([spawn(noop) for _ in range(100)])

    return per_item(count, waves)


def pool_map(count: int = 10_000) -> float:
    pool = Pool(100)
    return per_item(count, lambda: pool.map(lambda _: None, range(count)))


def sleep_zero(count: int = 50_000) -> float:
    return per_item(count, lambda: joinall([spawn(spin, count // 50) for _ in range(50)]))


def tasks_of_100_us(seconds: float = 1.5) -> float:
    """Return the microseconds per task: greenlets of 100 us each, in waves of 50, for some seconds."""
    done = 0
    began = clock()
    while clock() - began < seconds:
        joinall([spawn(burn) for _ in range(50)])
        done += 50
    return (clock() - began) / done * 1e6


WORKS: dict[str, Callable[..., float]] = {
    "spawn_waves": spawn_waves,
    "pool_map": pool_map,
    "sleep_zero": sleep_zero,
    "tasks_of_100_us": tasks_of_100_us,
}


@contextmanager
def watching(kind: str) -> Iterator[None]:
    """Watch as `kind` says while the block runs."""
    if kind in ("events", "hooks"):
        from greenscope.app.backends.native import NativeProbe

        probe = NativeProbe(accounting=kind == "hooks")
        probe.attach()
        ended = threading.Event()

        def throw_away() -> None:
            while not ended.wait(0.02):
                probe.buffer.clear()

        thread = threading.Thread(target=throw_away)
        thread.start()
        yield
        ended.set()
        thread.join()
        probe.close()
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


def main(kind: str, name: str, rounds: str) -> None:
    """Do one work in turns, plain and watched as `kind` says, and print the best figure of each, us per item."""
    work = WORKS[name]
    work()
    plain, watched = [], []
    for _ in range(int(rounds)):
        plain.append(work())
        with watching(kind):
            joinall([spawn(noop) for _ in range(100)])
            watched.append(work())
    print(min(plain), min(watched))


if __name__ == "__main__":
    main(*sys.argv[1:])
