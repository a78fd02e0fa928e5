"""Each check over a scripted program: it finds what is wrong, names the line, and keeps quiet about what is not."""

from collections.abc import Callable
from typing import Any

import pytest

from greenscope.app.backends.fake import ALL_CAPABILITIES, FakeProbe
from greenscope.app.backends.scenario import Scenario
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


@pytest.fixture
def desk() -> Desk:
    return Desk()


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


# -- 1: blocks


def test_block_is_critical_while_it_lasts_a_warning_afterwards_and_then_resolved(desk: Desk) -> None:
    desk.run(0.5)
    hold_on(desk, desk.now)
    desk.run(1.5, look=0.05)
    row = desk.row("blocked")
    assert row["severity"] == "critical"
    assert "crunch (jobs.py:41) has held the hub of watched for 1.5" in row["summary"]
    assert row["culprit"]["line"] == 41
    assert row["culprit"]["greenlet"] == "1"
    desk.probe.hubs = list  # type: ignore[method-assign]
    desk.run(1.0, look=0.05)
    row = desk.row("blocked")
    assert row["severity"] == "warning"
    assert "crunch (jobs.py:41) blocked the hub of watched for 1.5 s" in row["summary"]
    desk.run(125)
    (row,) = desk.rows("blocked", "resolved")
    assert (row["severity"], row["worst_severity"]) == ("info", "critical")


def test_blocks_are_a_ledger_by_call_site(desk: Desk) -> None:
    for seconds in (0.5, 0.25, 0.75):
        hold(desk, seconds)
    hold(desk, 0.5, site=THERE)
    first, second = sorted(desk.rows("blocked"), key=lambda row: -row["count"])
    assert (first["count"], first["culprit"]["line"]) == (3, 41)
    assert first["total"] == pytest.approx(1.5, abs=0.1)
    assert first["worst"] == pytest.approx(0.75, abs=0.05)
    assert (second["count"], second["culprit"]["line"]) == (1, 77)
    assert [frame["line"] for frame in first["stack"]] == [5, 41]
    assert first["first"] < first["last"]


def test_short_rare_block_is_a_note_and_a_frequent_one_a_warning(desk: Desk) -> None:
    hold(desk, 0.15)
    assert desk.row("blocked")["severity"] == "info"
    for _ in range(9):
        hold(desk, 0.15)
    assert desk.row("blocked")["severity"] == "warning"


def test_held_interpreter_is_told_with_the_culprit_afterwards(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.feed.diagnosis.watchdog, "_process_time", lambda: desk.now)
    desk.run(0.5, look=0.02)
    hold(desk, 1.25, held=1.0)
    row = desk.row("blocked")
    assert row["summary"].startswith("The interpreter was held for 1.0 s")
    assert "culprit afterwards: crunch (jobs.py:41)" in row["summary"]
    assert row["severity"] == "warning"


def test_slow_import_is_a_note_when_it_is_over(desk: Desk) -> None:
    begun = desk.now
    stack = (
        ABOVE,
        HERE,
        Site("<frozen importlib._bootstrap>", 1, "_find_and_load"),
        Site("/srv/app/big.py", 3, "<module>"),
    )
    desk.probe.hubs = lambda: [  # type: ignore[method-assign]
        HubSample("watched", 1, desk.now - begun, 1, None, desk.now, 1, blocked_in=stack)
    ]
    desk.run(0.75, look=0.05)
    desk.probe.hubs = list  # type: ignore[method-assign]
    desk.run(0.5)
    row = desk.row("blocked")
    assert row["severity"] == "info"
    assert row["hint"].startswith("It imports a module")


def test_crowded_turns_are_notes_until_they_come_again_and_again(desk: Desk) -> None:
    hold(desk, 1.0, running=tuple(range(1, 20)))
    assert desk.row("blocked")["severity"] == "info"
    assert "many greenlets" in desk.row("blocked")["summary"]
    for _ in range(2):
        hold(desk, 1.0, running=tuple(range(1, 20)))
    assert desk.row("blocked")["severity"] == "warning"


def test_interpreter_held_while_hubs_idle_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.feed.diagnosis.watchdog, "_process_time", lambda: desk.now)
    desk.run(0.5, look=0.02)
    desk.now += 1.5
    desk.run(2.5, look=0.02)
    row = desk.row("interpreter_held")
    assert row["severity"] == "warning"
    assert "held the interpreter for 1.4 s" in row["summary"]


