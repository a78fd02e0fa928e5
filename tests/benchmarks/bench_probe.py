"""What being watched costs a program on the native runtime: plain and watched, in turns, with bounds.

    python tests/benchmarks/bench_probe.py [WORK ...] [--rounds N]

`+us` is the difference to the plain program per item, `x` the ratio of times, for tasks that of throughputs. `floor` is
what hooks add that only note who lives, since when, and spawned by whose code; of a switch, what the statements that
keep an account take in a loop of their own. The bounds in us were set on a machine of which the first line tells how
this one compares. Of the rounds those count that were done while the machine was quiet (`quiet.py`), and of them the
best; `quiet` tells how many there were, plain and watched, and a work is given a minute to get N of them. Exits with 1
when a bound is not kept.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers import measure, run
from quiet import best_pace

SCRIPT = Path(__file__).resolve().with_name("probe_work.py")
RUNTIME_SCRIPT = SCRIPT.with_name("runtime_work.py")
#: what spawn + joinall of no-ops takes with gevent 26.9 where the bounds were set, us
GEVENT_US = 18.5


@dataclass(frozen=True, slots=True)
class Row:
    """One line: `most` bounds the difference in us, `least` the ratio of throughputs, `gap` the figure itself in ms.

    With `floor` the least that watching could add is measured, too.
    """

    work: str
    kind: str
    text: str
    most: float | None = None
    least: float | None = None
    gap: float | None = None
    floor: bool = False

    @property
    def bound(self) -> str:
        """The bound as text."""
        if self.most is not None:
            return f"+{self.most:.2f}"
        return f"{self.least}x" if self.least is not None else f"{self.gap} ms" if self.gap is not None else ""

    def keeps(self, plain: float, watched: float) -> bool:
        """Tell whether the figures keep the bound."""
        return (
            (self.most is None or watched - plain <= self.most)
            and (self.least is None or plain >= self.least * watched)
            and (self.gap is None or watched <= self.gap)
        )


#: what a greenlet may cost, and a switch, us
EACH, SWITCH = 1.0, 0.15

ROWS = (
    Row("spawn_waves", "events", "spawn + joinall of no-ops in waves, lifecycle events alone", EACH),
    Row("spawn_waves", "hooks", "the same, events and accounting, as in what follows", EACH, floor=True),
    Row("spawn_all", "hooks", "100,000 at once", EACH, floor=True),
    Row("pool_map", "hooks", "Pool(100).map of no-ops", EACH, floor=True),
    Row("pool_imap_unordered", "hooks", "Pool(100).imap_unordered of no-ops", EACH, floor=True),
    Row("group_spawn", "hooks", "Group.spawn + join of no-ops", EACH, floor=True),
    Row("spawn_links", "hooks", "spawn + link + link_value", EACH, floor=True),
    Row("spawn_get", "hooks", "spawn + get: a greenlet and two switches", EACH + 2 * SWITCH, floor=True),
    Row("sleep_zero", "hooks", "sleep(0) switch among 50", SWITCH, floor=True),
    Row("queue_items", "hooks", "Queue(10), per item", SWITCH),
    Row("semaphore_handoff", "hooks", "Semaphore handoff with a switch", SWITCH, floor=True),
    Row("event_waiters", "hooks", "Event with 20,000 waiters: a greenlet and a switch", EACH + SWITCH, floor=True),
    Row("spawn_later", "hooks", "10,000 spawn_later within 10 ms", EACH, floor=True),
    Row("killall_sleepers", "hooks", "killall of 10,000 sleepers: an end and a switch", EACH + SWITCH, floor=True),
    Row("tcp_echo", "hooks", "TCP echo, 100 connections: two switches", 2 * SWITCH, floor=True),
    Row("spawn_waves", "watched", "spawn + joinall in waves, dashboard in its thread", EACH),
    Row("pool_map", "watched", "Pool(100).map, dashboard in its thread", EACH),
    Row("sleep_zero", "watched", "sleep(0) switch, dashboard in its thread", SWITCH),
    Row("tasks_of_100_us", "watched", "tasks of 100 us, dashboard in its thread", least=0.97),
    Row("tasks_of_100_us", "page", "tasks of 100 us, a page open", least=0.97),
    Row("longest_gap", "watched", "longest gap in the hub's thread, dashboard in its thread, ms", gap=5.0),
    Row("longest_gap", "page", "longest gap in the hub's thread, a page open, ms", gap=5.0),
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
    best = str(best_pace())
    print(f"{'work':60} {'plain':>8} {'watched':>8} {'+us':>7} {'x':>6} {'floor':>6} {'quiet':>5}  bound")
    failed = 0
    for row in ROWS:
        if options.works and row.work not in options.works:
            continue
        plain, watched, quiet = map(float, run(SCRIPT, row.kind, row.work, str(options.rounds), best).split())
        kept = row.keeps(plain, watched)
        floor = ""
        if row.floor:
            bare, least, _ = map(float, run(SCRIPT, "floor", row.work, str(options.rounds), best).split())
            floor = f"{least - bare:+.2f}"
        figure = watched / plain if row.least is None else plain / watched
        verdict = "" if kept else "  NOT KEPT"
        figures = f"{plain:8.2f} {watched:8.2f} {watched - plain:+7.2f} {figure:6.2f} {floor:>6} {quiet:5.0f}"
        print(f"{row.text:60} {figures}  {row.bound}{verdict}", flush=True)
        failed |= not kept
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
