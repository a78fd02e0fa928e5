"""The event stream: GET /events, server-sent events to any number of readers, none of whom can slow anything down.

The feed's ring of numbered events is the queue of every reader: a reader is a position in it. Nothing is
put anywhere when something happens, so a reader that stalls costs nobody anything; when it comes back too
late, the ring has gone on, and it is told with one `gap` how much it has missed. Equal stretches of the
ring are encoded once for all who stand at the same place.

What a reader gets, in order: the reconnection time and an id (so that it always has a resume point); the
state, as a `snapshot` that carries the number it is of, or after a reconnect the events since; then events
as they happen, patches of the view it asked for, and a heartbeat. `bye` is the last event before the end.

    snapshot  {seq, part, parts, greenlets}   in parts; the first has totals and groups, only the last has
    the id:
                                              whoever is cut off in the middle gets a snapshot again
    gap       {from, to, lost}                too slow, or back too late; then a snapshot
    reset     {reason}                        the resume point was of another process, or none; then a snapshot
    hb        {t, seq, missed}                every 15 s

Parameters beyond `kinds` and `after`: `view` with its own (see `views`), `rate` (seconds between patches),
`snapshot` (`full`, `summary`, `none`). A resume point of number 0 means: nothing seen yet.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from greenscope.app.feed import Feed
from greenscope.app.snapshots import Snapshots
from greenscope.app.sse import CONTENT_TYPE, comment, encoded_frame, frame, priming, resume_point
from greenscope.app.transports import abort_of
from greenscope.app.views import LiveView, ViewQuery
from greenscope.app.wanted import Wanted, parse_wanted

HEADERS: Final = {
    "content-type": CONTENT_TYPE,
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
}
_RESUME: Final = re.compile(r"([0-9a-f]{1,64})-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Every bound of the stream. Counts, bytes and seconds."""

    clients: int = 64
    retry_after: int = 5
    keep_alive: float = 15.0
    send: float = 10.0
    write_bytes: int = 64 * 1024
    snapshot_rows: int = 500
    bye: float = 1.0


