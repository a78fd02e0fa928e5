"""HTTP over a Unix socket, as much of it as one process of ours needs to ask another.

Two questions: `ask` for one JSON answer, `lines` for an answer that goes on and on, line by line. Parsing is h11's,
with bounds of our own; a connection serves one request, since the one who answers may be gone at the next.

Nothing here waits by `asyncio.wait_for`: before Python 3.12 it loses a cancellation that comes together with the data,
and who reads a stream that ticks four times a second would then read on for ever.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import h11

#: seconds for an answer, and to connect
ANSWER: Final = 8.0
CONNECT: Final = 2.0
#: seconds without a byte after which a stream is given up: it ticks four times a second
SILENCE: Final = 20.0
MOST_BYTES: Final = 32 * 1024 * 1024
_CHUNK: Final = 64 * 1024


class Refused(Exception):
    """The other side answered, but not with what was asked for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message or f"answered {status}")
        self.status = status


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    async def send(self, method: str, target: str, body: bytes) -> None:
        headers = [("host", "localhost"), ("connection", "close"), ("accept", "application/json")]
        if method == "POST":
            headers += [("content-type", "application/json"), ("content-length", str(len(body)))]
        data = self._http.send(h11.Request(method=method, target=target, headers=headers)) or b""
        if body:
            data += self._http.send(h11.Data(data=body)) or b""
        self._writer.write(data + (self._http.send(h11.EndOfMessage()) or b""))
        await self._writer.drain()

    async def event(self) -> Any:
        """Wait for the next event of the answer (None: its end). OSError when the connection breaks."""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                async with asyncio.timeout(SILENCE):
                    data = await self._reader.read(_CHUNK)
                self._http.receive_data(data)
            elif isinstance(event, h11.InformationalResponse):
                continue
            elif event is h11.PAUSED or isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
                return None
            else:
                return event

    def close(self) -> None:
        self._writer.close()


async def _open(path: Path) -> _Connection:
    async with asyncio.timeout(CONNECT):
        return _Connection(*await asyncio.open_unix_connection(path))


async def ask(path: Path, method: str, target: str, body: Any = None) -> tuple[int, Any]:
    """Send a request; return status and JSON (None: no JSON). Waits `ANSWER` s at most; OSError when nobody answers."""
    try:
        async with asyncio.timeout(ANSWER):
            return await _ask(path, method, target, body)
    except (h11.RemoteProtocolError, TimeoutError) as error:
        raise ConnectionError(f"no answer: {error or type(error).__name__}") from error


async def _ask(path: Path, method: str, target: str, body: Any) -> tuple[int, Any]:
    connection = await _open(path)
    try:
        await connection.send(method, target, b"" if body is None else json.dumps(body).encode())
        head = await connection.event()
        if not isinstance(head, h11.Response):
            raise ConnectionError("it closed without an answer")
        return head.status_code, _parse(await _read_all(connection))
    finally:
        connection.close()


async def _read_all(connection: _Connection) -> bytes:
    whole = bytearray()
    while (event := await connection.event()) is not None:
        whole += event.data
        if len(whole) > MOST_BYTES:
            raise ConnectionError(f"an answer longer than {MOST_BYTES} bytes")
    return bytes(whole)


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


async def lines(path: Path, target: str) -> AsyncIterator[Any]:
    """Yield the JSON values of an endless answer. Raises Refused for another status, OSError when it breaks."""
    try:
        connection = await _open(path)
        try:
            await connection.send("GET", target, b"")
            head = await connection.event()
            if not isinstance(head, h11.Response):
                raise ConnectionError("it closed without an answer")
            if head.status_code != 200:
                answer = _parse(await _read_all(connection))
                message = answer.get("message", "") if isinstance(answer, dict) else ""
                raise Refused(head.status_code, str(message)[:200])
            rest = b""
            while (event := await connection.event()) is not None:
                *whole, rest = (rest + event.data).split(b"\n")
                if len(rest) > MOST_BYTES:
                    raise ConnectionError(f"a line longer than {MOST_BYTES} bytes")
                for line in whole:
                    yield json.loads(line)
        finally:
            connection.close()
    except (h11.RemoteProtocolError, TimeoutError, ValueError) as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error
