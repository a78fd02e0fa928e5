"""Lines 13, 14, 15 and 17 of the stream's contract: who may not stay, who leaves, and how everything ends."""

import asyncio
import os
import threading
import time

from greenscope.app.stream import StreamLimits
from tests.app.stream.house import DEADLINE, House, a_house, wait_until
from tests.app.stream.reader import Client, stall


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_disconnect_frees_everything_within_a_second(house: House) -> None:
    with Client(house, "/plain"):
        pass

    def quiet() -> bool:
        return house.call(lambda: len(house.server.server_state.connections)) == 0

    wait_until(quiet)
    tasks, descriptors = house.call(lambda: len(asyncio.all_tasks())), _descriptors()
    clients = [Client(house, "/events?view=overview") for _ in range(10)]
    for client in clients:
        client.wait("message")
    assert house.stream.clients == 10
    for client in clients:
        client.close()
    assert wait_until(lambda: house.stream.clients == 0) < 1.0
    assert wait_until(lambda: _descriptors() == descriptors) < 1.0
    assert wait_until(lambda: house.call(lambda: len(asyncio.all_tasks())) == tasks) < 1.0
    assert house.stream._unsubscribe is None
    assert not house.stream._views


def test_one_reader_too_many_is_told_when_to_come_back() -> None:
    with a_house(limits=StreamLimits(clients=2)) as house, Client(house) as first, Client(house) as second:
        first.wait("snapshot")
        second.wait("snapshot")
        with Client(house) as third:
            assert third.status == 503
            assert third.headers["retry-after"] == "5"
            assert "limit" in third.json()["error"]
        first.close()
        wait_until(lambda: house.stream.clients == 1)
        with Client(house) as third:
            assert third.status == 200


def test_shutdown_says_bye_within_a_second(house: House) -> None:
    with Client(house) as client, Client(house, "/events?view=overview") as viewer:
        client.wait("snapshot")
        viewer.wait("message")
        assert house.stop() < 1.0
        for reader in (client, viewer):
            reader.wait_end()
            assert reader.messages[-1].event == "bye"
            assert reader.socket.recv(1) == b""


def test_shutdown_with_a_stalled_reader_takes_three_seconds_at_most(house: House) -> None:
    with stall(house), Client(house) as healthy:
        healthy.wait("snapshot")
        begun = time.monotonic()
        stopping = threading.Thread(target=house.stop)
        stopping.start()
        healthy.wait_end()
        assert time.monotonic() - begun < 1.0
        stopping.join(DEADLINE)
        assert time.monotonic() - begun < 3.0
    assert healthy.messages[-1].event == "bye"


def test_stream_ends_when_authorisation_ends(house: House) -> None:
    with Client(house) as client:
        client.wait("snapshot")
        house.allowed = False
        house.tick()
        time.sleep(1.0)
        house.tick()
        client.wait_end()
        assert client.messages[-1].event == "bye"
        assert house.stream.clients == 0