class EventStream:
    """All readers of one feed.

    `allowed` is asked about each reader about once a second; when it says no, it ends.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        limits: StreamLimits | None = None,
        allowed: Callable[[Scope], bool] | None = None,
    ) -> None:
        self.feed = feed
        self.limits = limits or StreamLimits()
        self.allowed = allowed
        self.closing = False
        #: events that readers have missed because they were too slow
        self.missed = 0
        self.snapshots = Snapshots(feed, self.limits.snapshot_rows)
        self._readers: set[Reader] = set()
        self._views: dict[ViewQuery, LiveView] = {}
        self._batches: dict[tuple[frozenset[str], int], tuple[int, Batch]] = {}
        self._unsubscribe: Callable[[], None] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._ticked: asyncio.Event | None = None

    @property
    def clients(self) -> int:
        """How many read now."""
        return len(self._readers)

    async def endpoint(self, request: Request) -> Response:
        """Answer GET and HEAD /events. QueryError for parameters that make no sense."""
        wanted = parse_wanted(request)
        if request.method == "HEAD":
            return Response(headers=HEADERS)
        if self.closing or len(self._readers) >= self.limits.clients:
            reason = "is shutting down" if self.closing else f"has {len(self._readers)} readers, and that is the limit"
            return JSONResponse(
                {"error": f"The event stream {reason}."},
                503,
                {"retry-after": str(self.limits.retry_after), "cache-control": "no-store"},
            )
        return Reader(self, wanted)

    def close(self) -> None:
        """Say `bye` to all readers and end their streams; those that do not take it are cut after `bye` s."""
        self.closing = True
        for reader in list(self._readers):
            reader.wake.set()
            reader.loop.call_later(self.limits.bye, reader.cut)

    # -- for readers ---------------------------------------------------------------------------------------

    def enter(self, reader: "Reader") -> None:
        """Count a reader, and begin to follow the feed with the first."""
        self._readers.add(reader)
        if self._unsubscribe is None:
            self._unsubscribe = self.feed.subscribe(self._on_tick)
        if reader.wanted.view is not None:
            view = self._views.get(reader.wanted.view)
            if view is None:
                view = self._views[reader.wanted.view] = LiveView(self.feed, reader.wanted.view)
            view.readers += 1
            reader.view = view
            if self._pump is None:
                self._ticked = asyncio.Event()
                self._pump = asyncio.get_running_loop().create_task(self._pump_views(self._ticked))
            assert self._ticked is not None
            self._ticked.set()

    def has(self, reader: "Reader") -> bool:
        """Tell whether a reader still reads."""
        return reader in self._readers

    def leave(self, reader: "Reader") -> None:
        """Forget a reader, its view when nobody else has it, and the feed with the last."""
        self._readers.discard(reader)
        view = reader.view
        if view is not None:
            view.readers -= 1
            if not view.readers:
                self._views.pop(view.wanted, None)
        if not self._views and self._pump is not None:
            self._pump.cancel()
            self._pump = None
        if not self._readers and self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
            self._batches.clear()

    def _on_tick(self) -> None:
        """Wake those for whom there is something; cut those that have not read for too long."""
        last = self.feed.seq
        due = False
        for reader in list(self._readers):
            now = reader.loop.time()
            if reader.sending is not None:
                if now - reader.sending > self.limits.send:
                    reader.cut()
                continue
            if self.allowed is not None and now - reader.checked >= 1.0:
                reader.checked = now
                reader.revoked = not self.allowed(reader.scope)
            due = due or (reader.view is not None and reader.patch_due <= now)
            if reader.position < last or reader.revoked:
                reader.wake.set()
        if due and self._ticked is not None:
            self._ticked.set()

    async def _pump_views(self, ticked: asyncio.Event) -> None:
        """Make the views that somebody is due for, then wake those readers."""
        loop = asyncio.get_running_loop()
        while True:
            await ticked.wait()
            ticked.clear()
            now = loop.time()
            due: dict[LiveView, list[Reader]] = {}
            held: dict[LiveView, set[int]] = {}
            for reader in self._readers:
                if reader.view is not None:
                    held.setdefault(reader.view, set()).add(reader.version)
                    if reader.patch_due <= now and reader.sending is None:
                        due.setdefault(reader.view, []).append(reader)
            await asyncio.gather(*(self._refresh(view, held[view], due[view]) for view in due))

    async def _refresh(self, view: LiveView, held: set[int], readers: "list[Reader]") -> None:
        try:
            await view.refresh(held)
        except Exception as error:
            self.feed.report_fault("view", error)
        for reader in readers:
            reader.patch_ready = True
            reader.wake.set()

    def batch(self, kinds: frozenset[str], position: int) -> "Batch":
        """Return the next frames after a position, encoded once for all who stand there."""
        found = self._batches.get((kinds, position))
        last = self.feed.seq
        if found is not None and found[0] == last:
            return found[1]
        made = self._encode(kinds, position)
        if len(self._batches) > 256:
            self._batches.clear()
        self._batches[kinds, position] = (last, made)
        return made

    def _encode(self, kinds: frozenset[str], position: int) -> "Batch":
        feed, epoch = self.feed, self.feed.epoch
        parts: list[bytes] = []
        size = 0
        for entry in feed.ring.after(position):
            if size >= self.limits.write_bytes:
                break
            position = entry.seq
            if entry.kind == "gap" or entry.kind in kinds:
                parts.append(encoded_frame(entry.kind, feed.event_json(entry), f"{epoch}-{entry.seq}"))
                size += len(parts[-1])
                if entry.kind == "gap":
                    return Batch(b"".join(parts), position, True)
        return Batch(b"".join(parts), position, False)


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames, the position after them, and whether the reader's picture has to be made anew there."""

    data: bytes
    position: int
    stale: bool


