"""Which greenlets are asked for: filter, search, order and window, checked before anything is computed.

The same words stand in the URL of a page, of the JSON and of the live stream, so that what is seen can be
shared as a link. `parse_query` turns them into a frozen `GreenletQuery`, which is hashable and serves as
the key under which equal questions share one answer. Whatever does not fit is a `QueryError` that names the
parameter and tells what would be right.

The search language of `q`: words separated by blanks must all match; a word matches in name, function or
file; `field:word` matches in one field; "quotes keep words together"; a leading `-` negates. Case does not
matter.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from greenscope.app.formatting import parse_ident
from greenscope.app.model import ENDED_STATES, LIVE_STATES, STATES

#: the fields of a greenlet row, in the order of the interface; `sort` may name each of them
ROW_FIELDS: Final = (
    "id",
    "pid",
    "name",
    "state",
    "function",
    "place",
    "file",
    "line",
    "spawn_site",
    "parent",
    "groups",
    "created",
    "started",
    "ended",
    "age",
    "run_time",
    "ready_time",
    "wait_time",
    "switches",
    "longest_run",
    "waiting_on",
    "exception",
)
#: row fields that only a look at the living greenlet tells; to sort by one of them, all must be looked at
SAMPLED_FIELDS: Final = frozenset(
    {"state", "place", "run_time", "ready_time", "wait_time", "switches", "longest_run", "waiting_on"}
)
#: fields of the search language
SEARCH_FIELDS: Final = (
    "name",
    "function",
    "file",
    "state",
    "id",
    "pid",
    "group",
    "exception",
    "place",
    "waiting",
)
_SAMPLED_SEARCH: Final = frozenset({"place", "waiting"})
#: what `state` accepts: the states, and two names for many
STATE_NAMES: Final = (*STATES, "live", "ended")

MAX_LIMIT: Final = 1_000
DEFAULT_LIMIT: Final = 100
MAX_OFFSET: Final = 100_000_000
MAX_SEARCH: Final = 1_000

_TOKEN: Final = re.compile(r'\s*(?P<minus>-)?(?:(?P<field>[^\s":]+):)?(?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s"]+))')
_DIGITS: Final = re.compile(r"[0-9]{1,15}")


class QueryError(ValueError):
    """A query parameter that makes no sense; `field` is its name, `message` says what would be right."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class Term:
    """One condition of a search; `text` is lower case, field "" stands for name, function and file."""

    text: str
    field: str = ""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class GreenletQuery:
    """A checked question for greenlets; made by `parse_query` or, with known good values, directly."""

    state: str = ""
    group: int | None = None
    q: str = ""
    sort: str = "id"
    offset: int = 0
    limit: int = DEFAULT_LIMIT

    @property
    def terms(self) -> tuple[Term, ...]:
        """The conditions of `q` (QueryError if it cannot be read)."""
        return parse_search(self.q)

    @property
    def states(self) -> frozenset[str]:
        """The states asked for, by `state` and by the search (empty: nothing can match)."""
        states = expand_states(self.state.split(",")) if self.state else frozenset(STATES)
        for term in self.terms:
            if term.field == "state":
                named = expand_states(term.text.split(","))
                states = states - named if term.negated else states & named
        return states

    @property
    def field(self) -> str:
        """The field to sort by, without its direction."""
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        """Whether the greatest comes first."""
        return self.sort.startswith("-")

    @property
    def needs_samples(self) -> bool:
        """Whether all live greenlets must be looked at before the first row is known."""
        if self.states.isdisjoint(LIVE_STATES):
            return False
        if self.field in SAMPLED_FIELDS or not self.states >= LIVE_STATES:
            return True
        return any(term.field in _SAMPLED_SEARCH for term in self.terms)

    @property
    def needs_places(self) -> bool:
        """Whether the look at all must be kept whole: where they are and what they wait for decides."""
        return self.field in ("place", "waiting_on") or any(term.field in _SAMPLED_SEARCH for term in self.terms)

    @property
    def selection(self) -> tuple[str, int | None, str]:
        """What is asked for regardless of order and window."""
        return (self.state, self.group, self.q)


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The answer to a query: how many there are, how many match, and the rows of the window."""

    total: int
    matched: int
    rows: list[dict[str, Any]]


def expand_states(names: Iterable[str]) -> frozenset[str]:
    """Turn state names, `live` and `ended` into the set of states they mean."""
    states: set[str] = set()
    for name in names:
        if name == "live":
            states |= LIVE_STATES
        elif name == "ended":
            states |= ENDED_STATES
        else:
            states.add(name)
    return frozenset(states)


@lru_cache(maxsize=256)
def parse_search(text: str) -> tuple[Term, ...]:
    """Read the search language; QueryError("q", ...) for an unknown field, state or an open quote."""
    if len(text) > MAX_SEARCH:
        raise QueryError("q", f"is longer than {MAX_SEARCH} characters")
    terms: list[Term] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position, end)
        if match is None:
            rest = text[position:end].strip()
            if '"' in rest:
                raise QueryError("q", f"has a quote that is not closed, at {rest[:20]!r}")
            raise QueryError("q", f"cannot be read at {rest[:20]!r}: nothing follows the field or the minus")
        position = match.end()
        terms.append(_term(match))
    return tuple(terms)


def _term(match: "re.Match[str]") -> Term:
    field = (match["field"] or "").lower()
    value = (match["quoted"] if match["quoted"] is not None else match["plain"]).lower()
    if not field and match["plain"] and ":" in value:
        raise QueryError("q", f"cannot be read at {value[:20]!r}: nothing stands before or after the colon")
    if field and field not in SEARCH_FIELDS:
        raise QueryError(
            "q",
            f"knows no field {field[:40]!r}; fields are {', '.join(SEARCH_FIELDS)}; put text with a colon in quotes",
        )
    if field == "state":
        _check_states("q", value)
    return Term(value, field, match["minus"] is not None)


def _check_states(parameter: str, value: str) -> None:
    for name in value.split(","):
        if name not in STATE_NAMES:
            raise QueryError(parameter, f"knows no state {name[:40]!r}; states are {', '.join(STATE_NAMES)}")


def _number(field: str, text: str, low: int, high: int) -> int:
    if not _DIGITS.fullmatch(text) or not low <= int(text) <= high:
        raise QueryError(field, f"must be a whole number from {low} to {high}, not {text[:40]!r}")
    return int(text)


def _group_id(text: str) -> int:
    id = parse_ident(text)
    if not id:
        raise QueryError("group", f"must be a group's id, a whole number, not {text[:40]!r}")
    return id


def parse_query(parameters: Mapping[str, str], *, ignore: Iterable[str] = ()) -> GreenletQuery:
    """Make a `GreenletQuery` of URL parameters; those named in `ignore` are somebody else's.

    Raises QueryError for an unknown, repeated or senseless parameter.
    """
    known = ("state", "group", "q", "sort", "offset", "limit")
    ignored = frozenset(ignore)
    items = getattr(parameters, "multi_items", parameters.items)()
    values: dict[str, str] = {}
    for name, value in items:
        if name in ignored:
            continue
        if name not in known:
            raise QueryError(
                str(name)[:40], f"is not a parameter here; parameters are {', '.join([*known, *sorted(ignored)])}"
            )
        if name in values:
            raise QueryError(name, "is given more than once")
        values[name] = value
    state = values.get("state", "").strip().lower()
    if state:
        _check_states("state", state)
    sort = values.get("sort", "").strip() or "id"
    if sort.removeprefix("-") not in ROW_FIELDS:
        raise QueryError("sort", f"knows no field {sort[:40]!r}; fields are {', '.join(ROW_FIELDS)}")
    search = values.get("q", "").strip()
    parse_search(search)
    group = values.get("group", "").strip()
    return GreenletQuery(
        state=state,
        group=_group_id(group) if group else None,
        q=search,
        sort=sort,
        offset=_number("offset", values.get("offset") or "0", 0, MAX_OFFSET),
        limit=_number("limit", values.get("limit") or str(DEFAULT_LIMIT), 1, MAX_LIMIT),
    )
