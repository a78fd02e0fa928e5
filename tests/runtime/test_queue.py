"""Queues and channels: order, limits, shutdown, the hub; no item lost or doubled, whenever somebody dies."""

import itertools
import queue as standard
import random
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from greenscope.runtime import GreenletExit, Timeout, joinall, kill, killall, sleep, spawn, spawn_raw
from greenscope.runtime.exceptions import LoopExit
from greenscope.runtime.hub import get_hub
from greenscope.runtime.queue import (
    Channel,
    Empty,
    Full,
    JoinableQueue,
    LifoQueue,
    PriorityQueue,
    Queue,
    ShutDown,
    SimpleQueue,
)
from greenscope.runtime.waiting import interrupt

ALL = [SimpleQueue, Queue, LifoQueue, PriorityQueue]


class Bottlenecked(Queue):
    """A subclass in the way of the standard library's queues."""

    def _init(self, maxsize: int | None, items: Any = ()) -> None:
        self.queue = list(items)
        self.log: list[str] = []

    def _qsize(self) -> int:
        return len(self.queue)

    def _put(self, item: Any) -> None:
        self.log.append("put")
        self.queue.append(item)
        self.unfinished_tasks += 1

    def _get(self) -> Any:
        self.log.append("get")
        return self.queue.pop(0)


def in_hub(function: Callable[[], Any]) -> Any:
    """Call a function in the hub; returns what it returned or raised."""
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    get_hub().run_callback(call)
    sleep(0)
    return outcome[0]


@pytest.mark.parametrize("kind", [*ALL, Bottlenecked])
def test_queue_gives_what_was_put(kind: type[SimpleQueue]) -> None:
    queue = kind()
    assert queue.empty()
    assert queue
    for item in (2, 1, 3):
        queue.put(item)
    assert queue.qsize() == len(queue) == 3
    orders: dict[Any, list[int]] = {LifoQueue: [3, 1, 2], PriorityQueue: [1, 2, 3]}
    order = orders.get(kind, [2, 1, 3])
    assert queue.peek() == order[0]
    assert queue.peek_nowait() == order[0]
    assert [queue.get(), queue.get(), queue.get_nowait()] == order
    with pytest.raises(Empty):
        queue.get_nowait()
    with pytest.raises(standard.Empty):
        queue.peek_nowait()
    assert weakref.ref(queue)() is queue


@pytest.mark.parametrize("kind", [*ALL, Bottlenecked])
def test_queue_is_full_at_its_maxsize(kind: type[SimpleQueue]) -> None:
    queue = kind(2, items=[1])
    assert queue.maxsize == 2
    queue.put_nowait(2)
    assert queue.full()
    with pytest.raises(Full):
        queue.put_nowait(3)
    with pytest.raises(standard.Full):
        queue.put(3, timeout=0.001)
    assert queue.qsize() == 2
    assert not queue.putters


@pytest.mark.parametrize("kind", [*ALL, Bottlenecked])
def test_queue_get_waits_for_an_item_and_put_for_room(kind: type[SimpleQueue]) -> None:
    queue = kind(1)
    getter = spawn(queue.get)
    sleep(0)
    assert len(queue.getters) == 1
    queue.put(1)
    assert getter.get() == 1
    queue.put(2)
    putters = [spawn(queue.put, item) for item in (3, 4)]
    sleep(0)
    assert len(queue.putters) == 2
    assert [queue.get() for _ in range(3)] == [2, 3, 4]
    joinall(putters, raise_error=True)
    assert not queue.getters
    assert not queue.putters


def test_queue_serves_getters_and_putters_in_order_of_arrival() -> None:
    queue = Queue(1)
    got: list[tuple[int, int]] = []
    getters = [spawn(lambda n=n: got.append((n, queue.get()))) for n in range(5)]
    putters = [spawn(queue.put, n) for n in range(5)]
    joinall([*getters, *putters], raise_error=True)
    assert got == [(n, n) for n in range(5)]


