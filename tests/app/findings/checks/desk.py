"""All checks over a scripted program, and a hub that is held."""

from collections.abc import Callable
from typing import Any

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed
from greenscope.app.model import HubSample, Site

HERE = Site("/srv/app/jobs.py", 41, "crunch")
THERE = Site("/srv/app/jobs.py", 77, "collect")
ABOVE = Site("/srv/app/main.py", 5, "main")


class Desk:
    """A feed over a scripted probe; time passes only in `run`, where the watchdog looks and the feed ticks."""

    def __init__(self, probe: Callable[..., FakeProbe] = FakeProbe) -> None:
        self.now = 100.0
        self.probe = probe(clock=lambda: self.now)
        self.feed = Feed(self.probe, clock=lambda: self.now, wall=lambda: 1_700_000_000.0)

    def run(self, seconds: float, each: Callable[[], object] = lambda: None, look: float = 0.25) -> None:
        """Let time pass; `each` is called once per tick."""
        for _ in range(round(seconds / 0.25)):
            for _ in range(round(0.25 / look)):
                self.now += look
                self.feed.diagnosis.watchdog.look()
            each()
            self.feed.tick()

    def parked(self, function: str = "work", kind: str = "event", place: Site = HERE, **options: Any) -> int:
        """Spawn a greenlet and park it."""
        id = self.probe.add(function, file="/srv/app/jobs.py", line=40, spawn_site=ABOVE)
        self.probe.start(id)
        self.probe.park(id, kind, place=place, **options)
        return id

    def rows(self, kind: str, state: str = "open") -> list[dict[str, Any]]:
        return [row for row in self.feed.findings() if row["kind"] == kind and row["state"] == state]

    def row(self, kind: str) -> dict[str, Any]:
        (row,) = self.rows(kind)
        return row


def hold(desk: Desk, seconds: float, *, held: float = 0.0, running: tuple[int, ...] = (1,), site: Site = HERE) -> None:
    """Let the hub be held for so long at one place; nothing of it is still so afterwards."""
    begun = desk.now
    hold_on(desk, begun, running, site)
    if held:
        desk.now += held
        desk.feed.diagnosis.watchdog.look()
    for _ in range(round((seconds - held) / 0.05)):
        desk.now += 0.05
        desk.feed.diagnosis.watchdog.look()
    desk.feed.tick()
    desk.probe.hubs = lambda: [HubSample("watched", 1, 0.0, 2, None, desk.now)]  # type: ignore[method-assign]
    desk.run(0.25, look=0.05)


def hold_on(desk: Desk, begun: float, running: tuple[int, ...] = (1,), site: Site = HERE) -> None:
    """Let the hub be held from now on."""
    looks = 0

    def hubs() -> list[HubSample]:
        nonlocal looks
        looks += 1
        runner = running[looks % len(running)]
        return [HubSample("watched", 1, desk.now - begun, 1, None, desk.now, runner, blocked_in=(ABOVE, site))]

    desk.probe.hubs = hubs  # type: ignore[method-assign]