class Reader(Response):
    """One connection that reads the stream: a position, a view's version, and the writing of both."""

    def __init__(self, stream: EventStream, wanted: Wanted) -> None:
        super().__init__(headers=HEADERS)
        self.stream = stream
        self.wanted = wanted
        self.view: LiveView | None = None
        self.version = 0
        self.position = 0
        self.patch_due = 0.0
        self.patch_ready = False
        self.sending: float | None = None
        self.checked = 0.0
        self.revoked = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write until the reader goes, the stream closes, or the reader stalls."""
        self.scope = scope
        self.loop = asyncio.get_running_loop()
        self.wake = asyncio.Event()
        self._send = send
        self._abort = abort_of(send)
        self._writing: asyncio.Task[None] | None = None
        headers = [
            (b"content-type", CONTENT_TYPE.encode()),
            *((k, v) for k, v in self.raw_headers if k != b"content-length" and k != b"content-type"),
        ]
        if str(scope.get("http_version", "")).startswith("1"):
            headers.append((b"connection", b"close"))  # the end of the stream is the end of the connection
        self.stream.enter(self)
        self._beat = self.loop.call_later(self.stream.limits.keep_alive, self.wake.set)
        self._beat_due = self.loop.time() + self.stream.limits.keep_alive
        self._writing = self.loop.create_task(self._write_all(headers))
        listening = self.loop.create_task(self._wait_gone(receive))
        try:
            await asyncio.wait({self._writing, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.stream.leave(self)
            self._beat.cancel()
            for task in (self._writing, listening):
                task.cancel()
            results = await asyncio.gather(self._writing, listening, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result

    def cut(self) -> None:
        """End the connection now, whatever of it is unsent (nothing, when it has ended by itself)."""
        if not self.stream.has(self):
            return
        if self._abort is not None:
            self._abort()
        if self._writing is not None:
            self._writing.cancel()

    async def _wait_gone(self, receive: Receive) -> None:
        while True:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                return

    async def _write(self, data: bytes, more: bool = True) -> None:
        self.sending = self.loop.time()
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
        finally:
            self.sending = None

    async def _write_all(self, headers: list[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._begin()
        while not self.stream.closing and not self.revoked:
            self.wake.clear()
            wrote = await self._write_events()
            wrote = await self._write_patch() or wrote
            wrote = await self._write_beat() or wrote
            if not wrote and not self.stream.closing:
                await self.wake.wait()
        reason = "closing" if self.stream.closing else "not authorised any more"
        await self._write(frame("bye", {"reason": reason}))
        await self._write(b"", more=False)

    # -- what is written -----------------------------------------------------------------------------------

    async def _begin(self) -> None:
        """Prime, then bring the reader to the present: by the events that it has missed, or by a snapshot."""
        feed, resume = self.stream.feed, self.wanted.resume
        epoch, last = feed.epoch, feed.seq
        found = _RESUME.fullmatch(resume)
        number = int(found[2]) if found else 0
        reset = ""
        if resume and (found is None or found[1] != epoch):
            reset = "the resume point is of another process" if found else "the resume point is not readable"
        elif number > last:
            reset = "the resume point lies in the future"
        if found is not None and not reset and number > 0:
            self.position = number
            await self._write(priming(f"{epoch}-{number}"))
            return
        # number 0 makes whoever is cut off before the snapshot is complete begin anew
        self.position = last
        await self._write(priming(f"{epoch}-{last if self.wanted.snapshot == 'none' else 0}"))
        if reset:
            await self._write(frame("reset", {"reason": reset, "epoch": epoch, "seq": feed.seq}))
        await self._write_snapshot()

    async def _write_events(self) -> bool:
        feed = self.stream.feed
        if self.position >= feed.seq:
            return False
        first = feed.ring.first_seq
        if self.position + 1 < first and self.wanted.kinds:
            to = first - 1 if self.wanted.snapshot == "none" else feed.seq
            lost = to - self.position
            self.stream.missed += lost
            data = {"from": self.position + 1, "to": to, "lost": lost}
            self.position = to
            await self._write(frame("gap", data))
            await self._write_snapshot()
            return True
        if not self.wanted.kinds:
            self.position = feed.seq
            return False
        batch = self.stream.batch(self.wanted.kinds, self.position)
        self.position = batch.position
        if batch.data:
            await self._write(batch.data)
        if batch.stale:
            await self._write_snapshot()
        return True

    async def _write_snapshot(self) -> None:
        """Send the state of now with the number that it is of; later events begin after it."""
        mode = self.wanted.snapshot
        if mode == "none":
            return
        self.position = self.stream.feed.seq
        for data in self.stream.snapshots.frames(mode):
            await self._write(data)
            await asyncio.sleep(0)

    async def _write_patch(self) -> bool:
        if self.view is None or not self.patch_ready:
            return False
        self.patch_ready = False
        data = self.view.patch(self.version)
        self.version = self.view.version
        now = self.loop.time()
        # a tick comes a little early or late: without the slack, every second one would be missed
        self.patch_due = now + self.wanted.rate - self.stream.feed.interval / 2
        if data is None:
            return False
        await self._write(b"event: patch\ndata: " + data + b"\n\n")
        return True

    async def _write_beat(self) -> bool:
        now = self.loop.time()
        if now < self._beat_due:
            return False
        every = self.stream.limits.keep_alive
        self._beat_due = now + every
        self._beat.cancel()
        self._beat = self.loop.call_later(every, self.wake.set)
        feed = self.stream.feed
        # the id has no event of its own: a reader whom nothing concerned for long resumes from here
        beat = {"t": feed.clock.rfc3339(feed.now), "seq": feed.seq, "missed": self.stream.missed}
        await self._write(comment("keep-alive") + resume_point(f"{feed.epoch}-{self.position}") + frame("hb", beat))
        return True
