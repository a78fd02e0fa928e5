"""Which greenlets match a query, and in which order: computed in steps, so that nothing else has to wait.

With a hundred thousand greenlets a filter with a sort takes tens of milliseconds of pure Python. The work
is therefore a generator that yields between chunks: an event loop drives it with a breath in between, a
test drives it to its end. Only as much of the order is made as the window needs: the best `reach` rows so
far are kept from chunk to chunk; for windows far down, sorted chunks are merged. A finished `Selection` is
kept by the feed and shared by all who ask the same for a second.

Unknown values come last in both directions; equal ones stand in the order of their ids.
"""

import heapq
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from itertools import islice
from operator import attrgetter
from typing import Any, Final

from greenscope.app.formatting import ident, split_ident
from greenscope.app.history import Retention
from greenscope.app.lives import Band, Life
from greenscope.app.model import ENDED_STATES, LIVE_STATES, STATES, Site
from greenscope.app.query import GreenletQuery, Term

#: greenlets looked at between two yields: about 1 ms
#: (few, so that the keys of a chunk die young and the garbage collector is not called)
CHUNK: Final = 2_000

Steps = Generator[None, None, None]


class Selection:
    """The beginning of an order: the first `reach` ids of the `matched` among `total` greenlets."""

    __slots__ = ("cost", "ids", "made", "matched", "reach", "total")

    def __init__(self, reach: int) -> None:
        self.ids: list[int] = []
        self.matched = 0
        self.total = 0
        self.reach = reach
        self.made = 0.0
        self.cost = 0.0

    def window(self, offset: int, limit: int) -> list[int]:
        """Return the ids of one page."""
        return self.ids[offset : offset + limit]


def reach_of(query: GreenletQuery) -> int:
    """Return how much of the order to make: the window and the next ones, so that paging shares the work."""
    needed = query.offset + query.limit
    reach = 500
    while reach < needed:
        reach *= 4
    return reach


def fill(
    selection: Selection,
    query: GreenletQuery,
    lives: Mapping[int, Life],
    finished: Retention,
    bands: Mapping[int, Band],
    now: float,
) -> Steps:
    """Find the greenlets that match at `now` (monotonic s) and order the first of them; yields about every 5 ms."""
    selection.total = len(lives) + len(finished)
    if _is_plain(query):
        # what lives stands nearly in order already, which sorts fast; only the ends of both are put together
        descending, reach = query.descending, selection.reach
        alive, ended = sorted(lives), sorted([life.record.id for life in finished])
        selection.matched = len(alive) + len(ended)
        ends = alive[-reach:] + ended[-reach:] if descending else alive[:reach] + ended[:reach]
        selection.ids = sorted(ends, reverse=descending)[:reach]
        return
    candidates = _candidates(query, lives, finished, bands)
    tests = _tests(query)
    key = _KEYS.get(query.field) or _age_key(now)
    descending = query.descending
    best: list[tuple[Any, ...]] = []
    runs: list[list[tuple[Any, ...]]] = []
    deep = selection.reach > CHUNK
    for start in range(0, len(candidates), CHUNK):
        chunk = candidates[start : start + CHUNK]
        for test in tests:
            chunk = [life for life in chunk if test(life)]
        selection.matched += len(chunk)
        if deep:
            keyed = _keyed(chunk, key, descending)
            keyed.sort(reverse=descending)
            runs.append(keyed)
        else:
            if len(best) == selection.reach:
                chunk = _rivals(chunk, key, descending, best[-1])
            best += _keyed(chunk, key, descending)
            best.sort(reverse=descending)
            del best[selection.reach :]
        yield
    merged = heapq.merge(*runs, reverse=descending) if deep else iter(best)
    ids: list[int] = []
    while part := [entry[-1] for entry in islice(merged, min(CHUNK, selection.reach - len(ids)))]:
        ids += [-id for id in part] if descending else part
        yield
    selection.ids = ids


def _is_plain(query: GreenletQuery) -> bool:
    """Tell whether ids alone answer: creation order, nothing filtered."""
    return query.field == "id" and query.group is None and not query.terms and query.states >= set(STATES)


def _candidates(
    query: GreenletQuery, lives: Mapping[int, Life], finished: Retention, bands: Mapping[int, Band]
) -> list[Life]:
    states = query.states
    found: list[Life] = []
    if not states.isdisjoint(LIVE_STATES):
        if query.group is None:
            found += lives.values()
        elif (band := bands.get(query.group)) is not None:
            found += [lives[id] for id in band.members if id in lives]
    ended = finished.of_states(states & ENDED_STATES)
    if query.group is not None:
        ended = [life for life in ended if query.group in life.groups]
    return found + ended


