"""Faults: objects of the program whose every word is an attack on who asks them."""

import threading
from typing import Any

import pytest

from greenscope.app.backends.native import NativeProbe
from greenscope.app.watching import Monitor
from greenscope.runtime import Greenlet, sleep, spawn
from greenscope.runtime.event import Event as Flag
from greenscope.runtime.thread import RuntimeThread
from tests.app.faults.asking import ask, ask_json, drain_until, id_of, row_of_the_ended
from tests.patience import wait_for


class Hostile:
    """A callable whose every word about itself is an attack; notes in which thread it was asked."""

    asked: list[tuple[str, str]]

    def __init__(self, asked: list[tuple[str, str]]) -> None:
        self.__dict__["asked"] = asked

    def __call__(self) -> None:
        sleep(0)

    def _attack(self, how: str) -> Any:
        self.__dict__["asked"].append((how, threading.current_thread().name))
        raise SystemExit(3)

    def __repr__(self) -> str:
        return str(self._attack("repr"))

    def __str__(self) -> str:
        return str(self._attack("str"))

    def __hash__(self) -> int:
        return int(self._attack("hash"))

    def __eq__(self, other: object) -> bool:
        return bool(self._attack("eq"))

    def __getattr__(self, name: str) -> Any:
        return self._attack(name)


def test_hostile_function_is_told_without_a_word_of_its_own(thread: RuntimeThread, probe: NativeProbe) -> None:
    asked: list[tuple[str, str]] = []
    hostile = thread.call(spawn, Hostile(asked))
    events = drain_until(probe, lambda seen: any((e.kind, e.greenlet) == ("succeeded", id_of(hostile)) for e in seen))
    record = next(e.record for e in events if e.greenlet == id_of(hostile) and e.record)
    assert record.function == "Hostile"
    assert (record.file, record.name) == (__file__, f"Hostile-{id_of(hostile)}")
    assert probe.faults == []
    assert not {how for how, _ in asked} & {"repr", "str", "hash", "eq"}
    assert not [how for how, where in asked if where == "watched"], "something was asked while the program waited"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"bytes\xff", "b'bytes\\xff'"),
        ("x" * 1_000_000, "x" * 199 + "…"),
        ("nul\x00 line\nend \ud800", "nul\x00 line\nend \ud800"),
        (5, "5"),
        ([], "<unprintable Loud>"),
    ],
    ids=["bytes", "huge", "surrogates", "number", "raises"],
)
def test_hostile_name_is_coerced_and_capped_outside_the_program(
    thread: RuntimeThread, probe: NativeProbe, name: Any, shown: str
) -> None:
    where: list[str] = []

    class Loud:
        def __str__(self) -> str:
            where.append(threading.current_thread().name)
            raise KeyboardInterrupt

    def start() -> Greenlet:
        greenlet = Greenlet(sleep, 0)
        greenlet.name = Loud() if name == [] else name  # type: ignore[assignment]
        greenlet.start()
        return greenlet

    greenlet = thread.call(start)
    events = drain_until(probe, lambda seen: any(e.greenlet == id_of(greenlet) for e in seen))
    record = next(e.record for e in events if e.greenlet == id_of(greenlet) and e.record)
    assert record.name == shown
    assert set(where) <= {"dashboard"}
    assert probe.faults == []


def test_repr_of_50_mb_is_never_built(thread: RuntimeThread, monitor: Monitor) -> None:
    built: list[int] = []

    class Huge:
        def __repr__(self) -> str:
            built.append(1)
            return "x" * 50_000_000

    greenlet = thread.call(spawn, lambda _: sleep(60), Huge())
    wait_for(lambda: ask(monitor, f"/api/greenlets/{id_of(greenlet)}")[0] == 200)
    for path in ("/greenlets", f"/greenlets/{id_of(greenlet)}", "/api/stacks", "/api/tree", "/api/waits"):
        assert ask(monitor, path)[0] == 200
    assert built == []


def test_exception_whose_str_switches_stops_nobody(
    thread: RuntimeThread, monitor: Monitor, capfd: pytest.CaptureFixture[str]
) -> None:
    class Switching(Exception):
        def __str__(self) -> str:
            if threading.current_thread().name != "watched":
                sleep(0.05)  # in the dashboard's thread: a hub of its own, for this once
            return "told"

    def fail() -> None:
        raise Switching

    failing = thread.call(spawn, fail)
    beside = thread.call(spawn, sleep, 0.01)
    row = wait_for(lambda: row_of_the_ended(monitor, id_of(failing)))
    assert (row["exception"]["type"].rpartition(".")[2], row["exception"]["message"]) == ("Switching", "told")
    assert wait_for(lambda: row_of_the_ended(monitor, id_of(beside)))["state"] == "succeeded"
    assert ask_json(monitor, "/api/health")["fault"] == ""


def test_attribute_of_a_waitable_that_raises_leaves_out_that_greenlet_only(
    thread: RuntimeThread, probe: NativeProbe
) -> None:
    class Trap(Flag):
        @property
        def owner(self) -> Any:
            raise SystemExit(4)

    trapped, plain = thread.call(spawn, Trap().wait), thread.call(spawn, sleep, 60)
    thread.call(sleep, 0)
    assert [sample.id for sample in probe.sample([id_of(trapped), id_of(plain)])] == [id_of(plain)]
