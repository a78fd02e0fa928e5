"""Queues: order, limits, time-outs, the hub, subclasses."""

import queue as standard
import threading
import warnings
import weakref
from typing import Any

import pytest

from greenscope.runtime import Timeout, joinall, killall, sleep, spawn, spawn_raw
from greenscope.runtime.exceptions import LoopExit
from greenscope.runtime.hub import get_hub
from greenscope.runtime.queue import Channel, Empty, Full, JoinableQueue, LifoQueue, PriorityQueue, Queue, SimpleQueue
from tests.runtime.elsewhere import in_hub

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
