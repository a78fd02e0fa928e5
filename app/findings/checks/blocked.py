"""Which line blocks the hub: the watchdog's ledger, as findings.

While the hub is held, nobody else runs: a block of a second is critical as long as it lasts. Afterwards it is a
warning when it was long or comes often, and what is short and rare stays a note. A turn that is long because many
greenlets ran in it is no single line's fault; it is told as such, and warned of only when it comes again and again.
And an import is slow once, mostly when a program starts: a note, too, when it is over.
"""

from collections.abc import Iterable
from typing import Final

from greenscope.app.findings.case import Case, Check, Scene, Severity
from greenscope.app.findings.ledger import LedgerEntry
from greenscope.app.findings.sites import is_own, short, span, times
from greenscope.app.model import Site

#: a block that lasts so long (seconds) is critical while it does
STUCK: Final = 1.0
#: a block of so long (seconds) is a warning
LONG: Final = 0.25
#: so many seconds of a minute, in any number of blocks, are one, too
OFTEN: Final = 1.0
LATELY: Final = 60.0
#: a crowded turn is a warning when so many came within a minute, and one of them took so long (seconds)
CROWDS: Final = 3
CROWD_LONG: Final = 0.5
#: seconds for which a block is told of after it was last seen
TOLD: Final = 120.0


class Blocked(Check):
    """Something has blocked the hub."""

    kind = "blocked"
    summary = "The hub was held for more than 0.1 s, so that no other greenlet could run"
    every = 0.0

    def check(self, scene: Scene) -> Iterable[Case]:
        """Return the call sites that block, or did within the last two minutes."""
        return [
            self._case(entry, scene.now)
            for entry in scene.watchdog.ledger.entries()
            if entry.open is not None or scene.now - entry.last <= TOLD
        ]

    def _case(self, entry: LedgerEntry, now: float) -> Case:
        block = entry.open or entry.latest
        assert block is not None  # an entry is made with one of the two
        open_for = entry.open.lasted if entry.open is not None else 0.0
        return Case(
            key=entry.key,
            severity=severity_of(entry, now),
            culprit=entry.culprit,
            count=entry.count + (entry.open is not None),
            first=entry.first,
            last=entry.last,
            greenlet=block.greenlet,
            stack=block.stack,
            facts={
                "thread": block.thread,
                "lasts": round(open_for, 3),
                "latest": round(block.lasted, 3),
                "total": round(entry.total + open_for, 3),
                "worst": round(max(entry.worst, open_for), 3),
                "held": round(block.held, 3),
                "stopped": round(block.stopped, 3),
                "holders": block.holders,
                "importing": block.importing,
                "inside": _inside(entry.culprit, block.stack),
            },
        )

    def format(self, case: Case) -> str:
        """Tell who holds or held the hub."""
        facts, place = case.facts, short(case.culprit)
        hub = f"the hub of {facts['thread']}" if facts["thread"] else "the hub"
        if facts["held"]:
            return (
                f"The interpreter was held for {span(facts['held'])}, no thread could run; culprit afterwards: {place}"
                + _again(case)
            )
        if facts["stopped"]:
            return f"The whole process stood still for {span(facts['stopped'])}, with {hub} at {place}" + _again(case)
        if facts["holders"] > 1:
            verb = "has lasted" if facts["lasts"] else "lasted"
            lasts = facts["lasts"] or facts["latest"]
            return f"A turn of {hub} {verb} {span(lasts)} with many greenlets in it, most of the time at {place}" + (
                _again(case)
            )
        if facts["lasts"]:
            return f"{place} has held {hub} for {span(facts['lasts'])}" + _again(case)
        if case.count == 1:
            return f"{place} blocked {hub} for {span(facts['worst'])}"
        return (
            f"{place} blocked {hub} {times(case.count, 'time')}, {span(facts['total'])} in all, "
            f"{span(facts['worst'])} at worst"
        )

    def hint(self, case: Case) -> str:
        """Tell what can be done about it."""
        if case.facts["held"]:
            return (
                "A call into C keeps the interpreter for itself. A thread does not help: split it up, or use a process."
            )
        if case.facts["stopped"]:
            return "Nothing in this process used the processor meanwhile: the machine was busy, or it was suspended."
        if case.facts["holders"] > 1:
            return (
                "No single greenlet is to blame; each of them waits for all others. Spread the work, or use processes."
            )
        if case.facts["importing"]:
            return "It imports a module, which is slow the first time only. Import it before the hub has work to do."
        inside = case.facts["inside"]
        return (f"It stands in {inside}. " if inside else "") + (
            "All other greenlets wait meanwhile. Use a cooperative call, a thread pool, or sleep(0) in long loops."
        )


def severity_of(entry: LedgerEntry, now: float) -> Severity:
    """Judge a call site; see the module."""
    block = entry.open or entry.latest
    if block is None:
        return "info"
    count, total = entry.lately(now - LATELY)
    lasts = entry.open.lasted - entry.open.stopped if entry.open is not None else 0.0
    worst = max(entry.worst, lasts)
    if block.holders > 1:
        return "warning" if count >= CROWDS and worst >= CROWD_LONG else "info"
    if lasts >= STUCK:
        return "critical"
    if block.stopped and max(block.lasted - block.stopped, 0.0) < LONG and entry.count <= 1:
        return "info"
    if block.importing and entry.count <= 1:
        return "info"
    return "warning" if worst >= LONG or total + lasts >= OFTEN else "info"


def _again(case: Case) -> str:
    return "" if case.count == 1 else f" ({times(case.count, 'time')}, {span(case.facts['total'])} in all)"


def _inside(culprit: Site | None, stack: tuple[Site, ...]) -> str:
    """Return what the culprit had called, when the innermost frame is somebody else's."""
    return short(stack[-1]) if culprit is not None and stack and not is_own(stack[-1]) else ""