def test_queue_peek_leaves_the_item_for_the_next() -> None:
    queue = SimpleQueue()
    peeker, getter = spawn(queue.peek), spawn(queue.get)
    sleep(0)
    queue.put("item")
    assert getter.get(timeout=1) == "item"
    assert peeker.get(timeout=1) == "item"


def test_queue_iteration_ends_with_stop_iteration_itself() -> None:
    queue = Queue(items=[1, 2, StopIteration, 3])
    assert list(queue) == [1, 2]
    assert next(queue) == 3
    channel = Channel()
    putter = spawn(lambda: [channel.put(item) for item in (1, StopIteration)])  # type: ignore[func-returns-value]
    assert list(channel) == [1]
    putter.join()


def test_queue_refuses_a_negative_timeout() -> None:
    queue = Queue(1)
    with pytest.raises(ValueError, match="non-negative"):
        queue.get(timeout=-1)
    with pytest.raises(ValueError, match="non-negative"):
        queue.put(1, timeout=-1)
    queue.put(1, timeout=1)
    with pytest.raises(ValueError, match="non-negative"):
        queue.put(1, timeout=-1)
    with pytest.raises(Full):
        queue.put(1, block=False, timeout=-1)


def test_queue_timeouts() -> None:
    queue = Queue(1)
    with pytest.raises(Empty) as caught:
        queue.get(timeout=0.001)
    assert caught.value.__context__ is None
    mine = Timeout(0.001)
    with pytest.raises(Timeout) as raised:
        queue.get(timeout=mine)  # type: ignore[arg-type]
    assert raised.value is mine
    with pytest.raises(KeyError):
        queue.get(timeout=Timeout(0.001, KeyError))  # type: ignore[arg-type]
    queue.put(1)
    with pytest.raises(Timeout), Timeout(0.001):
        queue.put(2, timeout=5)
    assert queue.qsize() == 1
    assert not queue.getters
    assert not queue.putters


def test_queue_get_with_timeout_zero_lets_others_run_first() -> None:
    queue = Queue()
    spawn(queue.put, "late")
    assert queue.get(timeout=0) == "late"


def test_queue_item_that_comes_with_the_time_out_is_got() -> None:
    queue = Queue()
    getter = spawn(queue.get, timeout=0.001)
    sleep(0)
    spawn_raw(queue.put, "item")
    threading.Event().wait(0.002)
    assert getter.get() == "item"


def test_queue_without_anybody_to_put_ends_in_loop_exit() -> None:
    queue = Queue()
    with pytest.raises(LoopExit):
        queue.get()
    assert not queue.getters


def test_queue_in_the_hub_never_blocks() -> None:
    queue = Queue(1)
    assert isinstance(in_hub(queue.get), Empty)
    assert in_hub(lambda: queue.put(1)) is None
    assert isinstance(in_hub(lambda: queue.put(2)), Full)
    putter = spawn(queue.put, 2)
    sleep(0)
    assert in_hub(queue.get_nowait) == 1
    sleep(0)
    assert putter.ready()
    assert in_hub(queue.get) == 2


def test_queue_getter_that_was_robbed_is_the_next_one() -> None:
    queue = Queue()
    first, second = spawn(queue.get), spawn(queue.get)
    sleep(0)
    queue.put("a")
    assert queue.get() == "a"
    sleep(0)
    queue.put("b")
    assert first.get(timeout=1) == "b"
    assert not second.ready()
    queue.put("c")
    assert second.get() == "c"


def test_queue_maxsize_can_be_changed() -> None:
    queue = Queue(1, items=[0])
    putters = [spawn(queue.put, n) for n in (1, 2, 3)]
    sleep(0)
    queue.maxsize = 3
    sleep(0)
    assert [putter.ready() for putter in putters] == [True, True, False]
    queue.maxsize = None
    joinall(putters)
    assert queue.maxsize is None
    assert list(queue.queue) == [0, 1, 2, 3]
    queue.maxsize = 2
    assert queue.full()
    with pytest.raises(Full):
        queue.put_nowait(4)


