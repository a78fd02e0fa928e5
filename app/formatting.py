"""From records to what people and programs read: the one place where times, texts and rows get their final form.

Records carry raw monotonic seconds, integer ids and whatever text the observed program chose. Here
monotonic becomes RFC 3339 in UTC (anchored once, so that a wall clock that is set back moves nothing), ids
become strings, durations finite seconds that are never negative, and texts printable and short: what a web
site put into a name must be readable in a table, encodable as UTF-8 and unable to reorder or hide what
stands beside it, so anything not printable is shown as its escape.
"""

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, overload

from greenscope.app.model import (
    Event,
    ExceptionRecord,
    GreenletRecord,
    GreenletSample,
    GroupSample,
    HubSample,
    Site,
    State,
    WaitRecord,
)

#: longest text in characters, longest path (its end is kept), most items and depth of a free-form detail
TEXT_LIMIT: Final = 200
PATH_LIMIT: Final = 400
ITEM_LIMIT: Final = 50
DEPTH_LIMIT: Final = 4

#: bits of the id that a process gives; on a page over several, its pid stands above them
ID_BITS: Final = 40
_LARGEST: Final = (1 << ID_BITS) - 1
_IDENT: Final = re.compile(r"(?:([0-9]{1,8})-)?([0-9]{1,13})")

#: zero-width joiners hold emoji and some scripts together; they can neither reorder nor hide
_JOINERS: Final = frozenset("\u200c\u200d")


class Clock:
    """Monotonic seconds and what they mean on the wall; the two are anchored to each other once."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self.monotonic = monotonic
        self._offset = wall() - monotonic()
        #: the second that was asked for last, and how it begins: rows and events come in the order of their times
        self._second, self._prefix = 0, "1970-01-01T00:00:00"

    def unix(self, t: float) -> float:
        """Return seconds since 1970 for a monotonic second."""
        return t + self._offset

    def rfc3339(self, t: float | None) -> str | None:
        """Return a monotonic second as RFC 3339 UTC with milliseconds (None stays None)."""
        if t is None:
            return None
        moment = t + self._offset
        try:
            second = math.floor(moment)
            microseconds = round((moment - second) * 1e6)
            if microseconds == 1_000_000:
                second, microseconds = second + 1, 0
            if second != self._second:
                self._prefix = datetime.fromtimestamp(second, UTC).isoformat()[:-6]
                self._second = second
        except (OverflowError, ValueError, OSError):
            return None
        return f"{self._prefix}.{microseconds // 1000:03d}Z"


def safe_text(value: object, limit: int = TEXT_LIMIT) -> str:
    """Return a text printable in one line and at most `limit` characters long.

    What is not a str is named by its type only: asking it for its text would run the program's code.
    """
    if not isinstance(value, str):
        return f"<{type(value).__name__}>"
    text = str.__getitem__(value, slice(0, limit + 1))
    if not text.isprintable():
        text = "".join(_escaped(character) for character in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def safe_path(value: object, limit: int = PATH_LIMIT) -> str:
    """Return a path as `safe_text` does, but keep its end where it has to be cut."""
    if isinstance(value, str) and len(value) > limit:
        return "…" + safe_text(str.__getitem__(value, slice(-(limit - 1), None)), limit)[: limit - 1]
    return safe_text(value, limit)


def _escaped(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    return character.encode("unicode_escape").decode("ascii")


def duration(seconds: float | None) -> float | None:
    """Return seconds rounded to microseconds, never negative; None when unknown or not finite."""
    if seconds is None or not math.isfinite(seconds):
        return None
    return round(seconds, 6) if seconds > 0 else 0.0


@overload
def ident(id: int) -> str: ...
@overload
def ident(id: int | None) -> str | None: ...
def ident(id: int | None) -> str | None:
    """Return an id as the string that it is in JSON: `id`, or `pid-id` on a page over several processes."""
    if id is None:
        return None
    return str(id) if id <= _LARGEST else f"{id >> ID_BITS}-{id & _LARGEST}"


def parse_ident(text: str) -> int | None:
    """Return the id that `ident` has written (None: it is none)."""
    found = _IDENT.fullmatch(text)
    if found is None or int(found[2]) > _LARGEST:
        return None
    return join_ident(int(found[1] or 0), int(found[2]))


def join_ident(pid: int, id: int) -> int:
    """Return the id under which a page over several processes knows a process' own id."""
    return pid << ID_BITS | id


def split_ident(id: int) -> tuple[int, int]:
    """Return pid and own id (pid 0: the page is over one process only)."""
    return id >> ID_BITS, id & _LARGEST


def site(place: Site | None) -> dict[str, Any] | None:
    """Return a code location as `{file, line, function}`."""
    if place is None:
        return None
    return {"file": safe_path(place.file), "line": place.line, "function": safe_text(place.function)}


