"""The work that bench_growth measures: `python growth_work.py PACKAGE WORK COUNT` prints microseconds per item.

In each there are COUNT greenlets at one thing at once. What is done for one of them may not depend on how many others
there are, so the figure should hardly grow with COUNT; a search in a line shows as one that does.
"""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from runtime_work import load, noop, per_item


def park(rt: Any, count: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """Return so many greenlets that have begun to wait in a function."""
    tasks = [rt.spawn(function, *args) for _ in range(count)]
    rt.sleep(0)
    rt.sleep(0)
    return tasks


def kill_last_first(rt: Any, tasks: list[Any]) -> None:
    """Kill greenlets, the last first, and wait for their ends."""
    for task in reversed(tasks):
        task.kill(block=False)
    rt.joinall(tasks)


def event_set(rt: Any, count: int) -> float:
    event = rt.event.Event()
    tasks = park(rt, count, event.wait)
    return per_item(count, lambda: [event.set(), rt.joinall(tasks)])


def event_killed(rt: Any, count: int) -> float:
    tasks = park(rt, count, rt.event.Event().wait)
    return per_item(count, lambda: kill_last_first(rt, tasks))


def event_links(rt: Any, count: int) -> float:
    event, done = rt.event.Event(), rt.event.Event()
    for _ in range(count):
        event.rawlink(noop)
    event.rawlink(lambda _: done.set())
    return per_item(count, lambda: [event.set(), done.wait()])


def result_set(rt: Any, count: int) -> float:
    result = rt.event.AsyncResult()
    tasks = park(rt, count, result.get)
    return per_item(count, lambda: [result.set(1), rt.joinall(tasks)])


def semaphore_released(rt: Any, count: int) -> float:
    semaphore = rt.lock.Semaphore(0)
    tasks = park(rt, count, semaphore.acquire)
    return per_item(count, lambda: [[semaphore.release() for _ in tasks], rt.joinall(tasks)])


def semaphore_killed(rt: Any, count: int) -> float:
    tasks = park(rt, count, rt.lock.Semaphore(0).acquire)
    return per_item(count, lambda: kill_last_first(rt, tasks))


def queue_filled(rt: Any, count: int) -> float:
    queue = rt.queue.Queue()
    tasks = park(rt, count, queue.get)
    return per_item(count, lambda: [[queue.put(1) for _ in tasks], rt.joinall(tasks)])


def queue_killed(rt: Any, count: int) -> float:
    tasks = park(rt, count, rt.queue.Queue().get)
    return per_item(count, lambda: kill_last_first(rt, tasks))


def one_joined(rt: Any, count: int) -> float:
    event = rt.event.Event()
    one = rt.spawn(event.wait)
    tasks = park(rt, count, one.join)
    return per_item(count, lambda: [event.set(), rt.joinall(tasks)])


def one_joined_killed(rt: Any, count: int) -> float:
    one = rt.spawn(rt.event.Event().wait)
    tasks = park(rt, count, one.join)
    figure = per_item(count, lambda: kill_last_first(rt, tasks))
    one.kill()
    return figure


def pool_of_one(rt: Any, count: int) -> float:
    pool = rt.pool.Pool(1)
    event = rt.event.Event()
    pool.spawn(event.wait)
    tasks = park(rt, count, pool.spawn, noop)
    return per_item(count, lambda: [event.set(), rt.joinall(tasks), pool.join()])


def group_killed(rt: Any, count: int) -> float:
    group = rt.pool.Group()
    for _ in range(count):
        group.spawn(rt.sleep, 1000)
    rt.sleep(0)
    return per_item(count, group.kill)


def timeouts(rt: Any, count: int) -> float:
    """All at once, and each is caught where it is raised."""
    event = rt.event.Event()

    def wait() -> None:
        with rt.Timeout(0.001, False):
            event.wait()

    return per_item(count, lambda: rt.joinall(park(rt, count, wait)))


def sleepers_killed(rt: Any, count: int) -> float:
    tasks = park(rt, count, rt.sleep, 1000)
    return per_item(count, lambda: kill_last_first(rt, tasks))


def descriptor_ready(rt: Any, count: int) -> float:
    """One pipe, as many wait for a byte as may."""
    wait_read = importlib.import_module(f"{rt.__name__}.socket").wait_read
    reading, writing = os.pipe()
    try:

        def work() -> None:
            tasks = park(rt, count, wait_read, reading)
            os.write(writing, b"x")
            rt.joinall(tasks)

        return per_item(count, work)
    finally:
        os.close(reading)
        os.close(writing)


def descriptor_killed(rt: Any, count: int) -> float:
    wait_read = importlib.import_module(f"{rt.__name__}.socket").wait_read
    reading, writing = os.pipe()
    try:
        tasks = park(rt, count, wait_read, reading)
        return per_item(count, lambda: kill_last_first(rt, tasks))
    finally:
        os.close(reading)
        os.close(writing)


def threadpool_results(rt: Any, count: int) -> float:
    """As many wait for one result of another thread."""
    pool = rt.get_hub().threadpool
    gate = importlib.import_module("threading").Event()
    result = pool.spawn(gate.wait)
    tasks = park(rt, count, result.get)
    return per_item(count, lambda: [gate.set(), rt.joinall(tasks)])


WORKS: dict[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        event_set,
        event_killed,
        event_links,
        result_set,
        semaphore_released,
        semaphore_killed,
        queue_filled,
        queue_killed,
        one_joined,
        one_joined_killed,
        pool_of_one,
        group_killed,
        timeouts,
        sleepers_killed,
        descriptor_ready,
        descriptor_killed,
        threadpool_results,
    )
}


def main(package: str, name: str, count: str) -> None:
    """Do one work and print its figure, the best of some rounds."""
    rt = load(package)
    rounds = max(1, min(10, 20_000 // int(count)))
    print(min(WORKS[name](rt, int(count)) for _ in range(rounds)))


if __name__ == "__main__":
    main(*sys.argv[1:])
