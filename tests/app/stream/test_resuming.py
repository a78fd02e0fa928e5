"""Lines 6, 7 and 9 of the stream's contract: who comes back misses nothing, or is told of it."""

from typing import Any
from urllib.parse import quote

import pytest

from greenscope.app.feed import FeedLimits
from greenscope.app.sse import EventParser, MessageRecord
from tests.app.stream.house import House, a_house
from tests.app.stream.reader import Client, check_headers


def test_resume_goes_on_after_the_last_id(house: House) -> None:
    house.happen(10)
    with Client(house, last_id=house.id(6)) as client:
        messages = client.wait("spawned", 4)
        house.happen(1)
        messages = client.wait("spawned", 5)
    assert [message.id for message in messages] == [house.id(seq) for seq in range(7, 12)]
    assert {message.event for message in client.messages} == {"message", "spawned"}


def test_header_beats_after(house: House) -> None:
    house.happen(10)
    with Client(house, f"/events?after={house.id(2)}", last_id=house.id(8)) as client:
        assert client.wait("spawned")[0].id == house.id(9)
    with Client(house, f"/events?after={house.id(2)}") as client:
        assert client.wait("spawned")[0].id == house.id(3)


def happened(messages: list[MessageRecord]) -> list[Any]:
    """Return the events in messages, be they alone or together."""
    found = []
    for message in messages:
        if message.data:
            found += message.json() if message.event == "events" else [message.json()]
    return found


@pytest.mark.parametrize("together", [0, 1])
def test_stream_cut_at_every_byte_loses_nothing(house: House, together: int) -> None:
    path, house_before = f"/events?together={together}", house.id(1)
    house.happen(3)
    with Client(house, path, last_id=house_before) as client:
        while len(happened(client.messages)) < 2:
            client.take()
        house.happen(3)
        while len(happened(client.messages)) < 5:
            client.take()
        recorded, original = client.body, happened(client.messages)
    assert [event["seq"] for event in original] == [2, 3, 4, 5, 6]
    assert client.counts["events"] == 2 * together
    for end in range(len(recorded) + 1):
        parser = EventParser(house_before)
        seen = happened(parser.feed(recorded[:end]))
        with Client(house, path, last_id=parser.last_id) as again:
            again.wait("message")
            while len(seen) + len(happened(again.messages)) < len(original):
                again.take()
        assert seen + happened(again.messages) == original


def test_evicted_resume_point_is_a_gap() -> None:
    with a_house(feed_limits=FeedLimits(events=5)) as house:
        house.happen(20)
        with Client(house, last_id=house.id(3)) as client:
            (snapshot,) = client.wait("snapshot")
            (gap,) = client.wait("gap")
    assert gap.json() == {"from": 4, "to": 20, "lost": 17}
    assert snapshot.id == house.id(20)
    assert [message.event for message in client.messages] == ["message", "gap", "snapshot"]


def test_gap_without_snapshot_goes_on_with_the_oldest() -> None:
    with a_house(feed_limits=FeedLimits(events=5)) as house:
        house.happen(20)
        with Client(house, "/events?snapshot=none", last_id=house.id(3)) as client:
            spawned = client.wait("spawned", 5)
            (gap,) = client.wait("gap")
    assert gap.json() == {"from": 4, "to": 15, "lost": 12}
    assert spawned[0].id == house.id(16)


def test_resume_point_just_before_the_oldest_is_no_gap_and_one_more_is() -> None:
    with a_house(feed_limits=FeedLimits(events=5)) as house:
        house.happen(20)
        with Client(house, "/events?snapshot=none", last_id=house.id(15)) as client:
            assert client.wait("spawned", 5)[0].id == house.id(16)
        assert client.counts["gap"] == 0
        with Client(house, "/events?snapshot=none", last_id=house.id(14)) as client:
            assert client.wait("spawned", 5)[0].id == house.id(16)
        (gap,) = client.wait("gap")
        assert gap.json() == {"from": 15, "to": 15, "lost": 1}


@pytest.mark.parametrize(
    "last_id",
    ["0123456789ab-3", "{epoch}-21", "{epoch}-99999999999999999999", "{epoch}--1", "{epoch}-", "x", "ÿ", "-", "1"],
)
@pytest.mark.parametrize("where", ["header", "query"])
def test_foreign_resume_point_is_a_reset(house: House, last_id: str, where: str) -> None:
    house.happen(20)
    last_id = last_id.format(epoch=house.feed.epoch)
    if where == "header":
        client = Client(house, headers=f"Last-Event-ID: {last_id}\r\n")
    else:
        client = Client(house, f"/events?after={quote(last_id)}")
    with client:
        check_headers(client)
        (snapshot,) = client.wait("snapshot")
    assert snapshot.id == house.id(20)
    assert [message.event for message in client.messages] == ["message", "reset", "snapshot"]
    assert client.messages[1].json()["epoch"] == house.feed.epoch


def test_resume_point_of_an_idle_stream_needs_no_snapshot(house: House) -> None:
    house.happen(2)
    with Client(house, last_id=house.id(2)) as client:
        client.wait("message")
        house.happen(1)
        assert client.wait("spawned")[0].id == house.id(3)
    assert [message.event for message in client.messages] == ["message", "spawned"]


def test_who_is_cut_off_between_a_gap_and_its_snapshot_gets_both_again(house: House) -> None:
    house.happen(3)
    house.call(lambda: house.feed.publish("gap", lost=2))
    house.happen(1)
    with Client(house, last_id=house.id(2)) as client:
        (gap,) = client.wait("gap")
        (snapshot,) = client.wait("snapshot")
    assert gap.id == house.id(3), "of the last event before it"
    assert snapshot.id == house.id(5)
    with Client(house, last_id=gap.id) as again:
        again.wait("snapshot")
    assert [message.event for message in again.messages] == ["message", "gap", "snapshot"]