def test_process_that_stood_still_is_a_note(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.feed.diagnosis.watchdog, "_process_time", lambda: 0.0)
    desk.run(0.5, look=0.02)
    desk.now += 5
    desk.run(2.5, look=0.02)
    row = desk.row("interpreter_held")
    assert row["severity"] == "info"
    assert "thread did not run for 4.9 s, nor did any other" in row["summary"]


# -- 2: hogs


def busy_loop(desk: Desk, ids: list[int], lag: float) -> Callable[[], None]:
    """Return what lets these greenlets run by turns, 25 ms each, in every tick."""
    state = {"switches": 0}
    desk.probe.lag = lag

    def step() -> None:
        now = desk.now
        for index in range(10):
            desk.now = now - 0.25 + index * 0.025
            state["switches"] += 1
            desk.probe.run(ids[state["switches"] % len(ids)], HERE)
        desk.now = now

    return step


def test_hog_is_the_function_with_the_share_and_the_line_where_it_runs(desk: Desk) -> None:
    ids = [desk.probe.add("crunch", file="/srv/app/jobs.py", line=40) for _ in range(10)]
    for id in ids:
        desk.probe.start(id)
    desk.run(22, busy_loop(desk, ids, 0.0))
    row = desk.row("hog")
    assert row["severity"] == "info"
    assert row["culprit"]["line"] == 41
    assert row["share"] > 0.9
    assert row["slice"] == pytest.approx(0.025, rel=0.2)
    assert "crunch (jobs.py:41) took" in row["summary"]


def test_hog_is_a_warning_when_the_turns_of_the_hub_are_long(desk: Desk) -> None:
    ids = [desk.probe.add("crunch", file="/srv/app/jobs.py", line=40) for _ in range(10)]
    for id in ids:
        desk.probe.start(id)
    desk.run(22, busy_loop(desk, ids, 0.25))
    assert desk.row("hog")["severity"] == "warning"


def test_run_time_of_those_that_ended_counts(desk: Desk) -> None:
    def live_and_die() -> None:
        now = desk.now
        for index in range(5):
            desk.now = now - 0.25 + index * 0.04
            id = desk.probe.add("brief", file="/srv/app/jobs.py", line=90)
            desk.probe.start(id)
            desk.now += 0.03
            desk.probe.succeed(id)
        desk.now = now

    desk.run(22, live_and_die)
    row = desk.row("hog")
    assert row["culprit"]["function"] == "brief"
    assert row["share"] == pytest.approx(0.6, abs=0.05)


def test_hogs_say_nothing_without_accounting() -> None:
    desk = Desk(lambda **options: FakeProbe(capabilities=ALL_CAPABILITIES - {"accounting"}, **options))
    ids = [desk.probe.add("crunch") for _ in range(3)]
    for id in ids:
        desk.probe.start(id)
    desk.run(22, busy_loop(desk, ids, 0.0))
    assert desk.rows("hog") == []


# -- 3: parked


def test_parked_greenlets_are_grouped_by_place_with_age_and_what_for(desk: Desk) -> None:
    first = desk.parked(kind="queue.get", name="jobs")
    for _ in range(9):
        desk.parked(kind="queue.get", name="jobs")
    desk.parked(kind="event", place=THERE)
    desk.parked(kind="sleep")
    desk.run(45)
    rows = desk.rows("parked")
    assert [(row["count"], row["culprit"]["line"]) for row in rows] == [(10, 41), (1, 77)]
    assert {row["severity"] for row in rows} == {"info"}
    assert rows[0]["waiting_on"] == "queue.get"
    assert rows[0]["greenlet"] == str(first)
    assert rows[0]["oldest"] > 30
    assert "10 greenlets wait for queue.get jobs at crunch (jobs.py:41)" in rows[0]["summary"]


def test_those_who_come_and_go_are_not_parked_for_long(desk: Desk) -> None:
    ids = [desk.parked() for _ in range(5)]

    def move() -> None:
        for id in ids:
            desk.probe.run(id)
            desk.probe.park(id, "socket.recv", place=HERE)

    desk.run(60, move)
    assert desk.rows("parked") == []