def _rivals(lives: list[Life], key: Callable[[Life], Any], descending: bool, last: tuple[Any, ...]) -> list[Life]:
    """Return those that can come before the last of the best so far: few, so that of few a key is made and sorted."""
    if len(last) == 2:
        return lives  # its value is unknown: whoever's is known comes before it
    bound = last[1]
    pairs = zip(map(key, lives), lives, strict=True)
    if descending:
        return [life for value, life in pairs if value is not None and value >= bound]
    return [life for value, life in pairs if value is not None and value <= bound]


def _keyed(lives: Iterable[Life], key: Callable[[Life], Any], descending: bool) -> list[tuple[Any, ...]]:
    # (known or not, value, id): with descending order the known must be the greater, and ids are negated
    keyed: list[tuple[Any, ...]] = []
    for life in lives:
        value = key(life)
        if value is None:
            keyed.append((not descending, -life.record.id if descending else life.record.id))
        elif descending:
            keyed.append((True, value, -life.record.id))
        else:
            keyed.append((False, value, life.record.id))
    return keyed


def _tests(query: GreenletQuery) -> list[Callable[[Life], bool]]:
    tests: list[Callable[[Life], bool]] = []
    states = query.states
    if not states >= LIVE_STATES and not states.isdisjoint(LIVE_STATES):
        tests.append(lambda life: life.state in states)
    tests += [_test(term) for term in query.terms if term.field != "state"]
    return tests


def _test(term: Term) -> Callable[[Life], bool]:
    text, wanted = term.text, not term.negated
    if term.field in ("id", "pid", "group"):
        text = f"={text}="
    if term.field:
        read = _TEXTS[term.field]
        return lambda life: (text in read(life)) is wanted
    # the texts of a life are joined by line feeds, which no search text without quotes can hold
    return lambda life: (text in life.haystack) is wanted


def _waiting_text(life: Life) -> str:
    waiting = life.sample.waiting_on if life.sample and life.ended is None else None
    return f"{waiting.kind} {waiting.name}".lower() if waiting else ""


def _place_text(life: Life) -> str:
    place = life.sample.place if life.sample else None
    return f"{place.file}:{place.line} {place.function}".lower() if place else ""


_TEXTS: Final[dict[str, Callable[[Life], str]]] = {
    "name": lambda life: life.record.name.lower(),
    "function": lambda life: life.record.function.lower(),
    "file": lambda life: f"{life.record.file}:{life.record.line}".lower(),
    "id": lambda life: f"={ident(life.record.id)}=",
    "pid": lambda life: f"={split_ident(life.record.id)[0] or os.getpid()}=",
    "group": lambda life: "".join(f"={ident(group)}=" for group in life.groups),
    "exception": lambda life: f"{life.failure.type}: {life.failure.message}".lower() if life.failure else "",
    "place": _place_text,
    "waiting": _waiting_text,
}


def _site_key(place: Site | None) -> tuple[str, int] | None:
    return None if place is None else (place.file, place.line)


def _waiting_key(life: Life) -> tuple[str, str] | None:
    waiting = life.sample.waiting_on if life.sample and life.ended is None else None
    return (waiting.kind, waiting.name) if waiting else None


def _age_key(now: float) -> Callable[[Life], float]:
    return lambda life: (now if life.ended is None else life.ended) - life.record.created


_KEYS: Final[dict[str, Callable[[Life], Any]]] = {
    "id": lambda life: life.record.id,
    "pid": lambda life: split_ident(life.record.id)[0],
    "name": lambda life: life.record.name,
    "state": lambda life: STATES.index(life.state),
    "function": lambda life: life.record.function,
    "place": lambda life: _site_key(life.sample.place) if life.sample else None,
    "file": lambda life: (life.record.file, life.record.line),
    "line": lambda life: life.record.line,
    "spawn_site": lambda life: _site_key(life.record.spawn_site),
    "parent": lambda life: life.record.parent,
    "groups": lambda life: life.groups or None,
    "created": lambda life: life.record.created,
    "started": lambda life: life.started,
    "ended": lambda life: life.ended,
    "run_time": attrgetter("run_time"),
    "ready_time": attrgetter("ready_time"),
    "wait_time": attrgetter("wait_time"),
    "switches": attrgetter("switches"),
    "longest_run": attrgetter("longest_run"),
    "waiting_on": _waiting_key,
    "exception": lambda life: (life.failure.type, life.failure.message) if life.failure else None,
}