def sites(places: Iterable[Site], sources: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return frames as a list of `{file, line, function, source}`, outermost first."""
    lines = list(sources)
    frames: list[dict[str, Any]] = []
    for index, place in enumerate(places):
        source = safe_text(lines[index].strip()) if index < len(lines) else ""
        frames.append(
            {
                "file": safe_path(place.file),
                "line": place.line,
                "function": safe_text(place.function),
                "source": source,
            }
        )
    return frames


def exception(record: ExceptionRecord | None) -> dict[str, Any] | None:
    """Return how a greenlet failed as `{type, message}`."""
    if record is None:
        return None
    return {"type": safe_text(record.type), "message": safe_text(record.message)}


def waiting(record: WaitRecord | None, clock: Clock) -> dict[str, Any] | None:
    """Return what a greenlet waits for as `{kind, name, since, owner, target}`."""
    if record is None:
        return None
    return {
        "kind": safe_text(record.kind),
        "name": safe_text(record.name),
        "since": clock.rfc3339(record.since),
        "owner": ident(record.owner),
        "target": ident(record.target),
    }


def greenlet_row(
    record: GreenletRecord,
    sample: GreenletSample | None,
    *,
    state: State,
    started: float | None,
    ended: float | None,
    groups: Iterable[int],
    failure: ExceptionRecord | None,
    clock: Clock,
    now: float,
    pid: int,
) -> dict[str, Any]:
    """Return the row of a greenlet: the interface's fields and no others.

    `sample` is the latest look at it (None: never looked at, everything accounted for is None); `now` is the
    monotonic second at which `age` is told for one that lives.
    """
    return {
        "id": ident(record.id),
        "pid": record.id >> ID_BITS or pid,
        "name": safe_text(record.name),
        "state": state,
        "function": safe_text(record.function),
        "place": site(sample.place) if sample else None,
        "file": safe_path(record.file),
        "line": record.line,
        "spawn_site": site(record.spawn_site),
        "parent": ident(record.parent),
        "groups": [ident(group) for group in groups],
        "created": clock.rfc3339(record.created),
        "started": clock.rfc3339(started),
        "ended": clock.rfc3339(ended),
        "age": duration((now if ended is None else ended) - record.created),
        "run_time": duration(sample.run_time) if sample else None,
        "ready_time": duration(sample.ready_time) if sample else None,
        "wait_time": duration(sample.wait_time) if sample else None,
        "switches": sample.switches if sample else None,
        "longest_run": duration(sample.longest_run) if sample else None,
        "waiting_on": waiting(sample.waiting_on, clock) if sample else None,
        "exception": exception(failure),
    }


def hub_row(hub: HubSample, now: float) -> dict[str, Any]:
    """Return an event loop: its thread, how long its present turn lasts, what it runs, where it is stuck."""
    return {
        "thread": safe_text(hub.thread),
        "lag": duration(hub.lag),
        "turns": hub.turns,
        "switches": hub.switches,
        "running": ident(hub.running),
        "timers": hub.timers,
        "sample_age": duration(now - hub.sampled),
        "blocked_in": sites(hub.blocked_in),
        "threadpool": _thread_pool(hub),
        "resolver": {"kind": safe_text(hub.resolver), "lookups": hub.lookups} if hub.resolver else None,
    }


def _thread_pool(hub: HubSample) -> dict[str, int] | None:
    pool = hub.threadpool
    if pool is None:
        return None
    return {"size": pool.size, "max": pool.most, "busy": pool.busy, "queued": pool.queued}


def event_fields(event: Event, record: GreenletRecord | None, clock: Clock) -> dict[str, Any]:
    """Return an event's fields but for `seq`: kind, t, greenlet and group with their names, and what it tells."""
    fields: dict[str, Any] = {"kind": event.kind, "t": clock.rfc3339(event.t)}
    if event.greenlet is not None:
        fields["greenlet"] = ident(event.greenlet)
        if record is not None:
            fields["name"] = safe_text(record.name)
            fields["function"] = safe_text(record.function)
    if event.group is not None:
        fields["group"] = ident(event.group)
    if event.kind == "spawned" and record is not None:
        fields["file"] = safe_path(record.file)
        fields["line"] = record.line
        fields["parent"] = ident(record.parent)
    if event.exception is not None:
        fields["exception"] = exception(event.exception)
    if event.group_record is not None:
        fields.update(group_birth(event.group_record))
    if event.sample is not None:
        fields["run_time"] = duration(event.sample.run_time)
        fields["switches"] = event.sample.switches
    for name, value in (event.detail or {}).items():
        fields.setdefault(safe_text(name), safe_value(value))
    return fields


def group_birth(group: GroupSample) -> dict[str, Any]:
    """Return what a group is from its beginning on: its name, its kind, its size."""
    return {"group_name": safe_text(group.name), "group_kind": group.kind, "size": group.size}


def safe_value(value: object, depth: int = DEPTH_LIMIT) -> Any:
    """Return a free-form value as JSON can carry it: texts safe, numbers finite, lists and depth bounded."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < 2**53 else f"{'-' if value < 0 else ''}{abs(value):#x}"[:TEXT_LIMIT]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Site):
        return site(value)
    if isinstance(value, str) or depth == 0:
        return safe_text(value)
    if isinstance(value, Mapping):
        items = list(value.items())[:ITEM_LIMIT]
        return {safe_text(name): safe_value(item, depth - 1) for name, item in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [safe_value(item, depth - 1) for item in list(value)[:ITEM_LIMIT]]
    return safe_text(value)
