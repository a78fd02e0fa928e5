"""Queues: tasks that are waited for until they are done, and shutdown."""

from collections.abc import Callable
from typing import Any

import pytest

from greenscope.runtime import sleep, spawn
from greenscope.runtime.queue import LifoQueue, PriorityQueue, Queue, ShutDown


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
