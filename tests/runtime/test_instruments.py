"""The seam for observers: called at the right moments, and never a danger to the program."""

from collections.abc import Iterator
from typing import Any

import pytest

from greenscope.runtime import Greenlet, joinall, killall, sleep, spawn, spawn_later, spawn_raw
from greenscope.runtime.instruments import HOOKS, Hooks, Instrument, hooks


class Recorder(Instrument):
    """Notes births and kills."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def spawned(self, greenlet: Any) -> None:
        self.seen.append(("spawned", greenlet))

    def spawned_raw(self, greenlet: Any) -> None:
        self.seen.append(("spawned_raw", greenlet))

    def renamed(self, greenlet: Any) -> None:
        self.seen.append(("renamed", greenlet.name))

    def kill_requested(self, greenlets: list[Any]) -> None:
        self.seen += [("kill_requested", greenlet) for greenlet in greenlets]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    hooks.add(recorder)
    yield recorder
    hooks.remove(recorder)


def test_births_are_told_by_every_way_to_start(recorder: Recorder) -> None:
    tasks = [spawn(sleep), spawn_later(0, sleep), Greenlet(sleep)]
    assert recorder.seen == [("spawned", task) for task in tasks[:2]]
    tasks[2].start()
    tasks[2].start()
    raw = spawn_raw(sleep)
    assert recorder.seen[2:] == [("spawned", tasks[2]), ("spawned_raw", raw)]
    joinall(tasks)


def test_kills_are_told_of_the_living_alone(recorder: Recorder) -> None:
    task, other = spawn(sleep, 1000), spawn(sleep, 1000)
    sleep(0)
    recorder.seen.clear()
    task.kill()
    task.kill()
    killall([task, other])
    assert recorder.seen == [("kill_requested", task), ("kill_requested", other)]


def test_instrument_that_is_removed_hears_no_more(recorder: Recorder) -> None:
    hooks.remove(recorder)
    spawn(sleep).join()
    assert recorder.seen == []
    assert recorder.spawned not in hooks.spawned


def test_hook_that_raises_is_removed_and_reported_once(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    class Faulty(Instrument):
        def spawned(self, greenlet: Any) -> None:
            raise SystemExit("an observer's fault")

    faulty = Faulty()
    hooks.add(faulty)
    try:
        tasks = [spawn(sleep), spawn(sleep)]
        joinall(tasks)
    finally:
        hooks.remove(faulty)
    assert capsys.readouterr().err.count("the hook spawned of Faulty raised and was removed") == 1
    assert [name for name, _ in recorder.seen] == ["spawned", "spawned"]


def test_every_one_of_several_instruments_is_told(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    class Faulty(Instrument):
        def spawned(self, greenlet: Any) -> None:
            raise SystemExit("an observer's fault")

    second, faulty = Recorder(), Faulty()
    for one in (faulty, second):
        hooks.add(one)
    try:
        tasks = [spawn(sleep), spawn(sleep)]
    finally:
        for one in (faulty, second):
            hooks.remove(one)
    alone = spawn(sleep)
    joinall([*tasks, alone])
    assert second.seen == [("spawned", task) for task in tasks]
    assert recorder.seen == [("spawned", task) for task in (*tasks, alone)]
    assert capsys.readouterr().err.count("was removed") == 1


def test_name_that_is_set_is_told(recorder: Recorder) -> None:
    task = spawn(sleep)
    task.name = "worker"
    assert recorder.seen == [("spawned", task), ("renamed", "worker")]
    task.join()


def test_instrument_is_added_once_and_only_where_it_listens() -> None:
    own = Hooks()
    recorder = Recorder()
    own.add(recorder)
    own.add(recorder)
    assert {name: len(getattr(own, name)) for name in HOOKS if getattr(own, name)} == {
        "spawned": 1,
        "spawned_raw": 1,
        "renamed": 1,
        "kill_requested": 1,
    }


def test_any_object_with_one_hook_will_do() -> None:
    class Partial:
        def hub_opened(self, hub: Any) -> None:
            opened.append(hub)

    opened: list[Any] = []
    own = Hooks()
    own.add(Partial())
    own.call("hub_opened", "hub")
    assert opened == ["hub"]


def test_every_hook_is_documented() -> None:
    assert all(getattr(Instrument, name).__doc__ for name in HOOKS)
