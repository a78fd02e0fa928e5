"""The scenarios: each is small, and waits in every way that its subject knows."""

import gc
from collections import Counter
from collections.abc import Callable
from typing import Any

from greenscope.runtime import Timeout, iwait, joinall, kill, killall, sleep, wait
from greenscope.runtime.event import AsyncResult, Event
from greenscope.runtime.lock import BoundedSemaphore, RLock, Semaphore
from greenscope.runtime.pool import Group, Pool
from greenscope.runtime.queue import Channel, Empty, Full, JoinableQueue, PriorityQueue, Queue, SimpleQueue
from tests.runtime.kill_everywhere.world import World, equal, none_missing


def joins(world: World) -> None:
    first = world.spawn(lambda: (sleep(0), sleep(1), 5)[2])
    second = world.spawn(first.get)
    third = world.spawn(lambda: second.join(timeout=2))
    world.spawn(lambda: (joinall([first, second, third], timeout=5), wait([first, second], count=1)))
    world.spawn(lambda: [one.ready() for one in iwait([first, third], timeout=5)])


def kills(world: World) -> None:
    def stubborn() -> None:
        try:
            sleep(100)
        finally:
            sleep(1)

    victims = [world.spawn(stubborn), world.spawn(sleep, 100), world.spawn(sleep, 0)]
    world.spawn(lambda: victims[0].kill(timeout=5))
    world.spawn(lambda: killall(victims, timeout=5))
    world.spawn(lambda: kill(victims[2]))


def links(world: World) -> None:
    task = world.spawn(sleep, 1)
    called: list[int] = []
    task.link(lambda source: (sleep(1), called.append(1)))
    task.rawlink(lambda source: called.append(2))
    world.spawn(task.join)
    world.check(lambda: sleep(2))
    world.check(lambda: none_missing(Counter([1, 2]), Counter(called)))


def timeouts(world: World) -> None:
    def limited() -> None:
        with Timeout(2, False):
            sleep(5)
        try:
            with Timeout(1):
                sleep(5)
        except Timeout:
            sleep(0)

    for _ in range(2):
        world.spawn(limited)


def events(world: World) -> None:
    event, late = Event(), Event()
    for seconds in (None, 1, 5):
        world.spawn(event.wait, seconds)
        world.spawn(late.wait, seconds or 1)
    world.spawn(lambda: wait([event, late], timeout=3))
    world.spawn(lambda: (sleep(1), event.set()))
    world.never(lambda: event.is_set() and event.linkcount() > 0)
    world.check(lambda: equal(0, event.linkcount(), late.linkcount()))


def results(world: World) -> None:
    result: AsyncResult = AsyncResult()
    for seconds in (None, 1, 5):
        world.spawn(lambda seconds=seconds: result.get(timeout=seconds))
    world.spawn(lambda: result.wait(2))
    source = world.spawn(lambda: (sleep(1), 5)[1])
    source.link(result)
    world.check(lambda: equal(0, result.linkcount()))


def semaphores(world: World) -> None:
    bounded, plain = BoundedSemaphore(2), Semaphore(1)

    def use(seconds: float | None) -> None:
        if bounded.acquire(timeout=seconds):
            try:
                sleep(0)
                with plain:
                    sleep(1)
            finally:
                bounded.release()

    for seconds in (None, 1, 2, None, 0.5):
        world.spawn(use, seconds)
    world.spawn(lambda: (bounded.wait(1), wait([plain], timeout=1)))
    world.never(lambda: bounded.counter > 0 and bounded.linkcount() > 0)
    world.never(lambda: plain.counter > 0 and plain.linkcount() > 0)
    world.check(lambda: equal(2, bounded.counter))
    world.check(lambda: equal(1, plain.counter))
    world.check(lambda: equal(0, bounded.linkcount(), plain.linkcount()))


def crowded_semaphores(world: World) -> None:
    semaphore = Semaphore(1)

    def use() -> None:
        for _ in range(2):
            with semaphore:
                sleep(0)

    for _ in range(4):
        world.spawn(use)
    world.never(lambda: semaphore.counter > 0 and semaphore.linkcount() > 0)
    world.check(lambda: equal(1, semaphore.counter))
    world.check(lambda: equal(0, semaphore.linkcount()))


def crowded_queues(world: World) -> None:
    """Several in each line, and bursts: who is called and interrupted has to call the next."""
    queue = Queue(2)

    def producer() -> None:
        for number in range(3):
            queue.put(number)

    def consumer() -> None:
        for _ in range(3):
            queue.get()
            sleep(0)

    for _ in range(3):
        world.spawn(consumer)
    world.spawn(sleep, 1)
    for _ in range(3):
        world.spawn(producer)
    world.never(lambda: bool((queue.getters and not queue.empty()) or (queue.putters and not queue.full())))


