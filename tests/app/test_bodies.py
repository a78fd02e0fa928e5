"""JSON in and out."""

import json

import pytest

from greenscope.app.bodies import BodyError, json_response, parse_object


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"1", b'"x"', b"null", b"{", b"{'a':1}", b'{"a":1,"a":2}', b'{"b":{"a":1,"a":2}}', b'{"a":NaN}',
        b'{"a":Infinity}', b'{"a":1e999}', b'{"a":-Infinity}', b"\xff", b'{"a":"\\ud800"}', b'{"\\udfff":1}',
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"a":' + b"9" * 5000 + b"}", b'{"a":1}x', b"\x00", b'{"a":\x01}', b"\xef\xbb\xbf{}",
    ],
)  # fmt: skip
def test_parse_object_refuses(body: bytes) -> None:
    with pytest.raises(BodyError):
        parse_object(body)


@pytest.mark.parametrize(
    ("body", "value"), [(b"", {}), (b" \n", {}), (b"{}", {}), (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"})]
)
def test_parse_object_reads(body: bytes, value: dict[str, object]) -> None:
    assert parse_object(body) == value


def test_json_response_survives_any_text_and_number() -> None:
    value = {"a": "\ud800\u2028</script>", "b": [float("nan"), float("inf"), 1.5], "c": {"d": (1, float("-inf"))}}
    response = json_response(value)
    body = bytes(response.body)
    assert body.isascii()
    assert json.loads(body)["b"] == [None, None, 1.5]
    assert json.loads(body)["c"] == {"d": [1, None]}