def test_queue_zero_is_unlimited_and_warned_of() -> None:
    with pytest.warns(DeprecationWarning, match="use Channel"):
        assert Queue(0).maxsize is None
    with pytest.warns(DeprecationWarning, match="use Channel"):
        assert SimpleQueue(0).maxsize is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Queue(-1).maxsize is None


def test_queue_copies_and_says_what_it_holds() -> None:
    queue = Queue(3, items=[1, 2])
    copied = queue.copy()
    assert (copied.maxsize, list(copied.queue), copied.unfinished_tasks) == (3, [1, 2], 2)
    assert SimpleQueue(items="ab").copy().qsize() == 2
    assert str(queue) == "<Queue maxsize=3 queue=deque([1, 2]) tasks=2>"
    waiting = Queue()
    getter = spawn(waiting.get)
    sleep(0)
    assert "getters[1]" in repr(waiting)
    getter.kill()
    assert Queue.__class_getitem__(int).__origin__ is Queue
    assert JoinableQueue is Queue


def test_queue_subclass_methods_are_called() -> None:
    queue = Bottlenecked(1)
    getter = spawn(queue.get)
    sleep(0)
    queue.put(1)
    getter.join()
    queue.put(2)
    queue.get()
    assert queue.log == ["put", "get", "put", "get"]


def test_queue_error_of_a_subclass_goes_to_its_caller_and_blocks_nobody_else() -> None:
    class Picky(Queue):
        def _put(self, item: Any) -> None:
            if item == "bad":
                raise ValueError("bad item")
            Queue._put(self, item)

    queue = Picky(1, items=[0])
    bad, good = spawn(queue.put, "bad"), spawn(queue.put, "good")
    sleep(0)
    hub = get_hub()
    hub.print_exception = lambda *args: None  # type: ignore[method-assign]
    try:
        assert queue.get() == 0
        assert queue.get(timeout=1) == "good"
    finally:
        del hub.print_exception
    assert isinstance(bad.exception, ValueError)
    assert good.successful()


def test_queue_shows_observers_what_is_waited_for() -> None:
    queue, full = Queue(), Queue(1, items=[1])
    waits = [spawn(queue.get), spawn(full.put, 2), spawn(full.join)]
    sleep(0)
    shown = [one._carrier.waiting_on for one in waits if one._carrier is not None]
    assert [one.waits_as for one in shown] == ["queue.get", "queue.put", "queue.join"]
    assert [one.name for one in shown] == ["Queue"] * 3
    assert [one.queue for one in shown] == [queue, full, full]
    assert repr(shown[0]).startswith("queue.get of <Queue")
    killall(waits)


# -- tasks and shutdown


def test_queue_join_waits_until_all_tasks_are_done() -> None:
    queue = Queue(items=[1, 2])
    assert queue.unfinished_tasks == 2
    assert queue.join(timeout=0.001) is False
    joiner = spawn(queue.join)
    for _ in range(2):
        queue.get()
        sleep(0)
        assert not joiner.ready()
        queue.task_done()
    assert joiner.get() is True
    assert queue.join() is True
    with pytest.raises(ValueError, match="too many times"):
        queue.task_done()
    assert Queue(items=[1], unfinished_tasks=3).unfinished_tasks == 3


@pytest.mark.parametrize("kind", [Queue, LifoQueue, PriorityQueue])
def test_queue_shutdown_lets_the_rest_out_and_nothing_in(kind: type[Queue]) -> None:
    queue = kind(1)
    getter = spawn(_outcome, queue.get)
    sleep(0)
    queue.shutdown()
    assert getter.get() is ShutDown
    full = kind(1, items=[1])
    putter = spawn(_outcome, lambda: full.put(2))
    sleep(0)
    full.shutdown()
    assert putter.get() is ShutDown
    with pytest.raises(ShutDown):
        full.put(2)
    assert full.get() == 1
    with pytest.raises(ShutDown):
        full.get()
    with pytest.raises(ShutDown):
        full.get_nowait()


