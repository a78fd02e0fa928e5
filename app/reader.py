"""One reader of the event stream: a position in the feed's ring, a view's version, and the writing of both.

A reader writes as fast as its client takes it, and waits for nobody but that client. What a `gap`, a `reset` and a
`snapshot` mean to it is told in `stream`.
"""

import asyncio
import re
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from greenscope.app.sse import CONTENT_TYPE, comment, frame, priming, resume_point
from greenscope.app.transports import abort_of
from greenscope.app.views import LiveView
from greenscope.app.wanted import Wanted

if TYPE_CHECKING:
    from greenscope.app.stream import EventStream

HEADERS: Final = {
    "content-type": CONTENT_TYPE,
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
}
_RESUME: Final = re.compile(r"([0-9a-f]{1,64})-([0-9]{1,18})")


class Reader(Response):
    """One connection that reads the stream: a position, a view's version, and the writing of both."""

    def __init__(self, stream: "EventStream", wanted: Wanted) -> None:
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
        batch = self.stream.batch(self.wanted.kinds, self.wanted.together, self.position)
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
