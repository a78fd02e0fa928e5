"""The property behind the stream: whatever happens, snapshot and later events are the state of the program.

A state machine lets greenlets be spawned, begin, end, be killed, enter and leave groups, lets the probe's
buffer overflow and the ring forget, lets readers connect, stall, be cut in the middle of an event and come
back with their last id. After any such story, when all is read, each reader's picture is the scripted
program's, no id is lost or known twice, and what was dropped was counted.
"""

import asyncio
import json
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from starlette.requests import Request
from starlette.types import Message

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed, FeedLimits
from greenscope.app.sse import EventParser, MessageRecord
from greenscope.app.stream import EventStream, StreamLimits

LIMITS = FeedLimits(events=40, finished=30, chunk=7, reconcile=1.0, check=5.0, closed_groups=2)


class Picture:
    """What a reader makes of the stream."""

    def __init__(self) -> None:
        self.greenlets: dict[str, tuple[str, frozenset[str]]] = {}
        self.groups: dict[str, str] = {}
        self.totals: dict[str, int] = {}
        self.numbers: list[int] = []
        self.complete = False

    def apply(self, message: MessageRecord) -> None:
        if not message.data:
            return
        value = json.loads(message.data)
        if message.event == "snapshot":
            self._snapshot(value)
        elif message.event in ("reset", "gap") and "seq" not in value:
            self.complete = False
        elif message.event not in ("reset", "hb", "bye"):
            self.numbers.append(value["seq"])
            self._event(message.event, value)

    def _snapshot(self, value: dict[str, Any]) -> None:
        if value["part"] == 1:
            self._parts: dict[str, tuple[str, frozenset[str]]] = {}
            self._head = value
        self._parts |= {id: (row["state"], frozenset(row["groups"])) for id, row in value["greenlets"].items()}
        if value["part"] == value["parts"]:
            self.greenlets, self.totals = dict(self._parts), dict(self._head["totals"])
            self.groups = {id: group["name"] for id, group in self._head["groups"].items()}
            self.numbers = [value["seq"]]
            self.complete = True

    def _event(self, kind: str, value: dict[str, Any]) -> None:
        id, group = value.get("greenlet", ""), value.get("group", "")
        state, groups = self.greenlets.get(id, ("", frozenset()))
        if kind == "spawned":
            self.greenlets[id] = ("pending", frozenset())
            self.totals["spawned"] += 1
        elif kind in ("succeeded", "failed", "killed"):
            self.greenlets.pop(id, None)
            self.totals[kind] += 1
        elif kind == "started" and state:
            self.greenlets[id] = ("started", groups)
        elif kind == "grouped" and state:
            self.greenlets[id] = (state, groups | {group})
        elif kind == "ungrouped" and state:
            self.greenlets[id] = (state, groups - {group})
        elif kind == "group_opened":
            self.groups[group] = value["group_name"]
        elif kind == "group_closed":
            self.groups.pop(group, None)
            for other, (state, groups) in self.greenlets.items():
                self.greenlets[other] = (state, groups - {group})


