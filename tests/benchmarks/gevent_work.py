"""The work that bench_gevent measures: `python gevent_work.py ACCOUNTING WORK ROUNDS` prints pairs, plain and watched.

Watched means: the probe attached, and a native thread that drains and looks four times a second, as the dashboard's
feed does. A round is plain, watched twice, plain again, in one process, and short: a process keeps where it got its
memory, and a machine has its moods, which differ more from run to run than what is measured here.

Times are CPU time of the whole process, the looking thread's included, since that is what it takes from the program's
GIL and what other load on the machine does not change. The longest stall is by the clock.
"""

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent.event import Event

from greenscope.app.backends import gevent_discovery
from greenscope.app.backends.gevent import GeventProbe

LOOK_EVERY = 0.25
PARKED = 100_000
#: what takes about 100 us to step through, times itself; nothing is allocated, since what that takes hangs on chance
STEPS = (None,) * 140

_watching: list[GeventProbe] = []


def look_again_and_again() -> None:
    """Look as the feed does, at whatever is watching."""
    while True:
        time.sleep(LOOK_EVERY)
        for probe in _watching:
            probe.drain()
            probe.hubs()
            probe.count_states()
            probe.groups()
            probe.sample(probe.live_ids()[:1000])


def spin() -> None:
    """Work for about 100 us."""
    for _ in STEPS:
        for _ in STEPS:
            pass


def warm_up() -> None:
    """Be busy for a while: a processor that was idle is slower at first, and short lives are told at first."""
    end = time.monotonic() + 2 * LOOK_EVERY
    while time.monotonic() < end:
        waves(nothing, 100)


def nothing() -> None:
    """End at once."""


def waves(function: Callable[[], object], count: int) -> None:
    """Spawn and join, a hundred at a time."""
    for _ in range(count // 100):
        gevent.joinall([gevent.spawn(function) for _ in range(100)])


def per_item(count: int, work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Return the microseconds per item of work that handles `count` of them."""
    gc.collect()
    begin = clock()
    work()
    return (clock() - begin) / count * 1e6


def work(count: int = 300) -> float:
    return per_item(count, lambda: waves(spin, count))


def spawn(count: int = 10_000) -> float:
    return per_item(count, lambda: waves(nothing, count))


def call(count: int = 10_000) -> float:
    """Return what the spawner feels: the call alone, in its own thread."""
    spent = 0.0
    for _ in range(count // 100):
        begin = time.thread_time()
        spawned = [gevent.spawn(nothing) for _ in range(100)]
        spent += time.thread_time() - begin
        gevent.joinall(spawned)
    return spent / count * 1e6


def switch(count: int = 150_000) -> float:
    """Return the us per sleep(0), which is two switches."""

    def turn() -> None:
        for _ in range(count):
            gevent.sleep(0)

    return per_item(count, turn)


def parked() -> float:
    """Return the longest delay (ms) of a greenlet that ticks every 5 ms, among many that are parked."""
    never = Event()
    still = [gevent.spawn(never.wait) for _ in range(PARKED)]
    gevent.sleep(5.0)  # until all are told: making 100,000 records may cost one full garbage collection
    end, longest = time.monotonic() + 5.0, 0.0
    while time.monotonic() < end:
        begin = time.monotonic()
        gevent.sleep(0.005)
        longest = max(longest, time.monotonic() - begin - 0.005)
    never.set()
    gevent.joinall(still)
    return longest * 1e3


WORKS: dict[str, Callable[[], float]] = {
    "work": work,
    "spawn": spawn,
    "call": call,
    "switch": switch,
    "parked": parked,
}


#: works whose rounds are short and many: what takes long changes with the machine's mood, which lasts about a second
SHORTER = {"work": 10}


@contextmanager
def watching(accounting: str) -> Iterator[None]:
    """Watch while the block runs."""
    probe = GeventProbe(accounting=accounting)
    probe.attach()
    for lane in probe._registry.shown_lanes():
        lane.left = 0  # as when it has been on for long: the first short lives are told, and told is dear
    _watching.append(probe)
    yield
    _watching.remove(probe)
    probe.close()
    if probe.faults:
        raise SystemExit(f"the probe broke: {probe.faults}")


def main(accounting: str, name: str, rounds: str) -> None:
    """Do one work in turns, plain and watched, and print each pair."""
    run: Any = WORKS[name]
    gevent_discovery.start_new_thread(look_again_and_again, ())
    run()
    for _ in range(int(rounds) * SHORTER.get(name, 1)):
        plain = run()
        with watching(accounting):
            if name not in SHORTER:
                warm_up()
            watched = run()
        print((plain + run()) / 2, watched, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
