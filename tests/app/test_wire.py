"""The wire between a watched process and a page over several: what goes in comes out, with the pid in its ids."""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.dashboard import build_dashboard
from greenscope.app.feed import Feed, FeedLimits
from greenscope.app.formatting import ident, join_ident, parse_ident, split_ident
from greenscope.app.model import (
    EVENT_KINDS,
    STATES,
    Event,
    ExceptionRecord,
    GreenletRecord,
    GreenletSample,
    GroupSample,
    HubSample,
    Site,
    Stack,
    ThreadPoolSample,
    WaitRecord,
)
from greenscope.app.server import DashboardServer
from greenscope.app.sse import to_json
from greenscope.app.unix_client import Refused, ask, lines
from greenscope.app.wire import Decoder, WireError, event_out, group_out, hub_out, record_out, sample_out, stack_out

PID = 4711
ids = st.integers(1, (1 << 40) - 1)
texts = st.text(max_size=20)
seconds = st.floats(0, 1e9)
sites = st.builds(Site, texts, st.integers(0, 10**6), texts)
waits = st.builds(WaitRecord, texts, texts, st.none() | seconds, st.none() | ids, st.none() | ids)
samples = st.builds(
    GreenletSample, ids, st.sampled_from(STATES), st.none() | sites, st.none() | waits,
    *[st.none() | seconds] * 3, st.none() | st.integers(0, 10**9), *[st.none() | seconds] * 2,
)  # fmt: skip
records = st.builds(
    GreenletRecord, ids, texts, texts, texts, st.integers(0, 10**6), seconds, st.none() | ids, st.none() | sites, texts,
    st.sampled_from(["greenlet", "raw"]),
)  # fmt: skip
counts = st.none() | st.integers(0, 10**6)
groups = st.builds(
    GroupSample, ids, texts, st.sampled_from(["group", "pool"]), st.integers(0, 10**6), counts, counts, counts
)
errors = st.builds(ExceptionRecord, texts, texts, st.lists(sites, max_size=3).map(tuple))
events = st.builds(
    Event, st.sampled_from(EVENT_KINDS), seconds, st.none() | ids, st.none() | ids, st.none() | records,
    st.none() | errors, st.none() | samples, st.none() | groups,
)  # fmt: skip


def over(value: Any) -> Any:
    """Send a value over the wire."""
    return json.loads(to_json(value))


def named(id: int | None) -> int | None:
    return None if id is None else join_ident(PID, id)


def expect_sample(sample: GreenletSample) -> GreenletSample:
    wait = sample.waiting_on
    if wait is not None:
        wait = replace(wait, owner=named(wait.owner), target=named(wait.target))
    return replace(sample, id=join_ident(PID, sample.id), waiting_on=wait)


def expect_record(record: GreenletRecord) -> GreenletRecord:
    return replace(record, id=join_ident(PID, record.id), parent=named(record.parent))


@given(samples)
def test_look_survives_the_wire(sample: GreenletSample) -> None:
    assert Decoder(PID).sample(over(sample_out(sample))) == expect_sample(sample)


@given(events)
def test_event_survives_the_wire(event: Event) -> None:
    expected = replace(
        event,
        greenlet=named(event.greenlet),
        group=named(event.group),
        record=None if event.record is None else expect_record(event.record),
        sample=None if event.sample is None else expect_sample(event.sample),
        group_record=None
        if event.group_record is None
        else replace(event.group_record, id=join_ident(PID, event.group_record.id)),
    )
    assert Decoder(PID).event(over(event_out(event))) == expected


@given(records, groups, st.lists(sites, max_size=4).map(tuple))
def test_births_groups_and_stacks_survive_the_wire(
    record: GreenletRecord, group: GroupSample, frames: tuple[Site, ...]
) -> None:
    decode = Decoder(PID)
    assert decode.record(over(record_out(record))) == expect_record(record)
    assert decode.group(over(group_out(group))) == replace(group, id=join_ident(PID, group.id))
    stack = Stack(frames, tuple("x" for _ in frames))
    assert decode.stack(over(stack_out(stack))) == stack


