"""The native probe changes nothing for the program, and nothing that the program defines stops it."""

import threading
from collections.abc import Iterator
from types import MethodType
from typing import Any

import pytest

from greenscope.app.backends.native import NativeProbe
from greenscope.runtime import Greenlet, kill, killall, sleep, spawn, spawn_raw
from greenscope.runtime.exceptions import GreenletExit
from greenscope.runtime.instruments import Instrument, hooks
from greenscope.runtime.pool import Group, Pool
from greenscope.runtime.thread import RuntimeThread
from tests.app.native.probing import drain_until, id_of


def spawns_are_still_seen(thread: RuntimeThread, probe: NativeProbe) -> None:
    before = set(probe.live_ids())
    greenlet = thread.call(spawn, sleep, 60)
    assert id_of(probe, greenlet) in set(probe.live_ids()) - before
    thread.call(greenlet.kill)
    thread.call(sleep, 0)
    assert probe.id_of(greenlet) is None
    assert probe.faults == []


class Crawl(Greenlet):
    """Keeps in attributes what an observer might be tempted to."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self._depth, self._account, self._began, self.watch_id = depth, "DE123", "Monday", "w"

    def _run(self) -> Any:
        sleep(0)
        return self._depth, self._account, self._began, self.watch_id


def test_programs_own_attributes_stay_what_they_are(thread: RuntimeThread, probe: NativeProbe) -> None:
    group = Group()
    group.greenlet_class = Crawl

    def crawl() -> list[Any]:
        started = Crawl(5)
        started.start()
        return [Crawl.spawn(3).get(), group.spawn(4).get(), started.get()]

    assert thread.call(crawl) == [(depth, "DE123", "Monday", "w") for depth in (3, 4, 5)]
    spawns_are_still_seen(thread, probe)


def test_start_at_the_bottom_of_a_raw_greenlet_is_seen(thread: RuntimeThread, probe: NativeProbe) -> None:
    greenlet = Greenlet(sleep, 60)
    thread.call(lambda: [spawn_raw(greenlet.start), sleep(0), sleep(0)])
    assert id_of(probe, greenlet) in probe.live_ids()
    spawns_are_still_seen(thread, probe)
    thread.call(greenlet.kill)


def test_link_that_has_no_hash_is_no_membership(thread: RuntimeThread, probe: NativeProbe) -> None:
    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, owner: Any, greenlet: Any) -> None: ...

    def start() -> None:
        greenlet = Greenlet(int)
        greenlet.rawlink(MethodType(Unhashable(), 3))
        greenlet.start()
        greenlet.join()

    thread.call(start)
    spawns_are_still_seen(thread, probe)


def test_values_whose_types_have_no_hash_end_all_the_same(thread: RuntimeThread, probe: NativeProbe) -> None:
    class Meta(type):
        def __eq__(cls, other: object) -> bool:
            raise RuntimeError("not to be compared")

        __hash__ = None  # type: ignore[assignment]

    class Value(metaclass=Meta):
        pass

    def work() -> None:
        for greenlet in [spawn(Value) for _ in range(3)]:
            greenlet.join()

    thread.call(work)
    drain_until(probe, lambda seen: sum(e.kind == "succeeded" for e in seen) >= 3)
    spawns_are_still_seen(thread, probe)


def test_attributes_that_raise_are_not_asked_for(thread: RuntimeThread, probe: NativeProbe) -> None:
    class Proxy(Greenlet):
        def __getattr__(self, name: str) -> Any:
            raise KeyError(name)

    def kill_unstarted() -> None:
        Proxy(int).kill()
        Proxy(int).throw()

    thread.call(kill_unstarted)
    thread.call(sleep, 0)
    spawns_are_still_seen(thread, probe)


@pytest.mark.parametrize("many", [1, 5])
def test_killed_and_succeeded_of_one_batch_are_told_apart(thread: RuntimeThread, probe: NativeProbe, many: int) -> None:
    def work() -> None:
        dying, living = [spawn(sleep, 60) for _ in range(many)], [spawn(sleep, 0) for _ in range(many)]
        sleep(0)
        killall(dying)
        for greenlet in living:
            greenlet.join()

    thread.call(work)
    events = drain_until(probe, lambda seen: sum(e.kind == "killed" for e in seen) >= many)
    assert sum(event.kind == "killed" for event in events) == many
    assert sum(event.kind == "kill_requested" for event in events) == many


def test_who_survives_being_killed_leaves_nothing_behind(thread: RuntimeThread, probe: NativeProbe) -> None:
    def stubborn() -> None:
        try:
            sleep(60)
        except GreenletExit:
            pass

    def work() -> None:
        for _ in range(1_000):
            greenlet = spawn(stubborn)
            sleep(0)
            greenlet.kill()

    thread.call(work)
    events = drain_until(probe, lambda seen: sum(e.kind == "succeeded" for e in seen) >= 1_000)
    assert sum(event.kind == "kill_requested" for event in events) == 1_000
    assert probe.killing == {}


def test_kill_from_another_thread_is_asked_for_once(thread: RuntimeThread, probe: NativeProbe) -> None:
    sleepers = thread.call(lambda: [spawn(sleep, 60) for _ in range(3)])
    killing = threading.Thread(target=killall, args=(sleepers,))
    killing.start()
    killing.join()
    events = drain_until(probe, lambda seen: sum(e.kind == "killed" for e in seen) == 3)
    assert sum(event.kind == "kill_requested" for event in events) == 3


def test_killed_raw_greenlet_is_told_as_killed(thread: RuntimeThread, probe: NativeProbe) -> None:
    def work() -> None:
        raw = spawn_raw(sleep, 60)
        sleep(0)
        kill(raw)
        sleep(0)

    thread.call(work)
    drain_until(probe, lambda seen: any(e.kind == "killed" for e in seen))


def test_greenlet_that_has_ended_is_not_found(thread: RuntimeThread, probe: NativeProbe) -> None:
    probe.close()
    ended = thread.call(spawn, int)
    thread.call(ended.join)
    probe.attach()
    probe._adopt(ended)
    assert probe.id_of(ended) is None
    spawns_are_still_seen(thread, probe)


def test_hook_that_raises_is_removed_within_one_killall(
    thread: RuntimeThread, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Instrument):
        def kill_requested(self, greenlets: list[Any]) -> None:
            raise RuntimeError("broken")

    hooks.add(Broken())
    thread.call(lambda: killall([spawn(sleep, 60) for _ in range(50)]))
    assert capsys.readouterr().err.count("RuntimeError: broken") == 1


@pytest.fixture
def narrow_probe(thread: RuntimeThread) -> Iterator[NativeProbe]:
    """A probe that can note next to nothing."""
    probe = NativeProbe(buffer_limit=3)
    probe.attach()
    yield probe
    probe.close()


def test_raw_greenlets_whose_birth_was_dropped_are_forgotten(thread: RuntimeThread, narrow_probe: NativeProbe) -> None:
    probe = narrow_probe
    before = set(probe.live_ids())
    thread.call(lambda: [[spawn_raw(int) for _ in range(50)], sleep(0), sleep(0)])
    assert len(probe.buffer) <= 3
    assert probe.drain().dropped["spawned"] > 40
    for _ in range(3):
        probe.drain()
    assert not any(raw.dead for raw in probe.raws.values())
    assert len(set(probe.live_ids()) - before) < 5


def test_group_that_closes_while_the_buffer_is_full_is_told_later(
    thread: RuntimeThread, narrow_probe: NativeProbe
) -> None:
    probe = narrow_probe
    probe.drain()
    pool = Pool(3)
    number = pool._greenscope_id  # type: ignore[attr-defined]
    sleeper = thread.call(spawn, sleep, 60)
    probe.drain()
    others = [Group([sleeper]) for _ in range(5)]  # each of them is a note
    del pool
    probe.drain()
    told = drain_until(probe, lambda seen: any(e.kind == "group_closed" and e.group == number for e in seen))
    assert sum(event.kind == "group_closed" for event in told) == 1
    assert len(others) == 5
    thread.call(sleeper.kill)


class Strict(Greenlet):
    """Takes no attribute that it does not know."""

    known = frozenset(dir(Greenlet)) - {name for name in dir(Greenlet) if name.startswith("_greenscope")}

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.known and name not in {"hub", "spawning_greenlet", "value"}:
            raise AttributeError(name)
        super().__setattr__(name, value)


def test_greenlet_that_takes_no_strange_attribute_works_and_is_told(thread: RuntimeThread, probe: NativeProbe) -> None:
    pool = Pool(1, Strict)

    def work() -> list[int]:
        return [pool.spawn(abs, -3).get(), pool.spawn(lambda: sleep(0) or 4).get(), *pool.map(abs, [-5])]

    assert thread.call(work) == [3, 4, 5]
    told = drain_until(probe, lambda seen: sum(e.kind == "ungrouped" for e in seen) == 3)
    assert sum(e.kind == "grouped" for e in told) == 3
    assert all(e.sample and e.sample.run_time is not None for e in told if e.kind == "succeeded")
    spawns_are_still_seen(thread, probe)


def test_start_and_add_of_the_programs_own_are_called_as_when_nobody_watches(
    thread: RuntimeThread, probe: NativeProbe
) -> None:
    class Plain(Pool):
        def add(self, greenlet: Any) -> None:  # type: ignore[override]
            super().add(greenlet)

    own, other, plain = Pool(2), Pool(5), Plain(2)
    own.start = other.start  # type: ignore[method-assign]

    def spawn_both() -> list[Any]:
        return [own.spawn(sleep, 60), plain.spawn(sleep, 60)]

    first, second = thread.call(spawn_both)
    assert first in other
    assert first not in own
    assert second in plain
    thread.call(lambda: [other.kill(), plain.kill()])
