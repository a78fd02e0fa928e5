"""The work that bench_runtime measures: `python runtime_work.py PACKAGE WORK` prints microseconds (or bytes) per item.

Each function does its work once on the runtime `rt` and returns the figure; setting up is not measured.
"""

import gc
import importlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any

clock = time.perf_counter


def noop(*_: Any) -> None:
    """Do nothing."""


def per_item(count: int, function: Callable[[], Any]) -> float:
    """Return the microseconds per item of a function that handles `count` of them."""
    gc.collect()
    began = clock()
    function()
    return (clock() - began) / count * 1e6


def spawn_all(rt: Any, count: int = 100_000) -> float:
    return per_item(count, lambda: rt.joinall([rt.spawn(noop) for _ in range(count)]))


def spawn_waves(rt: Any, count: int = 100_000) -> float:
    def waves() -> None:
        for _ in range(count // 100):
            rt.joinall([rt.spawn(noop) for _ in range(100)])

    return per_item(count, waves)


def pool_map(rt: Any, count: int = 20_000) -> float:
    pool = rt.pool.Pool(100)
    return per_item(count, lambda: pool.map(noop, range(count)))


def pool_imap_unordered(rt: Any, count: int = 20_000) -> float:
    pool = rt.pool.Pool(100)
    return per_item(count, lambda: list(pool.imap_unordered(noop, range(count))))


def group_spawn(rt: Any, count: int = 20_000) -> float:
    def work() -> None:
        group = rt.pool.Group()
        for _ in range(count):
            group.spawn(noop)
        group.join()

    return per_item(count, work)


def spawn_links(rt: Any, count: int = 20_000) -> float:
    def work() -> None:
        tasks = []
        for _ in range(count):
            task = rt.spawn(noop)
            task.link(noop)
            task.link_value(noop)
            tasks.append(task)
        rt.joinall(tasks)
        rt.idle()

    return per_item(count, work)


def spawn_get(rt: Any, count: int = 20_000) -> float:
    def work() -> None:
        for _ in range(count):
            rt.spawn(noop).get()

    return per_item(count, work)


def sleep_zero(rt: Any, count: int = 200_000) -> float:
    def spin() -> None:
        for _ in range(count // 50):
            rt.sleep(0)

    tasks = [rt.spawn(spin) for _ in range(50)]
    return per_item(count, lambda: rt.joinall(tasks))


def queue_items(rt: Any, count: int = 100_000) -> float:
    queue = rt.queue.Queue(10)

    def produce() -> None:
        for item in range(count):
            queue.put(item)

    def consume() -> None:
        for _ in range(count):
            queue.get()

    tasks = [rt.spawn(produce), rt.spawn(consume)]
    return per_item(count, lambda: rt.joinall(tasks))


def semaphore_handoff(rt: Any, count: int = 40_000) -> float:
    """Two greenlets, each waits for the slot that the other one releases: every handoff is a switch."""
    mine, theirs = rt.lock.Semaphore(1), rt.lock.Semaphore(0)

    def play(take: Any, give: Any) -> None:
        for _ in range(count // 2):
            take.acquire()
            give.release()

    tasks = [rt.spawn(play, mine, theirs), rt.spawn(play, theirs, mine)]
    return per_item(count, lambda: rt.joinall(tasks))


def semaphore_contended(rt: Any, count: int = 40_000) -> float:
    """Four greenlets that hold the one slot across a sleep(0): who releases it mostly takes it again at once."""
    semaphore = rt.lock.Semaphore(1)

    def work() -> None:
        for _ in range(count // 4):
            with semaphore:
                rt.sleep(0)

    tasks = [rt.spawn(work) for _ in range(4)]
    return per_item(count, lambda: rt.joinall(tasks))


def event_waiters(rt: Any, count: int = 20_000) -> float:
    def work() -> None:
        event = rt.event.Event()
        tasks = [rt.spawn(event.wait) for _ in range(count)]
        rt.sleep(0)
        event.set()
        rt.joinall(tasks)

    return per_item(count, work)


def spawn_later(rt: Any, count: int = 10_000) -> float:
    return per_item(count, lambda: rt.joinall([rt.spawn_later((n % 1000) / 100_000, noop) for n in range(count)]))


def killall_sleepers(rt: Any, count: int = 10_000) -> float:
    tasks = [rt.spawn(rt.sleep, 1000) for _ in range(count)]
    rt.sleep(0)
    return per_item(count, lambda: rt.killall(tasks))


def resident() -> int:
    """Return the resident memory of this process, bytes."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def parked_memory(rt: Any, count: int = 20_000) -> float:
    event = rt.event.Event()
    gc.collect()
    before = resident()
    tasks = [rt.spawn(event.wait) for _ in range(count)]
    rt.sleep(0)
    rt.sleep(0)
    bytes_each = (resident() - before) / len(tasks)
    event.set()
    return bytes_each


def unbegun_memory(rt: Any, count: int = 100_000) -> float:
    gc.collect()
    before = resident()
    tasks = [rt.spawn(noop) for _ in range(count)]
    bytes_each = (resident() - before) / len(tasks)
    rt.joinall(tasks)
    return bytes_each


def tcp_echo(rt: Any, count: int = 20_000, connections: int = 100) -> float:
    import socket as constants

    make = importlib.import_module(f"{rt.__name__}.socket").socket

    def serve(connection: Any) -> None:
        while data := connection.recv(100):
            connection.sendall(data)
        connection.close()

    def accept() -> None:
        for _ in range(connections):
            rt.spawn(serve, listener.accept()[0])

    listener = make(constants.AF_INET, constants.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(connections)
    accepting = rt.spawn(accept)
    clients = []
    for _ in range(connections):
        client = make(constants.AF_INET, constants.SOCK_STREAM)
        client.connect(listener.getsockname())
        client.setsockopt(constants.IPPROTO_TCP, constants.TCP_NODELAY, 1)
        clients.append(client)
    accepting.join()

    def ask(client: Any) -> None:
        for _ in range(count // connections):
            client.sendall(b"0123456789")
            client.recv(100)
        client.close()

    tasks = [rt.spawn(ask, client) for client in clients]
    figure = per_item(count, lambda: rt.joinall(tasks))
    listener.close()
    return figure


WORKS: dict[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        spawn_all,
        spawn_waves,
        pool_map,
        pool_imap_unordered,
        group_spawn,
        spawn_links,
        spawn_get,
        sleep_zero,
        queue_items,
        semaphore_handoff,
        semaphore_contended,
        event_waiters,
        spawn_later,
        killall_sleepers,
        parked_memory,
        unbegun_memory,
        tcp_echo,
    )
}


def load(package: str) -> Any:
    """Return a runtime with its modules that the works use, warm."""
    rt = importlib.import_module(package)
    for module in ("event", "lock", "queue", "pool"):
        try:
            importlib.import_module(f"{package}.{module}")
        except ImportError:
            pass  # only the works that use it fail
    rt.joinall([rt.spawn(noop) for _ in range(100)])
    return rt


def main(package: str, name: str) -> None:
    """Do one work and print its figure."""
    rt = load(package)
    print(WORKS[name](rt))


if __name__ == "__main__":
    main(*sys.argv[1:])
