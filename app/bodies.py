"""JSON in and out: strict when reading, safe when writing.

Reading refuses what parsers disagree about (duplicate keys, NaN, lone surrogates) and what would hurt (depth); every
fault is a `BodyError`, which becomes a 400. Writing escapes to ASCII, so that text of the observed program, whatever it
holds, never breaks an answer; a number that JSON cannot say is null.
"""

import json
import math
from typing import Any

from starlette.requests import Request
from starlette.responses import Response


class BodyError(ValueError):
    """A body that is not the JSON object it should be; the message says why."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BodyError("an object names the same key twice")
    return found


def _no_constant(name: str) -> Any:
    raise BodyError(f"{name} is not JSON")


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object (RFC 8259); an empty body is an empty object. Raises BodyError."""
    if not body.strip():
        return {}
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except BodyError:
        raise
    except RecursionError:
        raise BodyError("the JSON is nested too deeply") from None
    except UnicodeError:
        raise BodyError("the body is not valid Unicode text") from None
    except ValueError as error:
        raise BodyError(f"the body is not JSON: {error}"[:200]) from None
    if not isinstance(value, dict):
        raise BodyError("the body must be a JSON object")
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BodyError("a number is too large")
    return number


async def read_object(request: Request) -> dict[str, Any]:
    """Read and parse a request's body. Raises BodyError. The guard has capped its size."""
    return parse_object(await request.body())


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Make a JSON answer."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_sayable(value), allow_nan=False, separators=(",", ":"))
    return Response(text.encode("ascii"), status, headers, media_type="application/json")


def error_response(
    status: int, error: str, message: str, field: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """Make an error answer: `error` is a word for programs, `message` a sentence for people."""
    body = {"error": error, "message": message}
    if field is not None:
        body["field"] = field
    return json_response(body, status, headers)


def _sayable(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _sayable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sayable(item) for item in value]
    return value
