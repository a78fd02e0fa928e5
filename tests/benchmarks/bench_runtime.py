"""What the runtime costs beside gevent: prints a table of ours, gevent's, their ratio and the bound for it.

    python tests/benchmarks/bench_runtime.py [WORK ...] [--rounds N]

Each work runs in fresh processes, ours and gevent's in turns; the figures are medians. The last column says what of it
is not kept. Exits with 1 when a bound is not kept.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers import compare, options

OURS, THEIRS = "greenscope.runtime", "gevent"
SCRIPT = Path(__file__).resolve().with_name("runtime_work.py")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: `ratio` and `most` are bounds, in gevent's figure and in the unit; None: no such bound."""

    work: str
    text: str
    ratio: float | None
    unit: str = "us"
    most: float | None = None


ROWS = (
    Row("spawn_all", "spawn + joinall of no-ops, 100,000 at once", 0.20),
    Row("spawn_waves", "the same in waves of 100", 0.20),
    Row("pool_map", "Pool(100).map of no-ops", 0.25),
    Row("pool_imap_unordered", "Pool(100).imap_unordered of no-ops", 0.25),
    Row("group_spawn", "Group.spawn + join of no-ops", 0.25),
    Row("spawn_links", "spawn + link + link_value", 0.20),
    Row("spawn_get", "spawn + get", 0.40),
    Row("sleep_zero", "sleep(0) switch among 50", 0.75),
    Row("queue_items", "Queue(10), producer and consumer, per item", 1.0),
    Row("semaphore_handoff", "Semaphore handoff with a switch", 0.8),
    Row("semaphore_contended", "Semaphore held across sleep(0), 4 greenlets", None),
    Row("event_waiters", "Event with 20,000 waiters, spawn to end", 0.6),
    Row("spawn_later", "10,000 spawn_later within 10 ms", 0.5),
    Row("killall_sleepers", "killall of 10,000 sleepers", 0.6),
    Row("parked_memory", "memory per parked greenlet", 1.0, "B"),
    Row("unbegun_memory", "memory per greenlet not yet begun", None, "B", 1024),
    Row("tcp_echo", "TCP echo, 100 connections, per round trip", 1.0),
)


def fault(row: Row, ours: float, theirs: float) -> str:
    """Return what of a row's bounds is not kept, empty when all are."""
    if row.ratio is not None and ours > row.ratio * theirs:
        return f"over {row.ratio:.2f}x"
    if row.most is not None and ours > row.most:
        return f"over {row.most:.0f} {row.unit}"
    return ""


def main(arguments: list[str] | None = None) -> int:
    """Print the table; returns the exit code."""
    works, rounds = options(arguments, "what the runtime costs beside gevent", [row.work for row in ROWS], rounds=5)
    print(f"{'work':44} {'ours':>9} {'gevent':>9}    {'ratio':>6} {'bound':>6}")
    faults = 0
    for row in ROWS:
        if row.work not in works:
            continue
        figures = compare(SCRIPT, row.work, (OURS, THEIRS), rounds)
        ours, theirs = figures[OURS], figures[THEIRS]
        bound = f"{row.ratio:.2f}x" if row.ratio is not None else "" if row.most is None else f"{row.most:.0f}"
        kept = fault(row, ours, theirs)
        faults += bool(kept)
        print(
            f"{row.text:44} {ours:9.2f} {theirs:9.2f} {row.unit:2} {ours / theirs:5.2f}x {bound:>6} {kept}".rstrip(),
            flush=True,
        )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
