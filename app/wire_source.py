"""The watched end of the wire: GET /wire, and GET /wire/look for what is too dear to be told unasked.

A reader of the wire is a reader of the event stream in another dress: a position in the ring, one of the 64, cut when
it stalls, told when the dashboard closes. Beside events it gets looks at the living, a few hundred per tick in turns
and only what has changed, so that being merged costs the program little however many greenlets it has. What the page
shows at this moment it asks for itself (`/wire/look?ids=1,2`), with stacks if it wants them.
"""

import asyncio
import os
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from greenscope import __version__
from greenscope.app.bodies import json_response
from greenscope.app.history import Entry
from greenscope.app.query import QueryError
from greenscope.app.reader import Reader
from greenscope.app.sse import to_json
from greenscope.app.stream import EventStream
from greenscope.app.wanted import Wanted
from greenscope.app.wire import VERSION, event_out, group_out, hub_out, record_out, sample_out, stack_out

CONTENT_TYPE: Final = b"application/x-ndjson"
#: seconds between two ticks of the wire, and between two looks at the findings
TICK: Final = 0.25
FINDINGS_EVERY: Final = 2.0
#: greenlets per part of the state, looked at per tick, and asked for in one request; few in one go, or what is made
#: of them makes the garbage collector run, in the program's time
PART: Final = 100
PER_TICK: Final = 200
FEW: Final = 25
MOST_ASKED: Final = 500
MOST_EVENTS: Final = 2_000
#: seconds between two parts of the state
BREATH: Final = 0.005


async def wire(request: Request) -> Response:
    """Answer GET /wire: everything, for as long as it is read."""
    board = request.app.state.dashboard
    stream: EventStream = board.stream
    if request.method == "HEAD":
        return Response(headers={"content-type": CONTENT_TYPE.decode()})
    if stream.closing or stream.clients >= stream.limits.clients:
        return JSONResponse({"error": "busy", "message": "too many read here, or it is closing"}, 503)
    return WireReader(board)


async def look(request: Request) -> Response:
    """Answer GET /wire/look?ids=&stacks=: these greenlets as they are now."""
    board = request.app.state.dashboard
    ids = _read_ids(request.query_params.get("ids", ""))
    probe = board.probe
    found: dict[str, Any] = {"samples": [sample_out(sample) for sample in probe.sample(ids)]}
    if request.query_params.get("stacks"):
        can = "stacks" in probe.capabilities
        found["stacks"] = [[id, stack_out(probe.stack(id) if can else None), list(probe.waiters_of(id))] for id in ids]
    return json_response(found)


def _read_ids(text: str) -> list[int]:
    words = text.split(",") if text else []
    if len(words) > MOST_ASKED:
        raise QueryError("ids", f"names more than {MOST_ASKED}")
    for word in words:
        if not (word.isascii() and word.isdigit() and len(word) <= 13):
            raise QueryError("ids", f"must be whole numbers with commas between them, not {word[:20]!r}")
    return [int(word) for word in words]


ROUTES: Final = (
    Route("/wire", wire, methods=["GET"], name="wire"),
    Route("/wire/look", look, methods=["GET"], name="wire-look"),
)


