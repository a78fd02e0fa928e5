"""Line 5 of the stream's contract: the snapshot and later events are the state.

The property is that of TestFeedMachine.
"""

from greenscope.app.sse import EventParser
from greenscope.app.stream import StreamLimits
from tests.app.stream.house import House, a_house
from tests.app.stream.reader import Client, Model


def test_snapshot_carries_the_number_it_is_of(house: House) -> None:
    house.happen(4)
    with Client(house) as client:
        (snapshot,) = client.wait("snapshot")
        assert snapshot.id == house.id(4)
        assert snapshot.json()["seq"] == 4
        assert set(snapshot.json()["greenlets"]) == {"1", "2", "3", "4"}
        house.happen(1)
        (spawned,) = client.wait("spawned")
        assert spawned.id == house.id(5)


def test_snapshot_comes_in_parts_and_only_the_last_has_the_id() -> None:
    with a_house(limits=StreamLimits(snapshot_rows=3)) as house:
        house.happen(8)
        with Client(house) as client:
            parts = client.wait("snapshot", 3)
    assert [len(part.json()["greenlets"]) for part in parts] == [3, 3, 2]
    assert [part.id for part in parts] == [house.id(0), house.id(0), house.id(8)]


def test_snapshot_and_later_events_are_the_model_while_greenlets_are_spawned() -> None:
    with a_house(limits=StreamLimits(snapshot_rows=20)) as house:
        house.happen(500)
        with Client(house) as client:
            model = Model()

            def live() -> None:
                for _ in range(20):
                    id = house.probe.add()
                    house.probe.start(id)
                    house.probe.succeed(house.probe.live_ids()[0])
                house.feed.tick()

            for _ in range(10):
                house.call(live)
                client.take()
            house.call(lambda: house.feed.publish("finding", last=True))
            house.tick()
            client.wait("finding")
    for message in client.messages:
        model.apply(message)
    assert set(model.greenlets) == {str(id) for id in house.probe.live_ids()}
    assert model.totals == {"spawned": 700, "succeeded": 200, "failed": 0, "killed": 0}


def test_snapshot_cut_at_every_byte_still_gives_the_model() -> None:
    with a_house(limits=StreamLimits(snapshot_rows=1)) as house:
        house.happen(2)
        with Client(house) as client:
            client.wait("snapshot", 2)
            house.happen(1)
            client.wait("spawned")
            recorded = client.body
        for end in range(0, len(recorded), 3):
            parser, model = EventParser(), Model()
            for message in parser.feed(recorded[:end]):
                model.apply(message)
            with Client(house, last_id=parser.last_id) as again:
                if parser.last_id in ("", house.id(0)):
                    again.wait("snapshot", 3)
                elif parser.last_id == house.id(2):
                    again.wait("spawned")
                for message in again.messages:
                    model.apply(message)
            assert set(model.greenlets) == {"1", "2", "3"}, recorded[:end]
