"""Scenarios that end elsewhere, in real time: in native threads, in the kernel, in processes."""

import socket as standard_socket
from collections.abc import Callable

import pytest

from greenscope.runtime import GreenletExit, Timeout, get_hub, joinall, killall, sleep
from tests.runtime.kill_everywhere.world import MOST_MOMENTS, World, moments


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