def test_queue_immediate_shutdown_drops_the_rest_and_ends_joins() -> None:
    queue = Queue(items=[1, 2])
    joiner = spawn(queue.join)
    sleep(0)
    queue.shutdown(immediate=True)
    assert joiner.get() is True
    assert queue.empty()
    with pytest.raises(ShutDown):
        queue.get()


def _outcome(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:
        return type(error)


# -- nothing lost, nothing doubled


def test_queue_item_of_a_killed_getter_goes_to_the_next() -> None:
    queue = Queue()
    victim, next_one = spawn(queue.get), spawn(queue.get)
    sleep(0)
    queue.put("item")
    interrupt(victim._carrier, GreenletExit)  # called already, not run yet
    assert next_one.get(timeout=1) == "item"
    assert queue.empty()


def test_queue_room_of_a_killed_putter_goes_to_the_next() -> None:
    queue = Queue(1, items=["first"])
    victim, next_one = spawn(queue.put, "killed"), spawn(queue.put, "second")
    sleep(0)
    assert queue.get() == "first"
    interrupt(victim._carrier, GreenletExit)
    next_one.join(1)
    assert queue.get_nowait() == "second"
    assert queue.empty()


@pytest.mark.parametrize("kind", [SimpleQueue, Queue, LifoQueue, Channel])
@pytest.mark.parametrize("seed", range(4))
def test_queue_items_are_conserved_when_getters_and_putters_die(kind: Any, seed: int) -> None:
    chance = random.Random(seed)
    queue = kind(1 if kind is Channel else 2)
    numbers = itertools.count()
    put: list[int] = []
    got: list[int] = []
    unsure: list[int] = []

    def produce() -> None:
        while True:
            number = next(numbers)
            try:
                queue.put(number, timeout=chance.choice([None, 0, 0.0002]))
            except Full:
                continue
            except BaseException:
                unsure.append(number)  # a channel may have given it away in the same moment
                raise
            put.append(number)

    def consume() -> None:
        while True:
            try:
                got.append(queue.get(timeout=chance.choice([None, 0, 0.0002])))
            except Empty:
                sleep(0)

    workers = [spawn(chance.choice([produce, consume])) for _ in range(8)]
    for _ in range(60):
        sleep(0)
        victim = chance.choice(workers)
        kill(victim)
        workers.remove(victim)
        workers.append(spawn(chance.choice([produce, consume])))
    killall(workers)
    if kind is not Channel:
        got += list(queue.queue)
        assert sorted(got) == sorted(put)
    else:
        assert len(got) == len(set(got))
        assert set(put) <= set(got) <= set(put) | set(unsure)
    assert not queue.getters
    assert not queue.putters


@pytest.mark.parametrize("turn", range(8))
@pytest.mark.parametrize("target", ["getter", "putter"])
def test_queue_is_whole_after_an_interruption_at_any_turn(turn: int, target: str) -> None:
    queue = Queue(1)
    got: list[int] = []
    sent: list[int] = []

    def consume() -> None:
        for _ in range(4):
            got.append(queue.get())

    def produce() -> None:
        for number in range(4):
            queue.put(number)
            sent.append(number)

    greenlets = {"getter": spawn(consume), "putter": spawn(produce)}
    for _ in range(turn):
        sleep(0)
    victim = greenlets[target]
    if not victim.dead:
        interrupt(victim._carrier, Timeout(0)) if victim._carrier is not None else victim.kill(block=False)
    hub = get_hub()
    hub.print_exception = lambda *args: None  # type: ignore[method-assign]
    try:
        for _ in range(12):
            sleep(0)
    finally:
        del hub.print_exception
    killall(list(greenlets.values()))
    assert got + list(queue.queue) == sent
    assert not queue.getters
    assert not queue.putters


def test_queue_works_across_threads() -> None:
    queue = Queue(3)
    count = 500

    def produce() -> None:
        for number in range(count):
            while True:
                try:
                    queue.put_nowait(number)
                    break
                except Full:
                    threading.Event().wait(0.0005)

    hub = get_hub()
    hub.hold()
    thread = threading.Thread(target=produce)
    thread.start()
    try:
        assert [queue.get(timeout=5) for _ in range(count)] == list(range(count))
    finally:
        hub.release()
        thread.join(5)
    assert queue.empty()


# -- Channel


def test_channel_put_returns_when_the_item_was_taken() -> None:
    channel = Channel()
    putter = spawn(channel.put, "item")
    sleep(0)
    assert not putter.ready()
    assert channel.balance == 1
    assert "putters[1]" in repr(channel)
    assert channel.get() == "item"
    putter.join()
    getter = spawn(channel.get)
    sleep(0)
    assert channel.balance == -1
    assert str(channel) == "<Channel getters[1]>"
    channel.put("other")
    assert getter.ready()
    assert getter.get() == "other"
    assert channel.empty()
    assert channel.full()
    assert channel.qsize() == 0
    with pytest.raises(ValueError, match="maxsize of 1"):
        Channel(2)


def test_channel_raises_when_nobody_comes() -> None:
    channel = Channel()
    with pytest.raises(Full):
        channel.put(1, timeout=0.001)
    with pytest.raises(Empty):
        channel.get(timeout=0.001)
    with pytest.raises(Full):
        channel.put_nowait(1)
    with pytest.raises(Empty):
        channel.get_nowait()
    mine = Timeout(0.001)
    with pytest.raises(Timeout) as caught:
        channel.put(1, timeout=mine)  # type: ignore[arg-type]
    assert caught.value is mine
    with pytest.raises(KeyError):
        channel.get(timeout=Timeout(0.001, KeyError))  # type: ignore[arg-type]
    assert channel.balance == 0


def test_channel_nowait_meets_whoever_is_there() -> None:
    channel = Channel()
    getter = spawn(channel.get)
    sleep(0)
    channel.put_nowait(1)
    assert getter.get() == 1
    spawn(channel.put, 2)
    assert channel.get_nowait() == 2


def test_channel_item_of_a_killed_getter_goes_to_the_next() -> None:
    channel = Channel()
    victim, next_one = spawn(channel.get), spawn(channel.get)
    sleep(0)
    putter = spawn(channel.put, "item")
    while channel.balance != 0:
        sleep(0)
    interrupt(victim._carrier, GreenletExit)
    assert next_one.get(timeout=1) == "item"
    putter.join(1)
    assert putter.ready()


def test_channel_in_the_hub_serves_those_who_wait_and_never_blocks() -> None:
    channel = Channel()
    assert isinstance(in_hub(lambda: channel.put(1)), Full)
    assert isinstance(in_hub(channel.get), Empty)
    getters = [spawn(channel.get) for _ in range(2)]
    sleep(0)
    assert in_hub(lambda: [channel.put(n) for n in (1, 2)]) == [None, None]  # type: ignore[func-returns-value]
    assert [getter.get() for getter in getters] == [1, 2]
    putter = spawn(channel.put, 3)
    sleep(0)
    assert in_hub(channel.get) == 3
    putter.join()
    assert channel.balance == 0


def test_channel_item_put_in_the_hub_for_a_getter_that_dies_waits_for_the_next() -> None:
    channel = Channel()
    victim = spawn(channel.get)
    sleep(0)
    get_hub().run_callback(channel.put, "item")
    get_hub().run_callback(interrupt, victim._carrier, GreenletExit)
    victim.join()
    assert isinstance(victim.value, GreenletExit)
    assert channel.get(timeout=1) == "item"
    assert channel.balance == 0
