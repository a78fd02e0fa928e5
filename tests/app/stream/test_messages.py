"""Lines 8 and 10 of the stream's contract, and which messages a reader asks for."""

import re

import pytest

from greenscope.app.stream import StreamLimits
from tests.app.stream.house import House, a_house
from tests.app.stream.reader import Client


@pytest.mark.parametrize("name", ["a\r\nid: stolen\n\ndata: x", "\ud83d", "\ufeff\u2028", "\0", "x" * 1_000_000])
def test_hostile_names_survive_the_wire(house: House, name: str) -> None:
    with Client(house) as client:
        client.wait("snapshot")
        house.happen(1, name)
        (spawned,) = client.wait("spawned")
    assert spawned.id == house.id(1)
    assert spawned.json()["greenlet"] == "1"
    assert 0 < len(spawned.json()["name"]) <= 200


def test_keep_alive_is_a_comment_a_resume_point_and_a_heartbeat() -> None:
    with a_house(limits=StreamLimits(keep_alive=0.1)) as house:
        house.happen(3)
        with Client(house, "/events?kinds=finding&snapshot=none") as client:
            client.wait("hb")
            house.happen(2)
            beats = client.wait("hb", 3)
    assert client.body.count(b": keep-alive\n\n") >= 3
    assert re.search(rb"\n\nevent: hb\ndata: {", client.body)
    assert beats[-1].json()["seq"] == 5
    # nothing of what happened concerned this reader, and yet it resumes from where it is
    assert client.parser.last_id == house.id(5)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("kinds=spawned,born", "kinds"),
        ("rate=0.1", "rate"),
        ("rate=6", "rate"),
        ("rate=nan", "rate"),
        ("view=windows", "view"),
        ("view=greenlets&sort=colour", "sort"),
        ("view=greenlet", "id"),
        ("view=group&id=x", "id"),
        ("view=overview&limit=0", "limit"),
        ("snapshot=all", "snapshot"),
        ("together=yes", "together"),
        ("colour=1", "colour"),
    ],
)
def test_senseless_parameters_are_named(house: House, query: str, field: str) -> None:
    with Client(house, f"/events?{query}") as client:
        assert client.status == 422
        assert client.json()["field"] == field


def test_kinds_choose_events_and_keep_their_numbers(house: House) -> None:
    with Client(house, "/events?kinds=failed,started&snapshot=none") as client:
        client.wait("message")

        def happen() -> None:
            id = house.probe.add()
            house.probe.start(id)
            house.probe.fail(id)
            house.feed.tick()

        house.call(happen)
        (failed,) = client.wait("failed")
    assert [(message.event, message.id) for message in client.messages[1:]] == [
        ("started", house.id(2)),
        ("failed", house.id(3)),
    ]
    assert failed.json()["exception"] == {"type": "ValueError", "message": "bad value"}


def test_events_that_come_together_are_those_that_come_alone(house: House) -> None:
    with (
        Client(house, "/events?kinds=spawned,failed&snapshot=none&together=1") as client,
        Client(house, "/events?kinds=spawned,failed&snapshot=none") as alone,
    ):
        client.wait("message")
        alone.wait("message")

        def happen() -> None:
            for _ in range(3):
                id = house.probe.add()
                house.probe.start(id)
                house.probe.fail(id)
            house.probe.start(house.probe.add())
            house.feed.tick()

        house.call(happen)
        (events,) = client.wait("events")
        alone.wait("spawned", 4)
    told = events.json()
    assert told == [message.json() for message in alone.messages if message.data]
    assert [event["kind"] for event in told] == ["spawned", "failed"] * 3 + ["spawned"]
    assert events.id == alone.messages[-1].id, "the id of the last, to resume from"


def test_a_gap_comes_alone_after_what_was_before_it(house: House) -> None:
    with Client(house, "/events?together=1&snapshot=summary") as client:
        client.wait("snapshot")

        def happen() -> None:
            house.probe.add()
            house.feed.tick()
            house.feed.publish("gap", lost=3, dropped={})
            house.probe.add()
            house.feed.tick()

        house.call(happen)
        client.wait("snapshot", 2)
    assert [message.event for message in client.messages if message.event != "message"][1:4] == [
        "events",
        "gap",
        "snapshot",
    ]


def test_published_events_enter_the_stream(house: House) -> None:
    with Client(house, "/events?kinds=audit") as client:
        client.wait("snapshot")
        house.call(lambda: house.feed.publish("audit", action="kill", target="7", note="a\nb"))
        house.tick()
        (audit,) = client.wait("audit")
    assert audit.json()["note"] == "a\\nb"
    assert (audit.json()["action"], audit.json()["seq"]) == ("kill", 1)