def test_parked_group_that_only_grows_becomes_a_warning(desk: Desk) -> None:
    desk.run(120, lambda: desk.parked())
    row = desk.row("parked")
    assert row["severity"] == "warning"
    assert "more than 60 s ago" in row["summary"]


# -- 4: pools


def fill_pool(desk: Desk, size: int = 2) -> tuple[int, list[int]]:
    pool = desk.probe.open_group("fetchers", size)
    members = []
    for _ in range(size):
        id = desk.parked("fetch", "socket.recv")
        desk.probe.enter(pool, id)
        members.append(id)
        desk.run(0.25)
    desk.probe.set_waiters(pool, 3)
    return pool, members


def test_dry_pool_names_the_longest_holder_and_its_line(desk: Desk) -> None:
    pool, members = fill_pool(desk)
    desk.run(4)
    row = desk.row("pool_dry")
    assert (row["severity"], row["group"], row["greenlet"]) == ("info", str(pool), str(members[0]))
    assert row["culprit"]["line"] == 41
    assert "Pool fetchers is full: 3 wait for one of 2 slots" in row["summary"]
    assert "at crunch (jobs.py:41)" in row["summary"]


def test_dry_pool_is_a_warning_when_nobody_leaves(desk: Desk) -> None:
    fill_pool(desk)
    desk.run(8)
    row = desk.row("pool_dry")
    assert row["severity"] == "warning"
    assert "nobody has left for" in row["summary"]


def test_dry_pool_that_turns_over_stays_a_note(desk: Desk) -> None:
    pool, members = fill_pool(desk)

    def turn_over() -> None:
        desk.probe.succeed(members.pop(0))
        members.append(desk.parked("fetch", "socket.recv"))
        desk.probe.enter(pool, members[-1])

    desk.run(20, turn_over)
    assert desk.row("pool_dry")["severity"] == "info"


def test_full_pool_without_waiters_is_fine(desk: Desk) -> None:
    pool, _ = fill_pool(desk)
    desk.probe.set_waiters(pool, 0)
    desk.run(8)
    assert desk.rows("pool_dry") == []


# -- 5: leaks


def test_leak_names_the_spawn_site_and_its_slope(desk: Desk) -> None:
    desk.run(40, lambda: desk.parked("handle", "socket.recv"))
    assert desk.row("leak")["severity"] == "info"
    desk.run(40, lambda: desk.parked("handle", "socket.recv"))
    row = desk.row("leak")
    assert row["severity"] == "warning"
    assert (row["culprit"]["file"], row["culprit"]["line"]) == (ABOVE.file, ABOVE.line)
    assert row["slope"] == pytest.approx(4.0, rel=0.1)
    assert "+240 a minute" in row["summary"]


def test_busy_turnover_is_no_leak(desk: Desk) -> None:
    alive = [desk.parked("handle") for _ in range(50)]

    def turn_over() -> None:
        desk.probe.succeed(alive.pop(0))
        alive.append(desk.parked("handle"))

    desk.run(90, turn_over)
    assert desk.rows("leak") == []


# -- 6: failures


def test_failures_are_grouped_by_exception_and_raising_line(desk: Desk) -> None:
    for number in range(5):
        id = desk.parked("fetch")
        desk.probe.fail(id, "KeyError", f"'{number}'", (ABOVE, HERE))
    id = desk.parked("fetch")
    desk.probe.fail(id, "OSError", "no route", (ABOVE, THERE))
    desk.run(2.5)
    rows = {row["exception"]: row for row in desk.rows("failed")}
    assert (rows["KeyError"]["count"], rows["KeyError"]["culprit"]["line"]) == (5, 41)
    assert (rows["OSError"]["count"], rows["OSError"]["culprit"]["line"]) == (1, 77)
    assert rows["OSError"]["severity"] == "warning"
    assert rows["KeyError"]["spawn_site"]["line"] == ABOVE.line
    assert (
        "5 greenlets died of KeyError raised at crunch (jobs.py:41), spawned at main (main.py:5)"
        in (rows["KeyError"]["summary"])
    )
    desk.run(310)
    assert desk.rows("failed") == []
    assert len(desk.rows("failed", "resolved")) == 2


