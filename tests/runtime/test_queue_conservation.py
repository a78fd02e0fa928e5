"""Queues: no item is lost or doubled, whenever somebody dies, and in whatever thread."""

import itertools
import random
import threading
from typing import Any

import pytest

from greenscope.runtime import GreenletExit, Timeout, kill, killall, sleep, spawn
from greenscope.runtime.hub import get_hub
from greenscope.runtime.queue import Channel, Empty, Full, LifoQueue, Queue, SimpleQueue
from greenscope.runtime.waiting import interrupt


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
