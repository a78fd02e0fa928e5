"""What runs when a greenlet ends: raw links in the hub, spawned links in carriers."""

import threading
import time
from typing import Any

import pytest

from greenscope.runtime import Greenlet, GreenletExit, get_hub, getcurrent, idle, kill, sleep, spawn, testing
from greenscope.runtime.links import FailureSpawnedLink, SpawnedLink, SuccessSpawnedLink


@pytest.fixture(autouse=True)
def clock() -> Any:
    """Every test here is on a virtual clock."""
    with testing.virtual_clock() as clock:
        yield clock
        assert not get_hub().link_calls


def ended(function: Any = lambda: 5) -> Greenlet:
    """Return a greenlet that has ended."""
    task = spawn(function)
    task.join()
    return task


def test_link_gets_the_greenlet_in_a_greenlet_of_its_own() -> None:
    seen: list[Any] = []
    task = spawn(lambda: 5)
    task.link(lambda source: seen.append((source, getcurrent())))
    idle()
    assert seen[0][0] is task
    assert seen[0][1] not in (get_hub(), task, getcurrent())


def test_rawlink_is_called_in_the_hub() -> None:
    seen: list[Any] = []
    task = spawn(lambda: 5)
    task.rawlink(lambda source: seen.append((source, getcurrent())))
    idle()
    assert seen == [(task, get_hub())]


def test_links_are_called_also_after_the_end_and_each_once() -> None:
    seen: list[str] = []
    task = ended()
    for name in "ab":
        task.link(lambda source, name=name: seen.append(name))
        task.rawlink(lambda source, name=name: seen.append(name.upper()))
    idle()
    idle()
    assert sorted(seen) == ["A", "B", "a", "b"]
    assert task.has_links() == 0