def rlocks(world: World) -> None:
    lock = RLock()

    def use() -> None:
        with lock:
            sleep(0)
            with lock:
                sleep(1)

    for _ in range(3):
        world.spawn(use)
    world.check(lambda: equal(True, lock.acquire(blocking=False)))
    world.check(lock.release)


def queue_scenario(make: Callable[[], Any]) -> Callable[[World], None]:
    """Two who put and two who get, some with a time-out, over the queue that `make` returns."""

    def scenario(world: World) -> None:
        queue = make()
        tried, put, got = Counter[int](), Counter[int](), Counter[int]()

        def producer(numbers: range, seconds: float | None) -> None:
            for number in numbers:
                tried[number] += 1
                try:
                    queue.put(number, timeout=seconds)
                except Full:
                    continue
                put[number] += 1
                if number % 3 == 0:
                    sleep(0)

        def consumer(seconds: float | None) -> None:
            for _ in range(4):
                try:
                    got[queue.get(timeout=seconds)] += 1
                except Empty:
                    continue
                sleep(0)

        world.spawn(producer, range(4), None)
        world.spawn(consumer, None)
        world.spawn(producer, range(10, 14), 1)
        world.spawn(consumer, 1)

        def conserved() -> None:
            if not isinstance(queue, Channel):
                while not queue.empty():
                    got[queue.get_nowait()] += 1
            none_missing(put, got)  # no item that was put is lost
            none_missing(got, tried)  # none is there twice, or comes from nowhere
            equal(0, len(queue.getters), len(queue.putters) if hasattr(queue, "putters") else 0)

        def idle_though_possible() -> bool:
            putters = getattr(queue, "putters", ())
            if isinstance(queue, Channel):
                return bool(putters and queue.getters)
            return bool((queue.getters and not queue.empty()) or (putters and not queue.full()))

        world.check(conserved)
        world.never(idle_though_possible)

    scenario.__name__ = f"queue_{type(make()).__name__}_{getattr(make(), 'maxsize', None)}"
    return scenario


def joinable_queues(world: World) -> None:
    queue = JoinableQueue(1)

    def worker() -> None:
        while True:
            queue.get()
            try:
                sleep(0)
            finally:
                queue.task_done()

    world.spawn(worker)
    world.spawn(lambda: [queue.put(n) for n in range(3)])
    world.spawn(lambda: (sleep(0), queue.join(timeout=5)))
    world.check(lambda: equal(queue.unfinished_tasks, queue.qsize()))


def pools(world: World) -> None:
    pool = Pool(2)

    def fill() -> None:
        for n in range(4):
            pool.spawn(sleep, n % 2)
        pool.join(timeout=5)

    world.spawn(fill)
    world.spawn(lambda: pool.wait_available(timeout=1))
    world.spawn(lambda: pool.apply(sleep, (1,)))
    world.never(lambda: pool.free_count() > 0 and pool._semaphore.linkcount() > 0)
    world.check(lambda: (pool.kill(), equal(2, pool.free_count(), pool.size), equal(0, len(pool)))[0])


def pool_maps(world: World) -> None:
    pool = Pool(2)
    world.spawn(lambda: pool.map(lambda n: sleep(n % 2), range(4)))
    world.spawn(lambda: list(pool.imap(lambda n: sleep(0), range(3))))
    world.spawn(lambda: list(pool.imap_unordered(lambda n: sleep(0), range(3), maxsize=1)))
    world.check(lambda: (pool.kill(), gc.collect(), equal(2, pool.free_count()), equal(0, len(pool)))[0])


def groups(world: World) -> None:
    group = Group()

    def fill() -> None:
        for n in range(3):
            group.start(world.spawn(sleep, n))
        group.join(timeout=1)
        group.kill(timeout=5)

    world.spawn(fill)
    world.spawn(lambda: group.join(timeout=5))
    world.check(lambda: (group.kill(), equal(0, len(group)))[0])


SCENARIOS = [
    joins,
    kills,
    links,
    timeouts,
    events,
    results,
    semaphores,
    crowded_semaphores,
    crowded_queues,
    rlocks,
    queue_scenario(lambda: Queue(1)),
    queue_scenario(lambda: Queue(3)),
    queue_scenario(Queue),
    queue_scenario(SimpleQueue),
    queue_scenario(lambda: PriorityQueue(2)),
    queue_scenario(Channel),
    joinable_queues,
    pools,
    pool_maps,
    groups,
]
