"""Nobody could run, and no hub was in a turn: a thread of its own held the interpreter, or the process stood still."""

from collections.abc import Iterable
from typing import Final

from greenscope.app.findings.case import Case, Check, Scene
from greenscope.app.findings.sites import span, times

#: seconds for which it is told of after it was last seen
TOLD: Final = 120.0
#: so long (seconds) in all within that time is a warning
LONG: Final = 1.0


class Held(Check):
    """The interpreter was held, but not by a hub."""

    kind = "interpreter_held"
    summary = "No thread of the process could run for more than 0.2 s, and no hub was to blame"

    def check(self, scene: Scene) -> Iterable[Case]:
        """Return what was seen of it within the last two minutes."""
        for stopped, stretches in ((False, scene.watchdog.held_by_others), (True, scene.watchdog.stopped)):
            seen = [(one.ended, one.lasted) for one in stretches if scene.now - one.ended <= TOLD]
            if not seen:
                continue
            total = sum(lasted for _, lasted in seen)
            yield Case(
                key=(stopped,),
                severity="warning" if total >= LONG and not stopped else "info",
                culprit=None,
                count=len(seen),
                first=seen[0][0] - seen[0][1],
                last=seen[-1][0],
                facts={
                    "stopped": stopped,
                    "total": round(total, 3),
                    "worst": round(max(lasted for _, lasted in seen), 3),
                },
            )

    def format(self, case: Case) -> str:
        """Tell how long and how often."""
        worst, often = span(case.facts["worst"]), times(case.count, "time")
        if case.facts["stopped"]:
            return f"The dashboard's thread did not run for {worst}, nor did any other ({often} lately)"
        return f"A thread that is no hub held the interpreter for {worst} ({often} lately)"

    def hint(self, case: Case) -> str:
        """Tell what it means."""
        if case.facts["stopped"]:
            return (
                "Nothing in this process used the processor meanwhile: the machine was busy, or the process suspended."
            )
        return "A call into C in a native thread keeps the interpreter for itself; hubs cannot turn while it does."
