"""Server-sent events on the wire: how they are written, and how they are read back.

Writing: each event's data is one line of JSON in ASCII. JSON escapes CR, LF, U+2028, BOM and lone
surrogates, so nothing in a text can end a line or an event, whoever chose it; NaN is refused because
browsers cannot parse it. An event that has no blank line yet has not happened: what a cut connection leaves
behind is thrown away by every reader.

Reading: `EventParser` is the stream interpretation of the WHATWG HTML standard, section "Server-sent events",
fed with chunks cut anywhere. It serves tests, and merging the streams of other processes.
"""

import codecs
import json
import re
from dataclasses import dataclass
from typing import Any, Final

#: the media type; the standard fixes the charset to UTF-8
CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"
#: browsers take at least this long (milliseconds) to reconnect
RETRY_MS: Final = 2_000

_encode: Final = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode
_DIGITS: Final = re.compile(r"[0-9]+")


def to_json(value: Any) -> str:
    """Return one line of ASCII JSON. ValueError for NaN and infinities, TypeError for what is not JSON."""
    return _encode(value)


def frame(event: str, value: Any, id: str = "") -> bytes:
    """Return a whole event: its name, its data as one-line JSON, its id if it has one, and the blank line."""
    return encoded_frame(event, to_json(value), id)


def encoded_frame(event: str, data: str, id: str = "") -> bytes:
    """Return a whole event whose data is one line of ASCII already."""
    head = f"id: {id}\n" if id else ""
    return f"{head}event: {event}\ndata: {data}\n\n".encode("ascii")


def priming(id: str, retry: int = RETRY_MS) -> bytes:
    """Return the first bytes of a stream: the reconnection time (ms), and a resume point without an event."""
    return f"retry: {retry}\nid: {id}\ndata:\n\n".encode("ascii")


def resume_point(id: str) -> bytes:
    """Return an id that no event carries: it moves the reader's resume point and dispatches nothing."""
    return f"id: {id}\n\n".encode("ascii")


def comment(text: str = "") -> bytes:
    """Return a comment line: traffic for proxies, nothing for readers. Line ends in it become blanks."""
    line = text.replace("\r", " ").replace("\n", " ")
    return f": {line}\n\n".encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """An event as a reader dispatches it: its type, its data, and the last id seen up to it."""

    event: str
    data: str
    id: str

    def json(self) -> Any:
        """Return the data read as JSON (ValueError if it is none)."""
        return json.loads(self.data)


class EventParser:
    """An incremental reader of event streams; `feed` bytes cut anywhere, get the events they complete.

    `last_id` is the resume point, `retry` the reconnection time in milliseconds that the stream has asked for
    (None: it has not). Nothing is dispatched before its blank line.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._begun = False
        self._after_cr = False
        self._id = last_id
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[MessageRecord]:
        """Take the next bytes and return the events that they complete, in order."""
        text = self._decoder.decode(chunk)
        if text and not self._begun:
            self._begun = True
            text = text.removeprefix("\ufeff")
        if self._after_cr and text:
            # CR LF is one line end even when the chunk was cut between the two
            self._after_cr = False
            text = text.removeprefix("\n")
        if text.endswith("\r"):
            self._after_cr = True
        lines = re.split("\r\n|\r|\n", self._rest + text)
        self._rest = lines.pop()
        messages: list[MessageRecord] = []
        for line in lines:
            if line:
                self._field(line)
            else:
                self._dispatch(messages)
        return messages

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and _DIGITS.fullmatch(value):
            # a bound that the standard does not give: int() refuses what has thousands of digits
            self.retry = int(value[:15])

    def _dispatch(self, messages: list[MessageRecord]) -> None:
        self.last_id = self._id
        if self._data:
            # an empty data line counts as data: the standard keeps its line feed until here
            messages.append(MessageRecord(self._event or "message", "\n".join(self._data), self.last_id))
        self._event = ""
        self._data = []
