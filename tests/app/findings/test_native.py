"""Diagnosis of real greenlets: blocks, dry pools, ignored kills and deadlocks are found with the line of this file."""

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenscope.app.backends.native import NativeProbe
from greenscope.app.feed import Feed
from greenscope.app.findings import survey
from greenscope.runtime import Greenlet, GreenletExit, sleep, spawn
from greenscope.runtime.event import Event
from greenscope.runtime.hub import get_hub_if_exists
from greenscope.runtime.lock import RLock
from greenscope.runtime.pool import Pool
from greenscope.runtime.thread import RuntimeThread


class Watched:
    """A runtime in its thread, and a feed that ticks in another one."""

    def __init__(self, thread: RuntimeThread) -> None:
        self.thread = thread
        self.feed = Feed(NativeProbe(), tick=0.05)
        self._loop = asyncio.new_event_loop()
        self._ticking = threading.Thread(target=self._tick, name="dashboard")
        self._ticking.start()
        deadline = time.monotonic() + 10
        while not self.feed.diagnosis.watchdog.looks:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def _tick(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.feed.run())
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def ask(self, question: Callable[[], Any]) -> Any:
        """Ask in the feed's thread."""

        async def answer() -> Any:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self.feed.close)
        self._ticking.join(10)
        self.feed.probe.close()

    def rows(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self.ask(self.feed.findings) if row["kind"] == kind and row["state"] == "open"]

    def wait(self, kind: str, enough: Callable[[dict[str, Any]], bool] = lambda row: True) -> dict[str, Any]:
        """Return the first open finding of a kind in this file that is `enough`; fails after 15 s."""
        deadline = time.monotonic() + 15
        while True:
            for row in self.rows(kind):
                if row["culprit"]["file"] == __file__ and enough(row):
                    return row
            assert time.monotonic() < deadline, self.ask(self.feed.findings)
            time.sleep(0.02)

    def events(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(lambda: self.feed.recent_events([kind]))
        return found[::-1]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(survey, "EVERY", 0.5)
    monkeypatch.setattr(survey, "FIRST", 0.1)
    left_over = get_hub_if_exists()
    if left_over is not None:  # another test's: this thread never gets back to it, which is a block, too
        left_over.destroy()
    with RuntimeThread("watched") as thread:
        watched = Watched(thread)
        try:
            yield watched
        finally:
            watched.close()


def line_of(function: Callable[..., Any], text: str) -> int:
    """Return the number of the line of a function that holds this text."""
    lines, first = inspect.getsourcelines(function)
    return first + next(index for index, line in enumerate(lines) if text in line)


def id_of(greenlet: Any) -> str:
    """Return the id under which a greenlet is watched."""
    return str(greenlet._greenscope_id)


def nap() -> None:
    sleep(0)
    time.sleep(0.3)  # the whole hub sleeps


def spin() -> None:
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        pass


def hold_the_interpreter() -> int:
    return sum(range(60_000_000))  # one call into C, which lets nobody else run


def test_block_of_300_ms_is_found_with_its_line(watched: Watched) -> None:
    greenlet = watched.thread.call(spawn, nap)
    row = watched.wait("blocked", lambda row: not row["lasts"])
    assert row["culprit"]["line"] == line_of(nap, "time.sleep(0.3)")
    assert row["culprit"]["source"].startswith("time.sleep(0.3)")
    assert row["culprit"]["greenlet"] == id_of(greenlet)
    assert row["count"] == 1
    assert 0.28 < row["worst"] < 2
    assert row["severity"] == "warning"
    begin, end = (event for event in watched.events("blocked") if event["place"]["line"] == row["culprit"]["line"])
    assert (begin["phase"], end["phase"]) == ("begin", "end")
    assert begin["duration"] < end["duration"]


def test_block_is_told_while_it_lasts(watched: Watched) -> None:
    go_on = threading.Event()

    def stand() -> None:
        go_on.wait(10)

    watched.thread.call(spawn, stand)
    try:
        row = watched.wait("blocked", lambda row: row["lasts"] > 1.0)
        assert row["severity"] == "critical"
        assert row["culprit"]["line"] == line_of(stand, "go_on.wait(10)")
        assert "has held the hub of watched" in row["summary"]
        assert row["hint"].startswith("It stands in wait (threading.py:")
    finally:
        go_on.set()


def test_loop_that_spins_is_found_with_its_function(watched: Watched) -> None:
    watched.thread.call(spawn, spin)
    row = watched.wait("blocked", lambda row: not row["lasts"])
    assert row["culprit"]["function"] == "spin"
    assert line_of(spin, "while") <= row["culprit"]["line"] <= line_of(spin, "pass")


def test_call_that_holds_the_interpreter_is_named_afterwards(watched: Watched) -> None:
    greenlet = watched.thread.call(spawn, hold_the_interpreter)
    watched.thread.call(greenlet.join)  # without waking up meanwhile: nobody else wants the interpreter
    row = watched.wait("blocked", lambda row: not row["lasts"])
    # where the machine is so busy that the hub goes on before we look, its function is all that the accounts tell
    first, line = line_of(hold_the_interpreter, "def "), line_of(hold_the_interpreter, "sum(range(")
    assert row["culprit"]["line"] in (first, line)
    assert row["culprit"]["function"] == "hold_the_interpreter"
    assert row["held"] > 0.2
    assert "The interpreter was held for" in row["summary"]
    assert f"culprit afterwards: hold_the_interpreter (test_native.py:{row['culprit']['line']})" in (row["summary"])


def test_call_that_holds_the_interpreter_is_named_among_threads_that_want_it(watched: Watched) -> None:
    done: list[bool] = []

    def nag() -> None:
        while not done:
            time.sleep(0.001)

    nagging = [threading.Thread(target=nag) for _ in range(4)]
    for thread in nagging:
        thread.start()
    try:
        watched.thread.call(spawn, hold_the_interpreter)
        row = watched.wait("blocked", lambda row: not row["lasts"])
    finally:
        done.append(True)
        for thread in nagging:
            thread.join()
    assert row["culprit"]["function"] == "hold_the_interpreter"
    assert row["held"] > 0.2


def test_dry_pool_names_its_longest_holder(watched: Watched) -> None:
    never = Event()

    def hold_slot() -> None:
        never.wait()

    def start() -> Pool:
        pool = Pool(1)
        pool.name = "fetchers"
        pool.spawn(hold_slot)
        spawn(pool.spawn, sleep)
        sleep(0.01)
        return pool

    pool = watched.thread.call(start)
    row = watched.wait("pool_dry")
    assert row["culprit"]["line"] == line_of(hold_slot, "never.wait()")
    assert "Pool fetchers is full: 1 waits for one of 1 slot" in row["summary"]
    assert row["culprit"]["greenlet"] == id_of(next(iter(pool)))
    watched.thread.call(never.set)


def test_ignored_kill_is_found_with_its_line(watched: Watched) -> None:
    done: list[bool] = []

    def stubborn() -> None:
        while not done:
            try:
                sleep(0.5)
            except GreenletExit:
                pass

    greenlet = watched.thread.call(spawn, stubborn)
    watched.thread.call(sleep, 0)
    watched.thread.call(greenlet.kill, block=False)
    row = watched.wait("kill_ignored")
    assert row["culprit"]["line"] == line_of(stubborn, "sleep(0.5)")
    assert row["culprit"]["greenlet"] == id_of(greenlet)
    assert row["since"] >= 2.0
    done.append(True)


def test_deadlock_names_both_lines(watched: Watched) -> None:
    first, second = RLock(), RLock()

    def one() -> None:
        with first:
            sleep(0.01)
            second.acquire()

    def other() -> None:
        with second:
            sleep(0.01)
            first.acquire()

    def start() -> list[Greenlet]:
        return [spawn(one), spawn(other)]

    greenlets = watched.thread.call(start)
    row = watched.wait("deadlock")
    assert row["severity"] == "critical"
    assert {member["greenlet"] for member in row["members"]} == {id_of(greenlet) for greenlet in greenlets}
    lines = {member["place"]["line"] for member in row["members"]}
    assert lines == {line_of(one, "second.acquire()"), line_of(other, "first.acquire()")}
    for greenlet in greenlets:
        watched.thread.call(greenlet.kill, block=False)


def test_failure_names_the_raising_line(watched: Watched, capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        sleep(0)
        raise LookupError("told")

    watched.thread.call(spawn, broken)
    row = watched.wait("failed")
    assert row["culprit"]["line"] == line_of(broken, "raise LookupError")
    assert row["exception"] == "LookupError"


def test_hog_of_many_small_slices_is_found_with_its_function(watched: Watched) -> None:
    done: list[bool] = []

    def nibble() -> None:
        while not done:
            deadline = time.monotonic() + 0.01
            while time.monotonic() < deadline:
                pass
            sleep(0)

    for _ in range(5):
        watched.thread.call(spawn, nibble)
    row = watched.wait("hog")
    done.append(True)
    assert row["culprit"]["function"].endswith("nibble")
    assert row["share"] > 0.5
    assert row["slice"] < 0.1


def test_quiet_program_has_nothing_above_info(watched: Watched) -> None:
    def worker() -> None:
        for _ in range(100):
            sleep(0.001)

    def start() -> None:
        pool = Pool(10)
        for _ in range(50):
            pool.spawn(worker)
        pool.join()

    watched.thread.call(start)
    time.sleep(0.3)
    assert [row for row in watched.ask(watched.feed.findings) if row["severity"] != "info"] == []
