"""Lines 1 to 4 of the stream's contract, on real sockets: headers, HEAD, ids, and what comes at once."""

import subprocess
import sys

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from tests.app.stream.house import House, a_house
from tests.app.stream.reader import Client, check_headers


def test_stream_answers_with_its_headers(house: House) -> None:
    with Client(house) as client:
        check_headers(client)


def test_stream_is_not_compressed_by_a_host_app() -> None:
    with (
        a_house(middleware=(Middleware(GZipMiddleware, minimum_size=1),)) as house,
        Client(house, headers="Accept-Encoding: gzip\r\n") as client,
    ):
        check_headers(client)
        client.wait("snapshot")
        with Client(house, "/plain", headers="Accept-Encoding: gzip\r\n") as plain:
            assert plain.headers["content-encoding"] == "gzip"


def test_head_leaves_the_connection_usable(house: House) -> None:
    with Client(house, method="HEAD") as client:
        check_headers(client)
        assert house.stream.clients == 0
        client.ask("/events")
        check_headers(client)
        client.wait("snapshot")


def test_ids_are_epoch_and_consecutive_numbers(house: House) -> None:
    with Client(house) as client:
        client.wait("snapshot")
        house.happen(3)
        house.happen(2)
        messages = client.wait("spawned", 5)
    assert [message.id for message in messages] == [house.id(seq) for seq in range(1, 6)]
    assert [message.json()["seq"] for message in messages] == [1, 2, 3, 4, 5]


def test_epoch_differs_per_process_and_per_forked_child() -> None:
    script = """if True:
        import os
        from greenscope.app.backends.fake import FakeProbe
        from greenscope.app.feed import Feed
        probe = FakeProbe()
        feed = Feed(probe)
        probe.add()
        feed.tick()
        print(feed.epoch, feed.seq, flush=True)
        if os.fork() == 0:
            print(feed.epoch, feed.seq, flush=True)
            os._exit(0)
        os.wait()
        print(feed.epoch, feed.seq, flush=True)
    """
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True).stdout
        for _ in range(2)
    ]
    (first, child, again), (other, _, _) = (run.splitlines() for run in runs)
    assert first == again
    assert len({first.split()[0], child.split()[0], other.split()[0]}) == 3
    assert (first.split()[1], child.split()[1]) == ("1", "0")


def test_stream_primes_at_once(house: House) -> None:
    house.happen(3)
    with Client(house, "/events?snapshot=none") as client:
        (primed,) = client.wait("message")
        assert (primed.data, primed.id, client.parser.retry) == ("", house.id(3), 2000)
    with Client(house) as client:
        client.take()
        # not before the snapshot is complete has a reader something to resume from
        assert client.messages[0].id == house.id(0)
