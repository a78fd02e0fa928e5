"""What being watched costs a program on the native runtime: plain and watched, in turns, with bounds.

    python tests/benchmarks/bench_probe.py [WORK ...] [--rounds N]

`+us` is the difference to the plain program per item, `x` the ratio of times, for tasks that of throughputs. `floor` is
what hooks add that only note who lives, since when, and spawned by whose code; of a switch, what the statements that
keep an account take in a loop of their own. Of the rounds those count that were done while the machine was quiet
(`quiet.py`), and of them the best; `quiet` tells how many there were, plain and watched, and a work is given 40 s to
get N of them. Of tasks, it tells how many pairs of rounds there were in that time; the median of their ratios counts.

The bounds in us were set where gevent took so long for the same work as GEVENT_US says. `pace` is how many times as
long it takes here, and a bound is that much wider; one that is kept only so is marked `at this pace`, one below its own
floor `below the floor`. Exits with 1 when another one is not kept.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peers import measure, options, run
from quiet import best_pace

SCRIPT = Path(__file__).resolve().with_name("probe_work.py")
RUNTIME_SCRIPT = SCRIPT.with_name("runtime_work.py")
#: what gevent 26.9 takes for an item of each work where the bounds were set, us
GEVENT_US = {
    "spawn_waves": 18.5,
    "spawn_all": 18.5,
    "pool_map": 15.3,
    "pool_imap_unordered": 14.5,
    "group_spawn": 16.9,
    "spawn_links": 39.0,
    "spawn_get": 8.2,
    "sleep_zero": 1.68,
    "queue_items": 0.66,
    "semaphore_handoff": 2.2,
    "event_waiters": 24.0,
    "spawn_later": 20.0,
    "killall_sleepers": 50.0,
}


NOT_KEPT = "NOT KEPT"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: `most` bounds the difference in us, `least` the ratio of throughputs, `gap` the figure itself in ms.

    With `floor` the least that watching could add to the work is measured, too: once, for all rows of it.
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

    def fault(self, plain: float, watched: float, pace: float, floor: float) -> str:
        """Return what of the bound is not kept, empty when it is; see the module."""
        if self.most is not None and watched - plain > self.most:
            if watched - plain <= self.most * pace:
                return "at this pace"
            return "below the floor" if floor > self.most * pace else NOT_KEPT
        if self.least is not None and plain < self.least * watched:
            return NOT_KEPT
        return NOT_KEPT if self.gap is not None and watched > self.gap else ""


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


def pace_of(work: str, rounds: int = 5) -> float:
    """Return how many times as long as where the bounds were set gevent takes for a work, at least 1; 1 if unknown."""
    if work not in GEVENT_US:
        return 1.0
    here = min(measure(RUNTIME_SCRIPT, "gevent", work) for _ in range(rounds))
    return max(1.0, here / GEVENT_US[work])


def main(arguments: list[str]) -> int:
    """Print the table; returns 1 when a bound is not kept."""
    works, rounds = options(
        arguments, "what being watched costs", list(dict.fromkeys(row.work for row in ROWS)), rounds=12
    )
    best = str(best_pace())
    paces: dict[str, float] = {}
    floors: dict[str, float] = {}
    print(f"{'work':60} {'plain':>8} {'watched':>8} {'+us':>7} {'x':>6} {'floor':>6} {'quiet':>5} {'pace':>5}  bound")
    failed = False
    for row in ROWS:
        if row.work not in works:
            continue
        plain, watched, quiet = map(float, run(SCRIPT, row.kind, row.work, str(rounds), best).split())
        if row.most is not None and row.work not in paces:
            paces[row.work] = pace_of(row.work)
        pace = paces.get(row.work, 1.0)
        if row.floor and row.work not in floors:
            bare, least, _ = map(float, run(SCRIPT, "floor", row.work, str(rounds), best).split())
            floors[row.work] = least - bare
        least = floors.get(row.work, 0.0) if row.most is not None else 0.0
        fault = row.fault(plain, watched, pace, least)
        figure = watched / plain if row.least is None else plain / watched
        floor = f"{least:+.2f}" if least else ""
        figures = (
            f"{plain:8.2f} {watched:8.2f} {watched - plain:+7.2f} {figure:6.2f} {floor:>6} {quiet:5.0f} {pace:5.2f}"
        )
        print(f"{row.text:60} {figures}  {row.bound:6} {fault}".rstrip(), flush=True)
        failed |= fault == NOT_KEPT
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
