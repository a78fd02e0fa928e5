"""Whether what is done for one greenlet depends on how many others are at the same thing: ours and gevent's.

    python tests/benchmarks/bench_growth.py [WORK ...] [--rounds N]

Each work (`growth_work.py`) is done for FEW and for MANY greenlets, in fresh processes, ours and gevent's in turns;
the figures are medians, us per greenlet. A search in a line grows as MANY / FEW, 16 times; what a heap of more objects
costs, in caches and in the collector, twice or three times. For MANY ours may take no longer than gevent, and not grow
more than MOST times or than gevent's does. Exits with 1 when that is not kept.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent))

from growth_work import WORKS
from peers import measure, options

OURS, THEIRS = "greenscope.runtime", "gevent"
SCRIPT = Path(__file__).resolve().with_name("growth_work.py")
FEW, MANY = 1_000, 16_000
#: how many times as long one may take among MANY
MOST = 4.0


@dataclass(frozen=True, slots=True)
class Growth:
    """What one greenlet takes among few and among many, us."""

    few: float
    many: float

    @property
    def times(self) -> float:
        """How many times as long it takes among many."""
        return self.many / self.few


def fault(ours: Growth, theirs: Growth) -> str:
    """Return what is not kept, empty when all is."""
    if ours.many > theirs.many:
        return f"{ours.many / theirs.many:.2f}x of gevent's"
    if ours.times > max(MOST, theirs.times):
        return f"grows {ours.times:.1f} times"
    return ""


def main(arguments: list[str] | None = None) -> int:
    """Print the table; returns the exit code."""
    works, rounds = options(arguments, "what one greenlet costs among few and among many", WORKS, rounds=3)
    print(f"{'work':20} {f'ours, {FEW}':>12} {MANY:>8} {'grows':>6} {f'gevent, {FEW}':>14} {MANY:>8} {'grows':>6}")
    faults = 0
    for work in works:
        found: dict[tuple[str, int], list[float]] = {}
        for _ in range(rounds):
            for count in (FEW, MANY):
                for package in (OURS, THEIRS):
                    found.setdefault((package, count), []).append(measure(SCRIPT, package, work, str(count)))
        ours, theirs = (Growth(*(median(found[package, count]) for count in (FEW, MANY))) for package in (OURS, THEIRS))
        kept = fault(ours, theirs)
        figures = f"{ours.few:12.2f} {ours.many:8.2f} {ours.times:5.1f}x {theirs.few:14.2f} {theirs.many:8.2f}"
        print(f"{work:20} {figures} {theirs.times:5.1f}x  {kept}", flush=True)
        faults += bool(kept)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
