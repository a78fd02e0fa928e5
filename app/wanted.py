"""What a reader of the stream asks for: kinds, a view and its rate, a snapshot, and where to go on.

Everything is checked before the stream begins, and what makes no sense is a QueryError; only a resume point
is never an error, since an answer other than 200 would end the browser's EventSource for good.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from starlette.requests import Request

from greenscope.app.model import EVENT_KINDS
from greenscope.app.query import QueryError
from greenscope.app.views import ViewQuery, parse_view

SnapshotMode = Literal["full", "summary", "none"]

#: kinds that `kinds` may name; `gap` and `reset` come to everybody
STREAM_KINDS: Final = (*EVENT_KINDS, "gap", "reset", "hb", "bye")
#: parameters of the stream itself; the rest belongs to the view
_OWN: Final = ("kinds", "after", "together", "view", "rate", "snapshot")
_RATES: Final = (0.25, 5.0)
_ALL: Final = frozenset(EVENT_KINDS)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asked for, checked."""

    kinds: frozenset[str] = _ALL
    together: bool = False
    view: ViewQuery | None = None
    rate: float = 0.5
    snapshot: SnapshotMode = "full"
    resume: str = ""


def parse_wanted(request: Request) -> Wanted:
    """Read the parameters of a stream; QueryError names what does not fit. A bad resume point is no error."""
    parameters = request.query_params
    view = None
    if parameters.get("view"):
        view = parse_view(parameters["view"], parameters, _OWN)
    else:
        for name in parameters:
            if name not in _OWN:
                raise QueryError(name[:40], f"is not a parameter here; parameters are {', '.join(_OWN)}")
    kinds = _parse_kinds(parameters.get("kinds", ""))
    together = parameters.get("together", "")
    if together not in ("", "0", "1"):
        raise QueryError("together", f"must be 0 or 1, not {together[:40]!r}")
    rate = parameters.get("rate") or "0.5"
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", rate) or not _RATES[0] <= float(rate) <= _RATES[1]:
        raise QueryError("rate", f"must be a number of seconds from {_RATES[0]} to {_RATES[1]}, not {rate[:40]!r}")
    default: SnapshotMode = "none" if view is not None or not kinds else "full" if "spawned" in kinds else "summary"
    modes: dict[str, SnapshotMode] = {"": default, "full": "full", "summary": "summary", "none": "none"}
    mode = parameters.get("snapshot", "")
    if mode not in modes:
        raise QueryError("snapshot", f"must be full, summary or none, not {mode[:40]!r}")
    resume = request.headers.get("last-event-id") or parameters.get("after", "")
    return Wanted(kinds, together == "1", view, float(rate), modes[mode], resume)


def _parse_kinds(text: str) -> frozenset[str]:
    names = [name for name in (part.strip() for part in text.split(",")) if name]
    if not names:
        return _ALL
    if names == ["none"]:
        return frozenset()
    for name in names:
        if name not in STREAM_KINDS:
            known = ", ".join((*STREAM_KINDS, "none"))
            raise QueryError("kinds", f"knows no kind {name[:40]!r}; kinds are {known}")
    return frozenset(names) & _ALL
