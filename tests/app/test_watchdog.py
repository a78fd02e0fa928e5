"""The watchdog over a scripted hub: what it sees of a block while it lasts, and what it makes of its own lateness."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed
from greenscope.app.findings.ledger import Ledger
from greenscope.app.model import HubSample, Site
from greenscope.app.watchdog import CLOSE_PERIOD, PERIOD, Watchdog

OUTER = Site("/srv/app/main.py", 5, "main")
SLOW = Site("/srv/app/jobs.py", 41, "crunch")
OTHER = Site("/srv/app/jobs.py", 77, "other")


class Desk:
    """A watchdog over a scripted probe; time stands still between `wait`s."""

    def __init__(self) -> None:
        self.now = 100.0
        self.own = 0.0
        self.process = 0.0
        self.probe = FakeProbe(clock=lambda: self.now)
        self.feed = Feed(self.probe, clock=lambda: self.now)
        self.ledger = Ledger()
        self.dog = Watchdog(self.feed, self.ledger, own_time=lambda: self.own, process_time=lambda: self.process)
        self.turn: tuple[float, tuple[Site, ...], int | None] | None = None
        self.number = 0
        self.probe.hubs = self._hubs  # type: ignore[method-assign]

    def _hubs(self) -> list[HubSample]:
        if self.turn is None:
            return [HubSample("watched", 1, 0.0, self.number, None, self.now)]
        began, stack, running = self.turn
        return [HubSample("watched", 1, self.now - began, self.number, None, self.now, running, 0, stack)]

    def begin(self, *stack: Site, running: int | None = None) -> None:
        """Let a turn begin now that stands in `stack`."""
        self.number += 1
        self.turn = (self.now, stack, running)

    def move(self, *stack: Site, running: int | None = None) -> None:
        """Go on in the same turn, elsewhere."""
        assert self.turn is not None
        self.turn = (self.turn[0], stack, running)

    def idle(self) -> None:
        self.turn = None

    def wait(self, seconds: float, ran: float = 1.0) -> None:
        """Look for so long, as often as the watchdog wants."""
        end = self.now + seconds - 1e-9
        while self.now < end:
            step = min(self.dog.period, end + 1e-9 - self.now)
            self.now += step
            self.process += step * ran
            self.dog.look()

    def jump(self, seconds: float, own: float = 0.0, process: float = 1.0) -> None:
        """Look once, so much later; `own` and `process` are the shares of processor time used meanwhile."""
        self.now += seconds
        self.own += own * seconds
        self.process += process * seconds
        self.dog.look()

    def told(self) -> list[dict[str, Any]]:
        return self.feed.recent_events(["blocked"])[::-1]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_look_tells_of_a_block_while_it_lasts_and_when_it_ends(desk: Desk) -> None:
    id = desk.probe.add("job", name="cruncher")
    desk.feed.tick()
    desk.begin(OUTER, SLOW, running=id)
    desk.wait(0.08)
    assert desk.told() == []
    desk.wait(0.04)
    (begin,) = desk.told()
    assert (begin["phase"], begin["greenlet"], begin["name"]) == ("begin", str(id), "cruncher")
    assert begin["place"] == {"file": SLOW.file, "line": 41, "function": "crunch"}
    assert begin["duration"] >= 0.1
    (entry,) = desk.ledger.entries()
    assert entry.open is not None
    desk.wait(0.38)
    desk.idle()
    desk.wait(0.1)
    begin, end = desk.told()
    assert (end["phase"], end["place"]["line"]) == ("end", 41)
    assert end["duration"] == pytest.approx(0.5, abs=0.021)
    assert [frame["line"] for frame in end["stack"]] == [5, 41]
    assert entry.open is None
    assert (entry.count, entry.culprit) == (1, SLOW)


def test_end_of_a_block_stands_in_the_timeline_of_its_greenlet(desk: Desk) -> None:
    id = desk.probe.add("job")
    desk.probe.start(id)
    desk.feed.tick()
    desk.begin(SLOW, running=id)
    desk.wait(0.3)
    desk.idle()
    desk.wait(0.02)
    detail = desk.feed.greenlet(id)
    assert detail is not None
    blocks = [moment for moment in detail["timeline"] if moment["kind"] == "blocked"]
    assert [round(moment["duration"], 1) for moment in blocks] == [0.3]


def test_short_turns_are_no_blocks(desk: Desk) -> None:
    for _ in range(20):
        desk.begin(SLOW, running=1)
        desk.wait(0.06)
        desk.idle()
        desk.wait(0.02)
    assert desk.told() == []
    assert len(desk.ledger) == 0


def test_culprit_is_the_line_with_the_most_time(desk: Desk) -> None:
    desk.begin(OUTER, OTHER, running=1)
    desk.wait(0.1)
    desk.move(OUTER, SLOW, running=1)
    desk.wait(0.5)
    desk.idle()
    desk.wait(0.02)
    assert desk.told()[-1]["place"]["line"] == SLOW.line
    (entry,) = desk.ledger.entries()
    assert entry.culprit == SLOW


def test_culprit_is_the_programs_line_not_the_librarys(desk: Desk) -> None:
    library = Site(asyncio.__file__, 10, "recv")
    installed = Site("/srv/venv/lib/python3.11/site-packages/requests/api.py", 20, "get")
    desk.begin(OUTER, SLOW, installed, library, running=1)
    desk.wait(0.2)
    desk.idle()
    desk.wait(0.02)
    assert desk.told()[-1]["place"]["file"] == SLOW.file


def test_a_loop_that_is_caught_on_several_lines_is_one_site(desk: Desk) -> None:
    for first in (41, 42):
        desk.begin(OUTER, Site(SLOW.file, first, "crunch"), running=1)
        for turn in range(10):
            desk.move(OUTER, Site(SLOW.file, 41 + turn % 3, "crunch"), running=1)
            desk.wait(CLOSE_PERIOD)
        desk.idle()
        desk.wait(0.04)
    (entry,) = desk.ledger.entries()
    assert entry.count == 2


def test_turn_with_many_greenlets_in_it_has_no_single_culprit(desk: Desk) -> None:
    desk.begin(SLOW, running=1)
    for id in range(1, 26):
        desk.move(SLOW, running=id)
        desk.wait(0.04)
    desk.idle()
    desk.wait(0.02)
    end = desk.told()[-1]
    assert end["phase"] == "end"
    assert end["holders"] == 25
    assert "greenlet" not in end


def test_next_turn_ends_the_one_before(desk: Desk) -> None:
    desk.begin(SLOW, running=1)
    desk.wait(0.2)
    desk.begin(OTHER, running=2)
    desk.wait(0.2)
    desk.idle()
    desk.wait(0.02)
    assert [(event["phase"], event["place"]["line"]) for event in desk.told()] == [
        ("begin", 41), ("end", 41), ("begin", 77), ("end", 77),
    ]  # fmt: skip


def test_hub_that_vanishes_ends_its_block(desk: Desk) -> None:
    desk.begin(SLOW, running=1)
    desk.wait(0.2)
    desk.probe.hubs = list  # type: ignore[method-assign]
    desk.wait(0.02)
    assert desk.told()[-1]["phase"] == "end"


def test_late_look_in_a_turn_says_that_the_interpreter_was_held(desk: Desk) -> None:
    desk.begin(SLOW, running=1)
    desk.wait(0.02)
    desk.jump(1.5)
    (begin,) = desk.told()
    assert begin["held"] == pytest.approx(1.5, abs=0.01)
    desk.idle()
    desk.wait(0.02)
    (entry,) = desk.ledger.entries()
    assert entry.culprit == SLOW
    assert entry.held == pytest.approx(1.5, abs=0.01)
    assert not desk.dog.held_by_others


def test_late_look_by_our_own_work_accuses_nobody(desk: Desk) -> None:
    desk.wait(0.1)
    desk.jump(0.6, own=0.9)
    assert desk.told() == []
    assert not desk.dog.held_by_others
    assert not desk.dog.stopped


def test_late_look_with_idle_hubs_says_that_others_held_the_interpreter(desk: Desk) -> None:
    desk.wait(0.1)
    desk.jump(0.6)
    (stretch,) = desk.dog.held_by_others
    assert stretch.lasted == pytest.approx(0.6 - PERIOD)


def test_late_look_while_hubs_turned_accuses_nobody(desk: Desk) -> None:
    desk.wait(0.1)
    desk.number += 50
    desk.jump(0.6)
    assert not desk.dog.held_by_others
    desk.wait(0.2)
    desk.number += 50
    desk.jump(0.6, process=0.0)
    assert not desk.dog.stopped


def test_turns_just_before_the_interpreter_was_held_are_no_excuse(desk: Desk) -> None:
    for _ in range(3):
        desk.number += 50
        desk.wait(PERIOD)
    desk.number += 40
    desk.jump(0.6)
    assert desk.dog.held_by_others


def test_held_interpreter_is_blamed_on_the_greenlet_that_ended_with_such_a_slice(desk: Desk) -> None:
    idle = desk.probe.add("idle")
    desk.probe.start(idle)
    desk.probe.park(idle)
    id = desk.probe.add("hash_all", file="/srv/app/jobs.py", line=40)
    desk.feed.diagnosis.watchdog = desk.dog
    desk.feed.tick()
    desk.wait(0.1)
    desk.probe.start(id)
    desk.now += 0.6
    desk.process += 0.6
    desk.probe.succeed(id)
    desk.dog.look()
    assert len(desk.dog.held_by_others) == 1
    desk.feed.tick()
    assert not desk.dog.held_by_others
    (entry,) = desk.ledger.entries()
    assert entry.culprit == Site("/srv/app/jobs.py", 40, "hash_all")
    assert desk.told()[-1]["greenlet"] == str(id)
    assert desk.told()[-1]["held"] > 0.5


def test_end_that_was_told_before_the_late_look_is_remembered(desk: Desk) -> None:
    id = desk.probe.add("hash_all", file="/srv/app/jobs.py", line=40)
    desk.feed.diagnosis.watchdog = desk.dog
    desk.feed.tick()
    desk.wait(0.1)
    desk.probe.start(id)
    desk.now += 0.6
    desk.process += 0.6
    desk.probe.succeed(id)
    desk.feed.tick()
    desk.dog.look()
    assert not desk.dog.held_by_others
    (entry,) = desk.ledger.entries()
    assert entry.culprit == Site("/srv/app/jobs.py", 40, "hash_all")


def test_held_interpreter_is_blamed_on_the_living_greenlet_that_had_such_a_slice(desk: Desk) -> None:
    id = desk.probe.add("hash_all", file="/srv/app/jobs.py", line=40)
    desk.feed.tick()
    desk.wait(0.1)
    desk.probe.start(id)
    desk.now += 0.6
    desk.process += 0.6
    desk.probe.park(id, "queue.get", place=OTHER)
    desk.dog.look()
    assert not desk.dog.held_by_others
    (entry,) = desk.ledger.entries()
    assert entry.culprit == OTHER


def test_process_that_did_not_run_was_not_held(desk: Desk) -> None:
    desk.begin(SLOW, running=1)
    desk.wait(0.04)
    desk.jump(2.0, process=0.01)
    desk.idle()
    desk.wait(0.02)
    assert desk.dog.stopped
    assert not desk.dog.held_by_others
    assert "held" not in desk.told()[0]
    (entry,) = desk.ledger.entries()
    assert entry.latest is not None
    assert entry.latest.stopped == pytest.approx(2.0, abs=0.01)


def test_probe_that_tells_of_blocks_itself_is_left_the_end(desk: Desk) -> None:
    desk.probe.tells_blocks = True  # type: ignore[attr-defined]
    desk.begin(SLOW, running=1)
    desk.wait(0.2)
    desk.idle()
    desk.wait(0.02)
    assert [event["phase"] for event in desk.told()] == ["begin"]
    assert len(desk.ledger) == 1


def test_places_of_running_greenlets_are_noted(desk: Desk) -> None:
    id = desk.probe.add("job", file="/srv/app/jobs.py", line=40)
    desk.probe.start(id, SLOW)
    desk.feed.tick()
    desk.begin(running=id)
    desk.wait(1.0)
    assert {(job[1], place) for _, job, place in desk.dog.places} == {("job", SLOW)}
    assert 5 <= len(desk.dog.places) <= 15


def test_lag_share_counts_the_looks_in_long_turns(desk: Desk) -> None:
    desk.wait(1.0)
    since = desk.now
    desk.begin(SLOW, running=1)
    desk.wait(1.0)
    desk.idle()
    desk.wait(1.0)
    assert desk.dog.lag_share(since) == pytest.approx(0.45, abs=0.05)
    assert desk.dog.lag_share(desk.now + 1) == 0.0


def test_run_survives_a_fault_of_the_probe() -> None:
    probe = FakeProbe()
    feed = Feed(probe)
    asked = 0

    def broken() -> list[HubSample]:
        nonlocal asked
        asked += 1
        raise RuntimeError("gone")

    probe.hubs = broken  # type: ignore[method-assign]

    async def main() -> None:
        task = asyncio.create_task(Watchdog(feed, Ledger()).run())
        await asyncio.sleep(0.1)
        assert not task.done()
        task.cancel()

    asyncio.run(main())
    assert asked == 1
    assert "watchdog" in feed.fault


def test_feed_starts_and_stops_the_watchdog() -> None:
    probe = FakeProbe()
    feed = Feed(probe, tick=0.02)

    async def main() -> set[asyncio.Task[Any]]:
        running = asyncio.create_task(feed.run())
        await wait_until(lambda: feed.diagnosis.watchdog.looks >= 3)
        feed.close()
        await asyncio.wait_for(running, 5)
        await asyncio.sleep(0)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(main()) == set()
    cost = feed.diagnosis.cost()
    assert 0 < cost["share"] < 1


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)
