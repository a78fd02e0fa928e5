"""What watching costs a gevent program: the same work with and without the probe, in alternating processes.

    python tests/benchmarks/bench_gevent.py [--rounds N] [--accounting light] [--json]

Each round runs every workload in a fresh process twice, once watched; the order alternates. What is reported is the
median over rounds of the ratio within a round, since a shared machine drifts. Watched means: the probe attached, and
a native thread that drains and looks four times a second, as the dashboard's feed does.

Times are CPU time of the whole process, the looking thread's included, since that is what it takes from the
program's GIL and what other load on the machine does not change; `--wall` measures by the clock instead. The longest
stall is always by the clock.

    work     greenlets that spin for about 100 us each             target: ratio <= 1.10
    spawn    spawn and join of empty greenlets                     target: +1.5 us per greenlet
    call     the call of spawn() alone, as the spawner feels it
    switch   sleep(0) in one greenlet
    parked   100,000 parked greenlets, all told: the longest stall of a ticking greenlet while the thread looks at
             1,000 of them four times a second                     target: 20 ms
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORKLOADS = ("work", "spawn", "call", "switch", "parked")
PARKED = 100_000
LOOK_EVERY = 0.25
SPIN = 4_300
clock: Callable[[], float] = time.process_time


def watch(accounting: str) -> Any:
    """Attach a probe, and look at it from a native thread as the feed does."""
    from greenscope.app.backends import gevent_discovery
    from greenscope.app.backends.gevent import GeventProbe

    probe = GeventProbe(accounting=accounting)
    probe.attach()

    def look() -> None:
        while True:
            time.sleep(LOOK_EVERY)
            probe.drain()
            probe.hubs()
            probe.count_states()
            probe.groups()
            ids = probe.live_ids()
            probe.sample(ids[:1000])

    gevent_discovery.start_new_thread(look, ())
    return probe


def spin() -> None:
    """Work for about 100 us."""
    total = 0
    for number in range(SPIN):
        total += number


def nothing() -> None:
    """End at once."""


def run_work() -> float:
    """Return the us per greenlet that works."""
    import gevent

    count = 4_000
    begin = clock()
    for _ in range(count // 100):
        gevent.joinall([gevent.spawn(spin) for _ in range(100)])
    return (clock() - begin) / count * 1e6


def run_spawn() -> float:
    """Return the us per spawned and joined greenlet."""
    import gevent

    count = 40_000
    begin = clock()
    for _ in range(count // 100):
        gevent.joinall([gevent.spawn(nothing) for _ in range(100)])
    return (clock() - begin) / count * 1e6


def run_call() -> float:
    """Return the us per call of spawn()."""
    import gevent

    count, spent = 40_000, 0.0
    for _ in range(count // 100):
        begin = clock()
        spawned = [gevent.spawn(nothing) for _ in range(100)]
        spent += clock() - begin
        gevent.joinall(spawned)
    return spent / count * 1e6


def run_switch() -> float:
    """Return the us per sleep(0): two switches."""
    import gevent

    count = 200_000
    begin = clock()
    for _ in range(count):
        gevent.sleep(0)
    return (clock() - begin) / count * 1e6


def run_parked() -> float:
    """Return the longest delay (ms) of a greenlet that ticks every 5 ms, among many that are parked."""
    import gevent
    from gevent.event import Event

    never = Event()
    parked = [gevent.spawn(never.wait) for _ in range(PARKED)]
    gevent.sleep(5.0)  # until all are told: making 100,000 records may cost one full garbage collection
    end, longest = time.monotonic() + 5.0, 0.0
    while time.monotonic() < end:
        begin = time.monotonic()
        gevent.sleep(0.005)
        longest = max(longest, time.monotonic() - begin - 0.005)
    assert len(parked) == PARKED
    return longest * 1e3


def child(workload: str, accounting: str, how: str) -> None:
    """Run one workload in this process and print its figure."""
    import gevent

    global clock
    if how == "wall":
        clock = time.perf_counter
    elif workload == "call":
        clock = time.thread_time

    gevent.get_hub()
    run = globals()[f"run_{workload}"]
    probe = watch(accounting) if accounting != "none" else None
    if workload != "parked":
        run()  # once to warm up
    figures = [run() for _ in range(1 if workload == "parked" else 3)]
    print(json.dumps({"figure": min(figures), "faults": probe.faults if probe else []}), flush=True)
    os._exit(0)


def measure(workload: str, accounting: str, how: str) -> float:
    """Run a workload in a process of its own."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root / ".dev")}
    command = [sys.executable, __file__, "--child", workload, accounting, how]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    answer = json.loads(done.stdout)
    if answer["faults"]:
        raise SystemExit(f"the probe broke: {answer['faults']}")
    return float(answer["figure"])


def compare(workload: str, accounting: str, rounds: int, how: str) -> dict[str, Any]:
    """Return the medians of a workload without and with the probe, and of ratio and difference."""
    pairs = []
    for number in range(rounds):
        order = ("none", accounting) if number % 2 == 0 else (accounting, "none")
        figures = {which: measure(workload, which, how) for which in order}
        pairs.append((figures["none"], figures[accounting]))
    return {
        "workload": workload,
        "without": statistics.median(pair[0] for pair in pairs),
        "with": statistics.median(pair[1] for pair in pairs),
        "ratio": statistics.median(pair[1] / pair[0] for pair in pairs),
        "difference": statistics.median(pair[1] - pair[0] for pair in pairs),
    }


def main() -> None:
    """Compare all workloads and print a table."""
    parser = argparse.ArgumentParser(description="what watching costs a gevent program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--accounting", default="light", choices=("off", "light", "full"))
    parser.add_argument("--only", choices=WORKLOADS, action="append")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--child", nargs=3)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
    results = [
        compare(workload, arguments.accounting, arguments.rounds, "wall" if arguments.wall else "cpu")
        for workload in arguments.only or WORKLOADS
    ]
    if arguments.json:
        print(json.dumps(results))
        return
    print(f"{'workload':10} {'without':>10} {'with':>10} {'ratio':>7} {'difference':>11}")
    for row in results:
        unit = "ms" if row["workload"] == "parked" else "us"
        figures = f"{row['without']:8.2f}{unit} {row['with']:8.2f}{unit}"
        print(f"{row['workload']:10} {figures} {row['ratio']:7.3f} {row['difference']:+9.2f}{unit}")


if __name__ == "__main__":
    main()