def test_failures_of_hostile_names_make_safe_sentences(desk: Desk) -> None:
    id = desk.parked("fetch")
    desk.probe.fail(id, "X" * 5_000, "\x00\u202e" * 500, (Site("/srv/\udcff\n.py", 1, "f\u202e"),))
    desk.run(2.5)
    row = desk.row("failed")
    assert len(row["summary"]) <= 500
    assert row["summary"].isprintable()
    assert row["hint"].isprintable()


# -- 7: kills


def test_killed_but_not_dead_is_told_with_its_line(desk: Desk) -> None:
    id = desk.parked("stubborn")
    desk.probe.swallow_kills(id)
    desk.run(0.5)
    desk.probe.kill(id, 0.1)
    desk.run(1.0)
    assert desk.rows("kill_ignored") == []
    desk.run(5.0)
    row = desk.row("kill_ignored")
    assert (row["severity"], row["greenlet"], row["culprit"]["line"]) == ("warning", str(id), 41)
    assert "stubborn-1 was to be killed" in row["summary"]
    assert "still stands at crunch (jobs.py:41)" in row["summary"]
    desk.probe.succeed(id)
    desk.run(2.5)
    assert desk.rows("kill_ignored") == []


def test_killed_and_dead_is_no_finding(desk: Desk) -> None:
    id = desk.parked("mortal")
    desk.run(0.5)
    desk.probe.kill(id, 0.1)
    desk.run(10)
    assert desk.rows("kill_ignored") == []


def test_kill_whose_event_was_dropped_is_found_by_the_survey(desk: Desk) -> None:
    id = desk.parked("stubborn")
    desk.run(0.5)
    desk.probe.alive[id].kill_requested = desk.now
    desk.run(14)
    assert desk.row("kill_ignored")["greenlet"] == str(id)


# -- 8: deadlocks


def test_deadlock_names_each_members_line_and_is_critical(desk: Desk) -> None:
    a = desk.parked("one", "rlock", place=HERE, name="A", owner=2)
    b = desk.parked("two", "rlock", place=THERE, name="B", owner=1)
    desk.run(6)
    row = desk.row("deadlock")
    assert row["severity"] == "critical"
    assert row["count"] == 2
    assert [member["greenlet"] for member in row["members"]] == [str(a), str(b)]
    assert "one-1 at crunch (jobs.py:41) (rlock A) waits for two-2 at collect (jobs.py:77) (rlock B)" in row["summary"]


def test_deadlock_that_is_broken_up_is_resolved(desk: Desk) -> None:
    a = desk.parked("one", "rlock", owner=2)
    desk.parked("two", "rlock", owner=1)
    desk.run(6)
    desk.probe.die(a)
    desk.run(4)
    assert desk.rows("deadlock") == []
    assert len(desk.rows("deadlock", "resolved")) == 1


def test_circle_that_moves_is_no_deadlock(desk: Desk) -> None:
    a, b = desk.parked("one", "rlock", owner=2), desk.parked("two", "rlock", owner=1)

    def move() -> None:
        for id, other in ((a, b), (b, a)):
            desk.probe.run(id)
            desk.probe.park(id, "rlock", owner=other)

    desk.run(30, move)
    assert desk.rows("deadlock") == []


def test_long_chain_of_waiters_is_no_deadlock(desk: Desk) -> None:
    previous = desk.parked("root", "event")
    for _ in range(200):
        previous = desk.parked("next", "join", target=previous)
    desk.run(20)
    assert desk.rows("deadlock") == []


# -- 9: the observer


def test_drops_and_faults_of_the_observer_are_notes(desk: Desk) -> None:
    desk.probe.lose("spawned", 12)
    desk.probe.faults = ["switch tracing: displaced by another tool"]  # type: ignore[attr-defined]
    desk.run(2.5)
    rows = {row["what"]: row for row in desk.rows("observer")}
    assert rows["dropped"]["count"] == 12
    assert "displaced" in rows["faults"]["summary"]
    assert {row["severity"] for row in rows.values()} == {"info"}


# -- and what is healthy


def test_busy_healthy_program_has_nothing_above_info_but_its_honest_failures(desk: Desk) -> None:
    scenario = Scenario(desk.probe)
    scenario.populate(300)
    desk.run(90, scenario.step)
    loud = {row["kind"] for row in desk.feed.findings() if row["severity"] != "info"}
    assert loud <= {"failed"}