def test_link_value_and_link_exception_tell_the_end_apart(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    def killed() -> None:
        raise GreenletExit

    for function in (lambda: 5, lambda: int("x"), killed):
        task = spawn(function)
        task.link_value(lambda source: seen.append("value"))
        task.link_exception(lambda source: seen.append("exception"))
        idle()
    assert seen == ["value", "exception", "value"]


def test_links_are_called_in_order() -> None:
    seen: list[int] = []
    task = spawn(lambda: 5)
    for n in range(50):
        task.link(lambda source, n=n: seen.append(n))
    idle()
    assert seen == list(range(50))


def test_callback_that_raises_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[int] = []
    task = spawn(lambda: 5)
    for link in (task.link, task.rawlink):
        link(lambda source: seen.append(1))
        link(lambda source: int("x"))
        link(lambda source: seen.append(2))
    idle()
    assert sorted(seen) == [1, 1, 2, 2]
    assert capsys.readouterr().err.count("ValueError: invalid literal") == 2


def test_callback_that_exits_stops_no_other() -> None:
    seen: list[int] = []
    task = spawn(lambda: 5)

    def leave(_: Any) -> None:
        raise GreenletExit

    task.link(leave)
    task.link(seen.append)
    idle()
    assert seen == [task]
    assert ended().value == 5


def test_callback_that_blocks_stops_no_other() -> None:
    seen: list[Any] = []
    tasks = [spawn(lambda: 5) for _ in range(3)]
    for n, task in enumerate(tasks):
        task.link(lambda source, n=n: (sleep(10), seen.append(("slow", n))))
        task.link(lambda source, n=n: seen.append(("fast", n)))
    idle()
    assert seen == [("fast", 0), ("fast", 1), ("fast", 2)]
    sleep(11)
    assert seen[3:] == [("slow", 0), ("slow", 1), ("slow", 2)]


def test_callback_that_is_killed_stops_no_other() -> None:
    seen: list[Any] = []
    task = spawn(lambda: 5)
    task.link(lambda source: (seen.append(getcurrent()), sleep(10)))
    task.link(lambda source: seen.append("second"))
    idle()
    kill(seen[0])
    idle()
    assert seen[0] in get_hub().free
    assert seen[1:] == ["second"]


def test_callback_may_kill_others() -> None:
    victim = spawn(sleep, 100)
    task = spawn(lambda: 5)
    task.link(lambda source: victim.kill())
    victim.join()
    assert isinstance(victim.value, GreenletExit)


@pytest.mark.parametrize("kind", ["link", "rawlink"])
def test_unlink_by_an_earlier_callback_holds(kind: str) -> None:
    seen: list[str] = []

    def first(source: Greenlet) -> None:
        seen.append("first")
        source.unlink(second)

    def second(source: Greenlet) -> None:
        seen.append("second")

    task = spawn(lambda: 5)
    getattr(task, kind)(first)
    getattr(task, kind)(second)
    idle()
    assert seen == ["first"]


@pytest.mark.parametrize("kind", ["link", "rawlink"])
def test_link_by_an_earlier_callback_is_called(kind: str) -> None:
    seen: list[str] = []

    def first(source: Greenlet) -> None:
        source.link(lambda _: seen.append("link"))
        source.rawlink(lambda _: seen.append("rawlink"))

    task = spawn(lambda: 5)
    getattr(task, kind)(first)
    idle()
    assert sorted(seen) == ["link", "rawlink"]


def test_unlink_removes_each_kind_and_unlink_all_all() -> None:
    def callback(source: Greenlet) -> None:
        raise AssertionError

    task = spawn(lambda: 5)
    for link in (task.link, task.link_value, task.link_exception, task.rawlink):
        link(callback)
    assert task.has_links() == 4
    for left in (3, 2, 1, 0, 0):
        task.unlink(callback)
        assert task.has_links() == left
    task.link(callback)
    task.unlink_all()
    task.unlink_all()
    idle()
    assert task.dead


def test_unlink_all_leaves_who_joins() -> None:
    task = spawn(sleep, 1)
    joiner = spawn(task.join)
    sleep(0)
    task.unlink_all()
    joiner.join()
    assert task.dead


def test_link_takes_a_class_of_ones_own() -> None:
    class Noted(SpawnedLink):
        def __call__(self, source: Any) -> None:
            seen.append(source)

    seen: list[Any] = []
    task = spawn(lambda: 5)
    task.link(lambda source: None, SpawnedLink=Noted)
    idle()
    assert seen == [task]


def test_spawned_link_can_be_called_by_hand() -> None:
    seen: list[Any] = []
    good = ended()
    for kind in (SpawnedLink, SuccessSpawnedLink, FailureSpawnedLink):
        get_hub().run_callback(kind(lambda source: (sleep(1), seen.append(source))), good)
    sleep(2)
    assert seen == [good, good]


def test_link_needs_a_callable() -> None:
    task = ended()
    for link in (task.link, task.link_value, task.rawlink):
        with pytest.raises(TypeError, match="Expected callable: 5"):
            link(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["link", "rawlink"])
def test_twenty_thousand_links_on_one_greenlet_take_linear_time(kind: str) -> None:
    def seconds(count: int) -> float:
        task = spawn(lambda: 5)
        called: list[Any] = []
        for _ in range(count):
            getattr(task, kind)(called.append)
        began = time.thread_time()  # what others do on this machine does not count
        idle()
        spent = time.thread_time() - began
        assert len(called) == count
        return spent

    few = min(seconds(2_000) for _ in range(3))
    many = min(seconds(20_000) for _ in range(3))
    assert many < 30 * few + 0.01


def test_joiners_of_many_threads_are_all_woken() -> None:
    task = Greenlet(lambda: 5)
    values: list[Any] = []
    threads = [threading.Thread(target=lambda: values.append(task.get())) for _ in range(4)]
    for thread in threads:
        thread.start()
    while task.has_links() < 4:
        time.sleep(0.001)
    task.start()
    task.join()
    for thread in threads:
        thread.join(10)
    assert values == [5, 5, 5, 5]