class Connection:
    """One connection to the stream without a socket; it can stall, and be cut after any byte."""

    def __init__(self, stream: EventStream, picture: Picture, last_id: str) -> None:
        self.picture = picture
        self.parser = EventParser(last_id)
        self.open = asyncio.Event()
        self.open.set()
        self.gone = asyncio.Event()
        self.unread = b""
        self._stream = stream
        self._last_id = last_id
        self.task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        headers = [(b"last-event-id", self._last_id.encode())] if self._last_id else []
        scope = {"type": "http", "method": "GET", "path": "/events", "query_string": b"", "headers": headers}
        response = await self._stream.endpoint(Request(scope))
        await response(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.open.wait()
        self.unread += message.get("body", b"")

    def read(self, count: int | None = None) -> None:
        """Read so many bytes of what has come (None: all)."""
        count = len(self.unread) if count is None else count
        for message in self.parser.feed(self.unread[:count]):
            self.picture.apply(message)
        self.unread = self.unread[count:]


class FeedMachine(RuleBasedStateMachine):
    """Stories of a program, its feed, and the readers of its stream."""

    @initialize(buffer=st.sampled_from([5, 30, 1000]))
    def begin(self, buffer: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.now = 1000.0
        self.probe = FakeProbe(clock=lambda: self.now, buffer=buffer)
        self.feed = Feed(self.probe, clock=lambda: self.now, wall=lambda: 1.7e9, limits=LIMITS)
        self.stream = EventStream(self.feed, limits=StreamLimits(snapshot_rows=4, write_bytes=400))
        self.spawned: list[int] = []
        self.ended = {"succeeded": 0, "failed": 0, "killed": 0}
        self.groups: list[int] = []
        self.connections: list[Connection] = []

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.compare()
            for connection in self.connections:
                connection.gone.set()
                connection.open.set()
            self.breathe()
            assert self.stream.clients == 0
            self.loop.close()

    def breathe(self, times: int = 20) -> None:
        async def breathe() -> None:
            for _ in range(times):
                await asyncio.sleep(0)

        self.loop.run_until_complete(breathe())

    # -- the program ---------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 6), grouped=st.booleans())
    def spawn(self, count: int, grouped: bool) -> None:
        for _ in range(count):
            group = self.groups[-1] if grouped and self.groups else None
            self.spawned.append(self.probe.add(group=group))

    def pick(self, index: int) -> int | None:
        ids = self.probe.live_ids()
        return ids[index % len(ids)] if ids else None

    @rule(index=st.integers(0, 1000))
    def start(self, index: int) -> None:
        id = self.pick(index)
        if id is not None and self.probe.sample([id])[0].state == "pending":
            self.probe.start(id)

    @rule(index=st.integers(0, 1000), kind=st.sampled_from(["succeeded", "failed", "killed", "stubborn"]))
    def end(self, index: int, kind: str) -> None:
        id = self.pick(index)
        if id is None:
            return
        if kind == "succeeded":
            self.probe.succeed(id)
        elif kind == "failed":
            self.probe.fail(id)
        elif kind == "stubborn":
            self.probe.swallow_kills(id)
            return
        elif self.probe.kill(id, 1).result(0).outcome == "alive":
            return
        self.ended[kind] += 1

    @rule()
    def open_group(self) -> None:
        self.groups.append(self.probe.open_group())

    @precondition(lambda self: self.groups)
    @rule()
    def close_group(self) -> None:
        self.probe.close_group(self.groups.pop(0))

    @precondition(lambda self: self.groups)
    @rule(index=st.integers(0, 1000))
    def enter_or_leave(self, index: int) -> None:
        id, group = self.pick(index), self.groups[index % len(self.groups)]
        if id is None:
            return
        members = next(sample.members for sample in self.probe.groups() if sample.id == group)
        (self.probe.leave if id in members else self.probe.enter)(group, id)

    @rule()
    def publish(self) -> None:
        self.feed.publish("audit", action="kill")

    # -- the feed, and the readers -------------------------------------------------------------------------

    @rule(seconds=st.floats(0, 2))
    def tick(self, seconds: float) -> None:
        async def tick() -> None:
            self.feed.tick()

        self.now += seconds
        self.loop.run_until_complete(tick())
        self.breathe()

    @precondition(lambda self: len(self.connections) < 4)
    @rule()
    def connect(self) -> None:
        async def connect() -> None:
            self.connections.append(Connection(self.stream, Picture(), ""))

        self.loop.run_until_complete(connect())
        self.breathe()

    @precondition(lambda self: self.connections)
    @rule(index=st.integers(0, 1000), count=st.integers(0, 400))
    def read_some(self, index: int, count: int) -> None:
        self.connections[index % len(self.connections)].read(count)

    @precondition(lambda self: self.connections)
    @rule(index=st.integers(0, 1000))
    def stall(self, index: int) -> None:
        self.connections[index % len(self.connections)].open.clear()

    @precondition(lambda self: self.connections)
    @rule(index=st.integers(0, 1000), count=st.integers(0, 2000))
    def cut_and_come_back(self, index: int, count: int) -> None:
        old = self.connections.pop(index % len(self.connections))
        old.read(count)
        old.gone.set()
        old.open.set()
        self.breathe()

        async def connect() -> None:
            self.connections.append(Connection(self.stream, old.picture, old.parser.last_id))

        self.loop.run_until_complete(connect())
        self.breathe()

    # -- what must hold ------------------------------------------------------------------------------------

    @rule()
    def compare(self) -> None:
        for connection in self.connections:
            connection.open.set()
        for _ in range(4):
            self.tick(1.5)
        self.breathe(400)
        self.check_feed()
        for connection in self.connections:
            connection.read()
            self.check_picture(connection.picture)

    def truth(self) -> dict[str, tuple[str, frozenset[str]]]:
        members = {sample.id: sample.members for sample in self.probe.groups()}
        return {
            str(sample.id): (
                "pending" if sample.state == "pending" else "started",
                frozenset(str(group) for group, ids in members.items() if sample.id in ids),
            )
            for sample in self.probe.sample(self.probe.live_ids())
        }

    def check_feed(self) -> None:
        population = self.feed.population
        truth = self.truth()
        assert {str(id) for id in population.lives} == set(truth)
        assert population.lives.keys().isdisjoint(life.record.id for life in population.finished)
        assert set(self.spawned) >= {life.record.id for life in population.finished}
        assert population.spawned == len(self.spawned)
        assert population.ended == self.ended
        assert set(population.bands) == set(self.groups)
        for id, band in population.bands.items():
            assert {str(member) for member in band.members} == {key for key, (_, g) in truth.items() if str(id) in g}
        assert len(self.feed.ring) <= LIMITS.events
        assert len(population.finished) <= LIMITS.finished
        children = [id for life in population.lives.values() for id in life.children or ()]
        assert all(population.find(id) is not None for id in children)

    def check_picture(self, picture: Picture) -> None:
        assert picture.complete
        assert picture.greenlets == self.truth()
        assert picture.groups == {str(sample.id): sample.name for sample in self.probe.groups()}
        assert picture.totals == {"spawned": len(self.spawned), **self.ended}
        first = picture.numbers[0]
        assert picture.numbers == list(range(first, first + len(picture.numbers)))
        assert picture.numbers[-1] == self.feed.seq


FeedMachine.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
TestFeedMachine = FeedMachine.TestCase
