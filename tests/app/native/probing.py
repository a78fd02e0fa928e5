"""Asking the native probe: draining until enough was told, waiting for an answer."""

import time
from collections.abc import Callable
from concurrent.futures import Future

from greenscope.app.backends.native import NativeProbe
from greenscope.app.model import ControlResult, Event


def drain_until(probe: NativeProbe, enough: Callable[[list[Event]], bool]) -> list[Event]:
    """Drain until `enough(events)`; fails after 5 s."""
    events: list[Event] = []
    deadline = time.monotonic() + 5
    while True:
        events += probe.drain().events
        if enough(events):
            return events
        assert time.monotonic() < deadline, [(e.kind, e.greenlet) for e in events]
        time.sleep(0.002)


def kinds_of(events: list[Event], id: int | None) -> list[str]:
    return [event.kind for event in events if event.greenlet == id]


def answer(probe: NativeProbe, future: "Future[ControlResult]") -> ControlResult:
    deadline = time.monotonic() + 5
    while not future.done():
        probe.drain()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return future.result()


def id_of(probe: NativeProbe, greenlet: object) -> int:
    id = probe.id_of(greenlet)
    assert id is not None
    return id
