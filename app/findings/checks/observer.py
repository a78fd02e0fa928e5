"""Trouble of the watching itself: dropped events, faults, checks that were switched off. Never worse than a note."""

from collections.abc import Iterable

from greenscope.app.findings.case import Case, Check, Scene
from greenscope.app.findings.sites import times


class Observer(Check):
    """The watching itself has gaps or faults."""

    kind = "observer"
    summary = "The watching itself has gaps or faults; the program goes on unharmed"
    every = 0.0

    def __init__(self) -> None:
        self._first: dict[str, float] = {}
        self._last: dict[str, tuple[int, float]] = {}

    def check(self, scene: Scene) -> Iterable[Case]:
        """Return what was dropped, and what broke."""
        feed = scene.feed
        dropped = dict(feed.dropped)
        total = sum(dropped.values())
        if total:
            what = ", ".join(f"{kind} {count:,}" for kind, count in sorted(dropped.items()))
            yield self._case(scene, "dropped", total, what)
        faults = [str(fault) for fault in list(getattr(feed.probe, "faults", ()))]
        if feed.fault:
            faults.append(feed.fault)
        if faults:
            yield self._case(scene, "faults", len(faults), faults[-1])

    def _case(self, scene: Scene, what: str, count: int, text: str) -> Case:
        first = self._first.setdefault(what, scene.now)
        seen = self._last.get(what)
        if seen is None or seen[0] != count:
            seen = self._last[what] = (count, scene.now)
        return Case((what,), "info", None, count, first, seen[1], facts={"what": what, "text": text})

    def format(self, case: Case) -> str:
        """Tell what is missing or broken."""
        if case.facts["what"] == "dropped":
            return f"{times(case.count, 'event')} came faster than they could be kept ({case.facts['text']})"
        return f"{times(case.count, 'fault')} in the watching itself, the latest: {case.facts['text']}"

    def hint(self, case: Case) -> str:
        """Tell what it means for what is shown."""
        if case.facts["what"] == "dropped":
            return "States and totals are right, the event log has holes."
        return "What broke was taken out; figures that depend on it may be missing or old."
