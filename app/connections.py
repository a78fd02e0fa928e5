"""Connections with deadlines: what uvicorn leaves out.

uvicorn waits for the rest of a request for ever, so a few hundred half-sent ones (slowloris) would use up the
descriptors, and those are the observed program's too. Here a request must be complete `request` seconds after it
began (or its connection was made), else it is answered 408 and closed; an answer that its reader does not take for
`send` seconds is cut. Connections and incomplete requests are bounded in number; the oldest incomplete one goes first.
The protocol also says nothing to `logging`, whose locks belong to the observed program.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: a logger of nobody's tree, which drops everything before it takes a lock
QUIET = logging.Logger("greenscope.quiet", level=logging.CRITICAL + 1)
QUIET.disabled = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and numbers that connections are held to."""

    request: float = 10.0
    send: float = 10.0
    connections: int = 512
    incomplete: int = 256


class Deadlines:
    """The incomplete requests of one server, oldest first, and when each must be complete."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        #: how many were closed for being slow or too many
        self.reaped = 0
        self._waiting: OrderedDict[DeadlineProtocol, asyncio.TimerHandle] = OrderedDict()

    def begin(self, connection: "DeadlineProtocol") -> None:
        """Start the clock of a request, unless it runs already."""
        if connection in self._waiting:
            return
        while len(self._waiting) >= self.limits.incomplete:
            self.reap(next(iter(self._waiting)))
        self._waiting[connection] = connection.loop.call_later(self.limits.request, self.reap, connection)

    def end(self, connection: "DeadlineProtocol") -> None:
        """Stop the clock: the request is complete, or its connection gone."""
        timer = self._waiting.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def make_room(self) -> bool:
        """Close the oldest incomplete request; False when there is none."""
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        self.reap(oldest)
        return True

    def reap(self, connection: "DeadlineProtocol") -> None:
        """Close a connection whose request did not become complete."""
        self.end(connection)
        self.reaped += 1
        connection.refuse_slow()


class DeadlineProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, held to `Limits`."""

    def __init__(self, deadlines: Deadlines, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = QUIET
        self.access_logger = QUIET
        self.access_log = False
        self._deadlines = deadlines
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the first request's clock; refuse what is one too many."""
        super().connection_made(transport)
        if len(self.connections) > self._deadlines.limits.connections and not self._deadlines.make_room():
            transport.abort()
            return
        self._deadlines.begin(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes, then see whether a request is still incomplete."""
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._deadlines.begin(self)
        else:
            self._deadlines.end(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all clocks."""
        self._deadlines.end(self)
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the clock of a reader that does not take what it asked for."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self._deadlines.limits.send, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop it: the reader has read."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def refuse_slow(self) -> None:
        """Close with a 408 if nothing was answered yet (RFC 9110 section 15.5.9)."""
        answered = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not answered and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [("connection", "close"), ("content-length", "0")]
            try:
                self.transport.write(self.conn.send(h11.Response(status_code=408, headers=headers)) or b"")
            except h11.LocalProtocolError:
                pass  # the request is too broken for an answer
        self.transport.close()
