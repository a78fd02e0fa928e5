"""Framing survives any text, and the reader follows the WHATWG standard.

The parser cases carry the names of the files in web-platform-tests' `eventsource` folder that they are
taken from.
"""

import json
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenscope.app.sse import EventParser, MessageRecord, comment, frame, priming, resume_point, to_json

_TEXT = st.text(alphabet=st.characters(codec=None), max_size=40)
_NASTY = st.sampled_from(["\r\n", "\r", "\n", "\ufeff", "\u2028", "\ud83d", "\udc00", "\0", "\x85", ":", "data: x\n\n"])
_VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXT | st.lists(_NASTY | _TEXT, max_size=6).map("".join),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


def _feed(parser: EventParser, raw: bytes, cuts: list[int]) -> list[MessageRecord]:
    messages: list[MessageRecord] = []
    edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    for start, end in pairwise(edges):
        messages += parser.feed(raw[start:end])
    return messages


@given(st.lists(_VALUE, max_size=5), st.lists(st.integers(min_value=0), max_size=30))
def test_framing_survives_any_text_in_any_chunks(values: list[Any], cuts: list[int]) -> None:
    raw = priming("e-0") + b"".join(
        frame("update", value, f"e-{index}") + comment("\r\nid: stolen\n\n") for index, value in enumerate(values)
    )
    parser = EventParser()
    first, *messages = _feed(parser, raw, cuts)
    assert (first.data, first.id, parser.retry) == ("", "e-0", 2000)
    assert [message.json() for message in messages] == [json.loads(json.dumps(value)) for value in values]
    assert [message.id for message in messages] == [f"e-{index}" for index in range(len(values))]


@given(st.binary(max_size=200), st.lists(st.integers(min_value=0), max_size=20))
def test_parser_reads_the_same_however_the_bytes_are_cut(raw: bytes, cuts: list[int]) -> None:
    whole, cut = EventParser(), EventParser()
    assert whole.feed(raw) == _feed(cut, raw, cuts)
    assert whole.last_id == cut.last_id


@given(_VALUE)
def test_frame_is_ascii_and_one_line_of_data(value: Any) -> None:
    raw = frame("update", value, "e-1")
    assert raw.isascii()
    assert raw.count(b"\n") == 4
    assert raw.endswith(b"\n\n")
    assert b"\r" not in raw


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_framing_refuses_what_browsers_cannot_read(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json({"lag": number})


def test_cut_event_is_not_dispatched() -> None:
    raw = frame("update", {"a": 1}, "e-1")
    for end in range(len(raw)):
        parser = EventParser()
        assert parser.feed(raw[:end]) == []
        assert parser.last_id == ""


def test_resume_point_moves_the_id_and_dispatches_nothing() -> None:
    parser = EventParser()
    assert parser.feed(resume_point("e-9")) == []
    assert parser.last_id == "e-9"


@pytest.mark.parametrize(
    ("case", "raw", "expected"),
    [
        ("format-bom", "\ufeffdata:1\n\n\ufeffdata:2\n\ndata:3\n\n", ["1", "3"]),
        ("format-bom-2", "\ufeff\ufeffdata:1\n\ndata:2\n\ndata:3\n\n", ["2", "3"]),
        (
            "format-comments",
            f"data:1\r:\0\n:\r\ndata:2\n:{'x' * 2048}\rdata:3\n:data:fail\r:{'x' * 2048}\ndata:4\n\n",
            ["1\n2\n3\n4"],
        ),
        ("format-data-before-final-empty-line", "retry:1000\ndata:test1\n\nid:test\ndata:test2", ["test1"]),
        ("format-field-data", "data:\n\ndata\ndata\n\ndata:test\n\n", ["", "\n", "test"]),
        ("format-field-event-empty", "event: \ndata:data\n\n", ["data"]),
        (
            "format-field-parsing",
            "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\n"
            "data:4\n\n",
            ["\0\n 2\n1\n3\n\n4"],
        ),
        ("format-leading-space", "data:\ttest\rdata: \ndata:test\n\n", ["\ttest\n\ntest"]),
        ("format-newlines", "data:test\r\ndata\ndata:test\r\n\r\n", ["test\n\ntest"]),
        ("format-null-character", "data:\0\n\n\n\n", ["\0"]),
        ("format-utf-8", "data:ok…\n\n", ["ok…"]),
        (
            "format-field-unknown",
            "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
            ["test\n\ntest"],
        ),
    ],
)
def test_parser_follows_the_standard(case: str, raw: str, expected: list[str]) -> None:
    messages = EventParser().feed(raw.encode())
    assert [message.data for message in messages] == expected, case
    assert {message.event for message in messages} <= {"message"}


def test_parser_reads_event_names_as_format_field_event() -> None:
    messages = EventParser().feed(b"event:test\ndata:x\n\ndata:x\n\n")
    assert [message.event for message in messages] == ["test", "message"]


def test_parser_keeps_and_clears_ids_as_format_field_id() -> None:
    parser = EventParser()
    raw = b"id: 1\ndata:a\n\ndata:b\n\nid\ndata:c\n\nid:2\n\nid: x\0y\ndata:d\n\n"
    messages = parser.feed(raw)
    assert [message.id for message in messages] == ["1", "1", "", "2"]


@pytest.mark.parametrize(
    ("line", "retry"), [(b"retry:3000", 3000), (b"retry:3000x", None), (b"retry:", None), (b"retry:-1", None)]
)
def test_parser_reads_retry_as_format_field_retry(line: bytes, retry: int | None) -> None:
    parser = EventParser()
    parser.feed(line + b"\n\n")
    assert parser.retry == retry


def test_parser_replaces_bytes_that_are_not_utf8() -> None:
    (message,) = EventParser().feed(b"data:a\xffb\n\n")
    assert message.data == "a\ufffdb"


def test_line_end_that_is_cut_in_two_is_one_line_end() -> None:
    parser = EventParser()
    messages = parser.feed(b"data:a\r") + parser.feed(b"") + parser.feed(b"\ndata:b\r\n\r\n")
    assert [message.data for message in messages] == ["a\nb"]
