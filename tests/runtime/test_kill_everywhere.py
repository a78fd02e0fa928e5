"""Interrupt one greenlet at its Nth moment, for N = 1, 2, 3, ... until none is left: nothing may be lost or left over.

A moment is a greenlet of the scenario that lives while the hub begins a turn, be it parked, ready or not begun. So
each wait is interrupted before, in the same turn as, and after what it waits for is granted. (Idea: SQLite's tests,
which fail every allocation in turn.)
"""

import gc
import socket as standard_socket
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from greenscope.runtime import (
    Greenlet,
    GreenletExit,
    Timeout,
    get_hub,
    iwait,
    joinall,
    kill,
    killall,
    sleep,
    testing,
    wait,
)
from greenscope.runtime.event import AsyncResult, Event
from greenscope.runtime.lock import BoundedSemaphore, RLock, Semaphore
from greenscope.runtime.pool import Group, Pool
from greenscope.runtime.queue import Channel, Empty, Full, JoinableQueue, PriorityQueue, Queue, SimpleQueue
from greenscope.runtime.waiting import interrupt


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_looked_at() -> Iterator[None]:
    """Let `gc.collect` pass over what stands already: a scenario calls it at each moment, in a process that is full."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


#: more moments than any scenario here has: reaching it means that one never ends
MOST_MOMENTS = 3000


class Injected(Exception):
    """What is raised at the Nth moment, when it is no kill."""


class World:
    """The greenlets of one run of a scenario, and the one moment at which one of them is interrupted."""

    def __init__(self, moment: int, error: Any) -> None:
        self.tasks: list[Greenlet] = []
        self.checks: list[Callable[[], None]] = []
        self.stuck: list[Callable[[], bool]] = []
        self.fired = False
        self._left = moment
        self._error = error

    def spawn(self, function: Callable[..., Any], *args: Any) -> Greenlet:
        """Start a greenlet that may be interrupted."""
        task = Quiet(function, *args)
        task.start()
        self.tasks.append(task)
        return task

    def check(self, function: Callable[[], None]) -> None:
        """Have something asserted when all have ended."""
        self.checks.append(function)

    def never(self, function: Callable[[], bool]) -> None:
        """Have it denied, once nothing happens any more, that somebody waits for what is there to be had."""
        self.stuck.append(function)

    def begin_turn(self, ready: deque[Any]) -> None:
        """Count moments; called by the hub where a scheduler would shuffle."""
        if self.fired:
            return
        for task in self.tasks:
            if task.dead:
                continue
            self._left -= 1
            if self._left == 0:
                self.fired = True
                if task._carrier is None or self._error is GreenletExit:
                    task.kill(self._error, block=False)
                else:
                    interrupt(task._carrier, self._error)
                return


class Quiet(Greenlet):
    """A greenlet whose error is nobody's news."""

    def _report_error(self, error: BaseException, tb: Any) -> None:
        pass


@contextmanager
def moments(world: World) -> Iterator[None]:
    """Let a world count the turns of this thread's hub."""
    hub = get_hub()
    hub._shuffle = world.begin_turn
    try:
        yield
    finally:
        hub._shuffle = None


def run_once(scenario: Callable[[World], None], moment: int, error: Any) -> bool:
    """Run a scenario with an interrupt at one moment, and check what is left; False when the moment never came."""
    world = World(moment, error)
    hub = get_hub()
    with moments(world):
        scenario(world)
        joinall(world.tasks, timeout=1000)  # whoever waits for the victim in vain is let go afterwards
        assert not any(function() for function in world.stuck), "somebody waits for what is there"
    killall(world.tasks)
    for _ in range(3):
        sleep(0)
    for check in world.checks:
        check()
    assert [task for task in world.tasks if task.has_links()] == []
    assert len(hub.timers) == 0
    assert not hub.ready
    assert not hub.link_calls
    assert hub.holds == 0
    assert hub.poller.refs == 0
    return world.fired


def run_everywhere(scenario: Callable[[World], None], error: Any) -> int:
    """Run a scenario for N = 1, 2, 3, ... until the moment never comes; returns how many there were."""
    for moment in range(1, MOST_MOMENTS):
        try:
            if not run_once(scenario, moment, error):
                return moment - 1
        except BaseException:
            print(f"interrupted at moment {moment} with {error!r}", file=sys.stderr)
            raise
    raise AssertionError("the scenario does not end")


# -- scenarios: each is small, and waits in every way that its subject knows


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


def none_missing(some: Counter[int], among: Counter[int]) -> None:
    """Assert that all of `some` are `among` the others, as often."""
    assert some - among == Counter()


def equal(*values: Any) -> None:
    """Assert that all are the same."""
    assert len(set(values)) == 1, values


@pytest.mark.parametrize("error", [GreenletExit, Injected("here"), Timeout(5)], ids=["kill", "error", "timeout"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_nothing_is_left_over(scenario: Callable[[World], None], error: Any) -> None:
    with testing.virtual_clock():
        assert run_everywhere(scenario, error) > 3


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_any_order_of_turns_ends_the_same(scenario: Callable[[World], None]) -> None:
    for seed in range(20):
        with testing.seeded_scheduler(seed), testing.virtual_clock():
            world = World(MOST_MOMENTS, None)
            scenario(world)
            joinall(world.tasks, timeout=1000)
            killall(world.tasks)
            for _ in range(3):
                sleep(0)
            for check in world.checks:
                check()
            assert len(get_hub().timers) == 0


# -- scenarios that end elsewhere, in real time


def native_calls(world: World) -> None:
    pool = get_hub().threadpool
    world.spawn(lambda: pool.apply(int, ("5",)))
    world.spawn(lambda: pool.spawn(int, "5").get(timeout=5))


def sockets(world: World) -> None:
    from greenscope.runtime.socket import socket

    left, right = (socket(fileno=one.detach()) for one in standard_socket.socketpair())

    def echo() -> None:
        while data := right.recv(10):
            right.sendall(data)

    def ask() -> None:
        left.settimeout(5)
        for _ in range(3):
            left.sendall(b"x")
            left.recv(1)
        left.shutdown(standard_socket.SHUT_WR)

    world.spawn(echo)
    world.spawn(ask)
    world.check(lambda: (left.close(), right.close())[0])


def processes(world: World) -> None:
    from greenscope.runtime.subprocess import PIPE, Popen

    process = Popen(["cat"], stdin=PIPE, stdout=PIPE)

    def talk() -> None:
        process.communicate(b"x", timeout=5)

    def end() -> None:
        if process.poll() is None:
            process.kill()
        process.wait(5)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    world.spawn(talk)
    world.spawn(lambda: process.wait(timeout=5))
    world.check(end)


@pytest.mark.parametrize("scenario", [native_calls, sockets, processes], ids=lambda scenario: scenario.__name__)
def test_nothing_is_left_over_of_what_ends_elsewhere(scenario: Callable[[World], None]) -> None:
    for moment in range(1, MOST_MOMENTS):
        world = World(moment, GreenletExit)
        hub = get_hub()
        with moments(world):
            scenario(world)
            joinall(world.tasks, timeout=0.2)
        killall(world.tasks)
        for check in world.checks:
            check()
        with Timeout(5):
            while hub.holds:
                sleep(0.001)
        assert [task for task in world.tasks if task.has_links()] == []
        assert hub.poller.refs == 0
        if not world.fired:
            break
    assert moment > 2