def test_hub_survives_the_wire_under_the_name_of_its_process() -> None:
    pool = ThreadPoolSample(3, 10, 2, 5)
    hub = HubSample("main", 99, 0.5, 3, 7, 12.5, 4, 2, (Site("a.py", 1, "f"),), pool, "thread", 1)
    found = Decoder(PID).hub(over(hub_out(hub)))
    assert found == replace(hub, thread="4711 main", running=join_ident(PID, 4))


@pytest.mark.parametrize(
    "fields", [{"k": "exploded", "t": 1}, {"k": "failed", "t": 1, "g": 0}, {"k": "failed", "t": 1, "g": "7"}]
)
def test_decoder_refuses_what_is_no_event(fields: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        Decoder(PID).event(fields)


def test_facts_get_the_pid_where_a_name_says_that_it_is_an_id() -> None:
    facts = {"greenlet": "3", "ids": ["4", "5"], "count": "6", "members": [{"greenlet": "7", "name": "8"}]}
    assert Decoder(PID).facts(facts) == {
        "greenlet": "4711-3",
        "ids": ["4711-4", "4711-5"],
        "count": "6",
        "members": [{"greenlet": "4711-7", "name": "8"}],
    }


@given(st.integers(0, (1 << 22) - 1), ids)
def test_ident_is_read_as_it_was_written(pid: int, id: int) -> None:
    whole = join_ident(pid, id)
    text = ident(whole)
    assert text == (f"{pid}-{id}" if pid else str(id))
    assert parse_ident(text) == whole
    assert split_ident(whole) == (pid, id)


@pytest.mark.parametrize("text", ["", "-", "1-", "-1", "1-2-3", "x", "1099511627776", "1-9999999999999", "+1", "1 2"])
def test_ident_that_is_none_is_refused(text: str) -> None:
    assert parse_ident(text) is None


# -- the watched end, over a real socket


class Watched:
    """A process on paper behind a real Unix socket."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.probe = FakeProbe()
        feed = Feed(self.probe, tick=0.02, limits=FeedLimits(events=50, reconcile=0.02))
        app = build_dashboard(self.probe, feed=feed, authentication="uds", name="paper", **options)
        self.board = app.dashboard
        self.path = folder / "one.sock"
        self.server = DashboardServer(app, uds=self.path)

    def start(self) -> None:
        self.server.start_thread()


@pytest.fixture
def watched() -> Iterator[Watched]:
    folder = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))
    one = Watched(folder)
    try:
        yield one
    finally:
        one.server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def read_until(stream: Any, what: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        async for message in stream:
            found.append(message)
            if what(message):
                return found
    raise AssertionError(f"the stream ended: {found}")


def has_event(kind: str) -> Any:
    return lambda message: any(event["k"] == kind for event in message.get("events", ()))


def test_wire_tells_the_state_and_then_what_happens(watched: Watched) -> None:
    pool = watched.probe.open_group("pool", 3)
    first = watched.probe.add("fetch", group=pool)
    watched.probe.start(first)
    watched.start()

    async def read() -> None:
        stream = lines(watched.path, "/wire")
        state = await read_until(stream, lambda message: message["m"] == "whole")
        assert [message["m"] for message in state] in (["hello", "born", "born", "whole"], ["hello", "born", "whole"])
        assert state[0]["backend"] == "fake"
        assert state[0]["control"] is False
        seen = list(state)
        watched.probe.fail(first, "ValueError", "no")
        seen += await read_until(stream, has_event("failed"))
        (failed,) = [event for event in seen[-1]["events"] if event["k"] == "failed"]
        assert failed["x"][:2] == ["ValueError", "no"]
        assert failed["g"] == first
        second = watched.probe.add("parse")
        watched.probe.start(second)
        watched.probe.park(second, "event", "door")
        ticks = await read_until(stream, lambda m: any(s[0] == second and s[3] for s in m.get("samples", ())))
        (sample,) = [sample for sample in ticks[-1]["samples"] if sample[0] == second]
        assert sample[3][:2] == ["event", "door"]
        assert ticks[-1]["counts"]["waiting"] == 1
        await stream.aclose()

    asyncio.run(read())


def test_wire_tells_the_state_anew_after_drops(watched: Watched) -> None:
    watched.probe.add("first")
    watched.start()

    async def read() -> None:
        stream = lines(watched.path, "/wire")
        await read_until(stream, lambda message: message["m"] == "whole")
        watched.probe.lose("spawned", 3)
        again = await read_until(stream, lambda message: message["m"] == "hello")
        assert again[-1]["dropped"] == {"spawned": 3}
        await stream.aclose()

    asyncio.run(read())


def test_wire_tells_a_look_once_and_again_when_it_differs(watched: Watched) -> None:
    watched.probe.clock = lambda: 5.0
    parked = watched.probe.add("first")
    watched.start()

    async def read() -> None:
        stream = lines(watched.path, "/wire")
        await read_until(stream, lambda message: message["m"] == "whole")
        quiet = [await read_until(stream, lambda message: "samples" in message) for _ in range(4)]
        assert sum(len(messages[-1]["samples"]) for messages in quiet[1:]) == 0
        watched.probe.start(parked)
        await read_until(stream, lambda message: bool(message.get("samples")))
        await stream.aclose()

    asyncio.run(read())


def test_wire_says_goodbye_when_the_process_lets_go(watched: Watched) -> None:
    watched.start()

    async def read() -> float:
        stream = lines(watched.path, "/wire")
        await read_until(stream, lambda message: message["m"] == "whole")
        begun = time.monotonic()
        await asyncio.get_running_loop().run_in_executor(None, watched.server.stop)
        await read_until(stream, lambda message: message["m"] == "bye")
        await stream.aclose()
        return time.monotonic() - begun

    assert asyncio.run(read()) < 3


def test_wire_of_a_process_that_has_enough_readers_is_refused(watched: Watched) -> None:
    watched.board.stream.limits = replace(watched.board.stream.limits, clients=0)
    watched.start()

    async def read() -> None:
        async for _ in lines(watched.path, "/wire"):
            raise AssertionError("it was let in")

    with pytest.raises(Refused) as caught:
        asyncio.run(read())
    assert caught.value.status == 503


def test_look_answers_with_stacks_and_waiters(watched: Watched) -> None:
    owner, waiter = watched.probe.add("owner"), watched.probe.add("waiter")
    watched.probe.start(owner)
    watched.probe.start(waiter)
    watched.probe.park(waiter, "join", target=owner)
    watched.probe.set_stack(waiter, Stack((Site("a.py", 3, "run"),), ("wait()",)))
    watched.start()
    status, answer = asyncio.run(ask(watched.path, "GET", f"/wire/look?ids={owner},{waiter}&stacks=1"))
    assert status == 200
    assert [sample[0] for sample in answer["samples"]] == [owner, waiter]
    stacks = {id: (stack, waiters) for id, stack, waiters in answer["stacks"]}
    assert stacks[waiter][0] == [[["a.py", 3, "run"]], ["wait()"]]
    assert stacks[owner][1] == [waiter]


@pytest.mark.parametrize("ids", ["x", "1,,2", "1;2", "99999999999999", ",".join(["1"] * 501)])
def test_look_at_what_is_no_id_is_a_422_that_says_so(watched: Watched, ids: str) -> None:
    watched.start()
    status, answer = asyncio.run(ask(watched.path, "GET", f"/wire/look?ids={ids}"))
    assert (status, answer["field"]) == (422, "ids")


def test_asking_a_socket_that_nobody_listens_at_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        asyncio.run(ask(tmp_path / "none.sock", "GET", "/wire"))
