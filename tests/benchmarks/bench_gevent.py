"""What watching costs a gevent program: the same work plain and watched, in turns, with bounds.

    python tests/benchmarks/bench_gevent.py [WORK ...] [--rounds N] [--accounting light]

Each figure is the median over the rounds, `+` and `x` are the medians of what a round's pair differs by. The bounds are
those of light accounting; those in us were set on a machine of which the first line tells how this one compares. Exits
with 1 when a bound is not kept.
"""

import argparse
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_probe import tell_machine
from peers import run

SCRIPT = Path(__file__).resolve().with_name("gevent_work.py")


@dataclass(frozen=True, slots=True)
class Row:
    """One line: bounds of the watched figure, of the difference in us, of the ratio."""

    work: str
    text: str
    unit: str = "us"
    most: float | None = None
    most_more: float | None = None
    most_times: float | None = None


ROWS = (
    Row("work", "greenlets that work for about 100 us each", most_times=1.10),
    Row("spawn", "spawn and join of empty greenlets", most_more=1.5),
    Row("call", "the call of spawn() alone, as the spawner feels it"),
    Row("switch", "sleep(0) in one greenlet: two switches"),
    Row("parked", "100,000 parked, all told: longest stall of a ticking greenlet", "ms", most=20.0),
)


def main(arguments: list[str]) -> int:
    """Print the table; returns 1 when a bound is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("works", nargs="*", metavar="WORK", choices=[*(row.work for row in ROWS), []])
    parser.add_argument("--rounds", type=int, default=30, help="of each work, plain and watched (default: 30)")
    parser.add_argument("--accounting", default="light", choices=("off", "light", "full"))
    options = parser.parse_args(arguments)
    tell_machine()
    print(f"{'work':64} {'plain':>8} {'watched':>8} {'+':>7} {'x':>6}  bound")
    failed = 0
    for row in ROWS:
        if options.works and row.work not in options.works:
            continue
        rounds = 1 if row.work == "parked" else options.rounds
        lines = run(SCRIPT, options.accounting, row.work, str(rounds)).splitlines()
        pairs = [tuple(map(float, line.split())) for line in lines]
        plain, watched = (statistics.median(side) for side in zip(*pairs, strict=True))
        more = statistics.median(watched - plain for plain, watched in pairs)
        times = statistics.median(watched / plain for plain, watched in pairs)
        kept, bound = verdict(row, watched, more, times)
        figures = f"{plain:8.2f} {watched:8.2f} {more:+7.2f} {times:6.2f}"
        print(f"{f'{row.text}, {row.unit}':64} {figures}  {bound}{'' if kept else '  NOT KEPT'}", flush=True)
        failed |= not kept
    return int(failed)


def verdict(row: Row, watched: float, more: float, times: float) -> tuple[bool, str]:
    """Return whether a row's bound is kept, and the bound in words."""
    if row.most is not None:
        return watched <= row.most, f"{row.most:.0f} {row.unit}"
    if row.most_more is not None:
        return more <= row.most_more, f"+{row.most_more:.2f}"
    if row.most_times is not None:
        return times <= row.most_times, f"{row.most_times:.2f}x"
    return True, ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
