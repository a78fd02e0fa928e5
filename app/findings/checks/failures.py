"""Died, and nobody saw it: failures grouped by exception and by the line that raised it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from greenscope.app.findings.case import Case, Check, Scene
from greenscope.app.findings.sites import program_site, short, times
from greenscope.app.history import Entry
from greenscope.app.model import Site

#: groups kept; the one that was quiet for longest goes
MOST: Final = 200
#: seconds for which a failure is told of after it was last seen
TOLD: Final = 300.0


@dataclass(slots=True)
class _Group:
    count: int
    first: float
    last: float
    greenlet: int
    message: str
    function: str
    spawn_site: Site | None
    stack: tuple[Site, ...]


class Failures(Check):
    """Greenlets have failed."""

    kind = "failed"
    summary = "Greenlets ended with an exception"
    events = frozenset({"failed"})

    def __init__(self) -> None:
        self._groups: dict[tuple[str, Site], _Group] = {}

    def on_event(self, entry: Entry) -> None:
        """Count a failure."""
        event, record = entry.event, entry.record
        if event is None or record is None:
            return
        type_ = event.exception.type if event.exception is not None else ""
        stack = event.exception.traceback if event.exception is not None else ()
        site = program_site(stack) or Site(record.file, record.line, record.function)
        message = event.exception.message if event.exception is not None else ""
        group = self._groups.pop((type_, site), None)
        count, first = (0, event.t) if group is None else (group.count, group.first)
        self._groups[type_, site] = _Group(
            count + 1, first, event.t, record.id, message, record.function, record.spawn_site, stack
        )
        while len(self._groups) > MOST:
            del self._groups[next(iter(self._groups))]

    def check(self, scene: Scene) -> Iterable[Case]:
        """Return what has failed within the last five minutes."""
        for (type_, site), group in list(self._groups.items()):
            if scene.now - group.last > TOLD:
                del self._groups[type_, site]
                continue
            yield Case(
                key=(type_, site.file, site.line, site.function),
                severity="warning",
                culprit=site,
                count=group.count,
                first=group.first,
                last=group.last,
                greenlet=group.greenlet,
                stack=group.stack,
                facts={
                    "exception": type_,
                    "message": group.message,
                    "function": group.function,
                    "spawn_site": group.spawn_site,
                },
            )

    def format(self, case: Case) -> str:
        """Tell what was raised where, how often, and whose it was."""
        facts = case.facts
        what = facts["exception"] or "an exception"
        spawned = f", spawned at {short(facts['spawn_site'])}" if facts["spawn_site"] is not None else ""
        return f"{times(case.count, 'greenlet')} died of {what} raised at {short(case.culprit)}{spawned}"

    def hint(self, case: Case) -> str:
        """Tell the latest message."""
        message = case.facts["message"]
        return (f"Latest: {message}. " if message else "") + "Nobody is told of it but by link_exception() or get()."
