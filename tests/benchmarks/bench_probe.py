"""What being watched costs a program on the native runtime: plain and watched, in turns, with bounds.

    python tests/benchmarks/bench_probe.py [WORK ...] [--rounds N]

`+us` is the difference to the plain program per item, `x` the ratio of times, for tasks that of throughputs. The bounds
in us were set on a machine of which the first line tells how this one compares. Exits with 1 when a bound is not kept.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers import measure, run

SCRIPT = Path(__file__).resolve().with_name("probe_work.py")
RUNTIME_SCRIPT = SCRIPT.with_name("runtime_work.py")
#: what spawn + joinall of no-ops takes with gevent 26.9 where the bounds were set, us
GEVENT_US = 18.5


@dataclass(frozen=True, slots=True)
class Row:
    """One line: `most` bounds the difference in us, `least` the ratio of throughputs, plain through watched."""

    work: str
    kind: str
    text: str
    most: float | None = None
    least: float | None = None


ROWS = (
    Row("spawn_waves", "events", "spawn + joinall of no-ops, lifecycle events alone, us", most=1.0),
    Row("spawn_waves", "hooks", "spawn + joinall of no-ops, events and accounting, us", most=1.0),
    Row("pool_map", "hooks", "Pool(100).map of no-ops, events and accounting, us"),
    Row("sleep_zero", "hooks", "sleep(0) among 50, events and accounting, us", most=0.15),
    Row("spawn_waves", "watched", "spawn + joinall of no-ops, dashboard in its thread, us"),
    Row("sleep_zero", "watched", "sleep(0) among 50, dashboard in its thread, us"),
    Row("tasks_of_100_us", "watched", "tasks of 100 us, dashboard in its thread, us", least=0.97),
    Row("tasks_of_100_us", "page", "tasks of 100 us, a page open, us", least=0.97),
)


def tell_machine() -> None:
    """Print how long gevent takes here for what took it GEVENT_US where the bounds were set."""
    here = min(measure(RUNTIME_SCRIPT, "gevent", "spawn_waves") for _ in range(5))
    print(f"gevent's own spawn + joinall of a no-op: {here:.1f} us, {here / GEVENT_US:.2f} of what it took", end=" ")
    print("where the bounds were set", flush=True)


def main(arguments: list[str]) -> int:
    """Print the table; returns 1 when a bound is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("works", nargs="*", metavar="WORK", choices=[*{row.work for row in ROWS}, []])
    parser.add_argument("--rounds", type=int, default=12, help="of each work, plain and watched (default: 12)")
    options = parser.parse_args(arguments)
    tell_machine()
    print(f"{'work':56} {'plain':>8} {'watched':>8} {'+us':>7} {'x':>6}  bound")
    failed = 0
    for row in ROWS:
        if options.works and row.work not in options.works:
            continue
        plain, watched = map(float, run(SCRIPT, row.kind, row.work, str(options.rounds)).split())
        kept = (row.most is None or watched - plain <= row.most) and (row.least is None or plain >= row.least * watched)
        bound = f"+{row.most:.2f}" if row.most is not None else f"{row.least}x" if row.least is not None else ""
        figure = watched / plain if row.least is None else plain / watched
        verdict = "" if kept else "  NOT KEPT"
        print(
            f"{row.text:56} {plain:8.2f} {watched:8.2f} {watched - plain:+7.2f} {figure:6.2f}  {bound}{verdict}",
            flush=True,
        )
        failed |= not kept
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