class WireReader(Reader):
    """One page over several processes that reads this one."""

    def __init__(self, board: Any) -> None:
        super().__init__(board.stream, Wanted(snapshot="none"))
        self.board = board
        self.feed = board.feed
        #: hashes of the looks that were told: numbers, which the garbage collector does not have to go through
        self._sent: dict[int, int] = {}
        self._turn: list[int] = []
        self._findings = ""
        self._findings_due = 0.0
        self._looked = 0.0

    async def _write_all(self, headers: list[tuple[bytes, bytes]]) -> None:
        headers = [(name, CONTENT_TYPE if name == b"content-type" else value) for name, value in headers]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        while not self._over:
            await self._write_state()
            await self._follow()
        await self._say({"m": "bye"})
        await self._write(b"", more=False)

    @property
    def _over(self) -> bool:
        return self.stream.closing or self.revoked

    async def _say(self, message: dict[str, Any]) -> None:
        await self._write(to_json(message).encode("ascii") + b"\n")

    # -- the state

    async def _write_state(self) -> None:
        """Tell who this is and what there is, as of one moment; later events follow."""
        feed, probe = self.feed, self.board.probe
        epoch = feed.epoch
        self.position = feed.seq
        cores = [life.core() for life in feed.population.lives.values()]
        bands = list(feed.population.bands.values())
        self._sent.clear()
        await self._say(
            {
                "m": "hello",
                "v": VERSION,
                "pid": self.board.info.get("pid") or os.getpid(),
                "epoch": epoch,
                "version": __version__,
                "name": self.board.info["name"],
                "backend": probe.backend,
                "capabilities": sorted(probe.capabilities),
                "missing": {name: probe.missing(name) for name in ("owners", "accounting", "stacks", "spawn_site")},
                "control": self.board.controllable,
                "spawnables": self.board.spawnables.rows(),
                "started": feed.started,
                "dropped": dict(feed.dropped),
            }
        )
        rows = [[band.id, band.name, band.kind, len(band.members), band.size, None, None] for band in bands]
        await self._say({"m": "born", "groups": rows, "rows": []})
        for start in range(0, len(cores), PART):
            part = cores[start : start + PART]
            looks = {sample.id: sample for sample in probe.sample([core[0].id for core in part])}
            self._sent.update((id, hash(sample)) for id, sample in looks.items())
            out = []
            for record, begun, started, groups, killed in part:
                sample = looks.get(record.id)
                look = None if sample is None else sample_out(sample)
                out.append([record_out(record), begun, started, list(groups), killed, look])
            await self._say({"m": "born", "rows": out})
            await asyncio.sleep(BREATH)  # the program wants to go on, too
        await self._say({"m": "whole"})

    # -- what happens then

    async def _follow(self) -> None:
        """Tell what happens until the end, or until the reader needs the state anew."""
        feed, epoch = self.feed, self.feed.epoch
        while not self._over:
            self.wake.clear()
            if feed.epoch != epoch or self.position + 1 < feed.ring.first_seq:
                return
            entries = feed.ring.after(self.position)[:MOST_EVENTS]
            if any(entry.kind == "gap" for entry in entries):
                return  # the feed had to put itself right: so must the reader
            if entries:
                self.position = entries[-1].seq
            await self._say(self._tick(entries))
            if self.position < feed.seq:
                continue
            try:
                await asyncio.wait_for(self.wake.wait(), TICK)
            except TimeoutError:
                pass

    def _tick(self, entries: list[Entry]) -> dict[str, Any]:
        feed, probe = self.feed, self.board.probe
        now = feed.now
        events = [told for entry in entries if (told := _entry_out(entry)) is not None]
        message: dict[str, Any] = {"m": "tick", "t": now, "events": events}
        if now - self._looked < TICK / 2:
            return message
        self._looked = now
        feed.look_at_groups()
        counts = feed.counts()
        message["counts"] = {name: counts.get(name, 0) for name in ("pending", "ready", "running", "waiting")}
        message["groups"] = [
            group_out(band.sample) for band in feed.population.bands.values() if band.sample is not None
        ]
        message["hubs"] = [hub_out(hub) for hub in probe.hubs()]
        message["dropped"] = dict(feed.dropped)
        message["samples"] = self._looks()
        if now >= self._findings_due:
            self._findings_due = now + FINDINGS_EVERY
            message["cost"] = probe.cost()
            rows = self.board.findings()
            text = to_json(rows)
            if text != self._findings:
                self._findings = text
                message["findings"] = rows
        return message

    def _looks(self) -> list[Any]:
        """Look at the next few hundred, and return what is not as it was told."""
        lives = self.feed.population.lives
        if not self._turn:
            self._turn = list(lives)
            self._turn.reverse()
            for id in self._sent.keys() - lives.keys():
                del self._sent[id]
        told: list[Any] = []
        for _ in range(0, PER_TICK, FEW):
            ids = self._turn[-FEW:]
            del self._turn[-FEW:]
            for sample in self.board.probe.sample(ids):
                mark = hash(sample)
                if self._sent.get(sample.id) != mark:
                    self._sent[sample.id] = mark
                    told.append(sample_out(sample))
        return told


def _entry_out(entry: Entry) -> dict[str, Any] | None:
    """Return an entry of the ring for the wire; what was audited here stays here."""
    if entry.event is not None:
        return event_out(entry.event)
    if entry.kind not in ("blocked", "finding"):
        return None
    fields = dict(entry.fields or {})
    told: dict[str, Any] = {"k": entry.kind, "t": entry.t}
    for name, key in (("greenlet", "g"), ("group", "p")):
        own = fields.pop(name, None)
        if isinstance(own, str) and own.isascii() and own.isdigit():
            told[key] = int(own)
    fields.pop("kind", None)
    fields.pop("t", None)
    told["d"] = fields
    return told
