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
`snapshot` (`full`, `summary`, `none`), `together`. With `together=1` what has happened comes as a list, in one message
`events` with the id of the last, as often as there is something: to a browser a message costs more than what is in it,
and a page that shows thousands of events a second takes a third of the time. `gap` and `reset` stay messages of their
own. A resume point of number 0 means: nothing seen yet.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from greenscope.app.feed import Feed
from greenscope.app.history import Entry
from greenscope.app.reader import HEADERS, Reader
from greenscope.app.snapshots import Snapshots
from greenscope.app.sse import encoded_frame
from greenscope.app.views import LiveView, ViewQuery
from greenscope.app.wanted import parse_wanted


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
        self._batches: dict[tuple[frozenset[str], bool, int], tuple[int, Batch]] = {}
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

    def enter(self, reader: Reader) -> None:
        """Count a reader, and begin to follow the feed with the first."""
        self._readers.add(reader)
        if self._unsubscribe is None:
            self._unsubscribe = self.feed.subscribe(self._on_tick)
        if reader.wanted.view is not None:
            view = self._views.get(reader.wanted.view)
            if view is None:
                view = self._views[reader.wanted.view] = LiveView(self.feed, reader.wanted.view, lambda: self.clients)
            view.readers += 1
            reader.view = view
            if self._pump is None:
                self._ticked = asyncio.Event()
                self._pump = asyncio.get_running_loop().create_task(self._pump_views(self._ticked))
            assert self._ticked is not None
            self._ticked.set()

    def has(self, reader: Reader) -> bool:
        """Tell whether a reader still reads."""
        return reader in self._readers

    def leave(self, reader: Reader) -> None:
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

    async def _refresh(self, view: LiveView, held: set[int], readers: list[Reader]) -> None:
        try:
            await view.refresh(held)
        except Exception as error:
            self.feed.report_fault("view", error)
        for reader in readers:
            reader.patch_ready = True
            reader.wake.set()

    def batch(self, kinds: frozenset[str], together: bool, position: int) -> "Batch":
        """Return the next frames after a position, encoded once for all who stand there."""
        asked = kinds, together, position
        found = self._batches.get(asked)
        last = self.feed.seq
        if found is not None and found[0] == last:
            return found[1]
        made = self._encode(kinds, together, position)
        if len(self._batches) > 256:
            self._batches.clear()
        self._batches[asked] = (last, made)
        return made

    def _encode(self, kinds: frozenset[str], together: bool, position: int) -> "Batch":
        feed, epoch = self.feed, self.feed.epoch
        events: list[tuple[Entry, str]] = []
        size, gap = 0, b""
        for entry in feed.ring.after(position):
            if size >= self.limits.write_bytes:
                break
            position = entry.seq
            if entry.kind == "gap":
                # whoever is cut off before the snapshot that follows is complete, begins here again
                gap = encoded_frame("gap", feed.event_json(entry), f"{epoch}-{entry.seq - 1}")
                break
            if entry.kind in kinds:
                events.append((entry, feed.event_json(entry)))
                size += len(events[-1][1])
        if together and events:
            data = f"[{','.join(text for _, text in events)}]"
            parts = [encoded_frame("events", data, f"{epoch}-{events[-1][0].seq}")]
        else:
            parts = [encoded_frame(entry.kind, text, f"{epoch}-{entry.seq}") for entry, text in events]
        return Batch(b"".join((*parts, gap)), position, bool(gap))


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames, the position after them, and whether the reader's picture has to be made anew there."""

    data: bytes
    position: int
    stale: bool
