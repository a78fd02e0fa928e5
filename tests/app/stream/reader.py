"""A reader of the stream: takes apart what comes, and keeps a picture of the program."""

import json
import re
import socket
import time
from collections import Counter
from typing import Any

from greenscope.app.sse import EventParser, MessageRecord
from tests.app.stream.house import DEADLINE, House, wait_until


class Client:
    """A reader over a plain socket: takes the chunked body apart, parses it, keeps what came."""

    def __init__(
        self,
        house: House,
        path: str = "/events",
        *,
        last_id: str = "",
        method: str = "GET",
        receive_buffer: int = 0,
        headers: str = "",
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", house.port))
        self._raw = b""
        self.body = b""
        self.ended = False
        self.parser = EventParser(last_id)
        self.messages: list[MessageRecord] = []
        self.counts: Counter[str] = Counter()
        self.ask(path, method, headers + (f"Last-Event-ID: {last_id}\r\n" if last_id else ""))

    def ask(self, path: str, method: str = "GET", headers: str = "") -> None:
        """Send a request and read the answer's head."""
        self.socket.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        while b"\r\n\r\n" not in self._raw:
            data = self.socket.recv(65536)
            assert data, "the connection ended before the answer's head"
            self._raw += data
        head, _, self._raw = self._raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}

    def take(self) -> bool:
        """Receive once, and parse; False at the end of the body or of the connection."""
        while (found := re.match(rb"([0-9a-fA-F]+)\r\n", self._raw)) is None or len(self._raw) < found.end() + int(
            found[1], 16
        ) + 2:
            data = self.socket.recv(1 << 16)
            if not data:
                self.ended = True
                return False
            self._raw += data
        size = int(found[1], 16)
        part = self._raw[found.end() : found.end() + size]
        self._raw = self._raw[found.end() + size + 2 :]
        if not size:
            self.ended = True
            return False
        self.body += part
        messages = self.parser.feed(part)
        self.counts.update(message.event for message in messages)
        self.messages += messages
        return True

    def wait(self, event: str, count: int = 1) -> list[MessageRecord]:
        """Read until so many events of a kind have come; return those."""
        deadline = time.monotonic() + DEADLINE
        while self.counts[event] < count:
            assert time.monotonic() < deadline, f"not {count} {event} within {DEADLINE} s, only {dict(self.counts)}"
            assert self.take(), f"the stream ended before {count} {event}, after {dict(self.counts)}"
        return [message for message in self.messages if message.event == event]

    def wait_end(self) -> None:
        """Read until the stream ends."""
        deadline = time.monotonic() + DEADLINE
        while self.take():
            assert time.monotonic() < deadline, "the stream does not end"

    def json(self) -> Any:
        """Read an ordinary JSON answer."""
        length = int(self.headers["content-length"])
        while len(self._raw) < length:
            self._raw += self.socket.recv(65536)
        return json.loads(self._raw[:length])

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_headers(client: Client) -> None:
    assert client.status == 200
    assert client.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert client.headers["cache-control"] == "no-store, no-transform"
    assert client.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in client.headers


class Model:
    """What a reader of the stream makes of it: snapshots replace, later events change."""

    def __init__(self) -> None:
        self.greenlets: dict[str, str] = {}
        self.totals: dict[str, int] = {}
        self._parts: dict[str, str] = {}

    def apply(self, message: MessageRecord) -> None:
        value = json.loads(message.data) if message.data else {}
        if message.event == "snapshot":
            if value["part"] == 1:
                self._parts = {}
                self._totals = value["totals"]
            self._parts |= {id: row["state"] for id, row in value["greenlets"].items()}
            if value["part"] == value["parts"]:
                self.greenlets, self.totals = self._parts, dict(self._totals)
        elif message.event == "spawned":
            self.greenlets[value["greenlet"]] = "pending"
            self.totals["spawned"] += 1
        elif message.event == "started":
            self.greenlets[value["greenlet"]] = "started"
        elif message.event in ("succeeded", "failed", "killed"):
            self.greenlets.pop(value["greenlet"], None)
            self.totals[message.event] += 1


def stall(house: House, path: str = "/events") -> Client:
    """Let a reader stop reading until its stream cannot be written any more."""
    client = Client(house, path, receive_buffer=4096)

    def blocked() -> bool:
        house.happen(200, "x" * 150)
        return house.call(lambda: any(reader.sending is not None for reader in house.stream._readers))

    client.take()
    wait_until(lambda: blocked() and blocked() and blocked())
    return client
