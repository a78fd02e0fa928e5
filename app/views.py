"""Live views: what a page shows, as patches; made once for all who look at the same.

A page asks the stream for a view (`view=greenlets&state=failed`). Everybody with the same question shares
one `LiveView`: it is made anew when somebody is due, and each client gets the difference between the
version that it has and the newest; equal differences are encoded once. A client that has none, or one that
is no longer kept, gets all of it, marked `full`.

    every view  "full" (only then), "t", "counts", "rates", "health", "alerts" {severity: open findings};
                a key in which nothing changed is left out
    overview    "groups" (all rows), "hubs", "point" (the newest of the charts), "attention" [what deserves a look]
    greenlets   "total", "matched", "rows" {id: fields that changed}, "order" [ids], "gone" [ids],
                "marks" {id: the finding that names it}
    greenlet    "greenlet" {fields of the detail that changed}
    group       "group" {fields of the detail that changed}
    findings    "findings" [rows, without their stacks], "attention"
    events      nothing more: the events themselves are the numbered ones of the stream

What only the passing of time changes is not sent again: `age` comes once, and counts on from `created`
while a greenlet lives. Durations are rounded, waits beyond ten seconds to whole ones, so that a long wait
does not differ four times a second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from greenscope.app.attention import alerts_of
from greenscope.app.breath import breathe
from greenscope.app.feed import Feed
from greenscope.app.formatting import parse_ident
from greenscope.app.query import GreenletQuery, QueryError, parse_query
from greenscope.app.sse import to_json

VIEWS: Final = ("overview", "greenlets", "greenlet", "group", "findings", "events")

#: parts of a state whose fields are compared one by one
_BY_FIELD: Final = ("greenlet", "group")
#: fields that time alone changes: no reason for a patch
_VOLATILE: Final = frozenset({"age", "now"})
_PASSING: Final = ("ready_time", "wait_time")
#: health that pages show everywhere; what only counts on is left out
_HEALTH: Final = ("hub_lag", "sample_age", "dropped", "cost", "fault", "live", "backend", "epoch")

#: where a state keeps its rows' ages, which are sent with a row's first appearance and its end only
_AGES: Final = "ages"

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ViewQuery:
    """A checked question for a view; equal ones share their work."""

    name: str
    query: GreenletQuery | None = None
    id: int | None = None


def parse_view(name: str, parameters: Mapping[str, str], ignore: tuple[str, ...]) -> ViewQuery:
    """Make a `ViewQuery` of URL parameters; QueryError names what does not fit."""
    if name not in VIEWS:
        raise QueryError("view", f"knows no view {name[:40]!r}; views are {', '.join(VIEWS)}")
    if name == "greenlets":
        return ViewQuery(name, parse_query(parameters, ignore=ignore))
    if name in ("greenlet", "group"):
        text = parameters.get("id", "")
        id = parse_ident(text)
        if id is None:
            raise QueryError("id", f"must be the id of a {name}, not {text[:40]!r}")
        parse_query(parameters, ignore=(*ignore, "id"))
        return ViewQuery(name, id=id)
    parse_query(parameters, ignore=ignore)
    return ViewQuery(name)


class LiveView:
    """One question's state over time, and the patches between its versions."""

    def __init__(self, feed: Feed, wanted: ViewQuery, count_clients: Callable[[], int] = int) -> None:
        self.feed = feed
        self._count_clients = count_clients
        self.wanted = wanted
        self.alerts = alerts_of(feed)
        self.version = 0
        self.readers = 0
        self._states: dict[int, State] = {}
        self._patches: dict[tuple[int, int], bytes] = {}
        makers: dict[str, Callable[[], Awaitable[State]]] = {
            "overview": self._overview,
            "greenlets": self._greenlets,
            "greenlet": self._greenlet,
            "group": self._group,
            "findings": self._findings,
            "events": self._common,
        }
        self._make = makers[wanted.name]

    async def refresh(self, held: set[int]) -> None:
        """Make the newest state; keep those older versions that somebody holds. Gives way to the loop."""
        state = await self._make()
        newest = self._states.get(self.version)
        changes = {"full": True} if newest is None else _difference(newest, state)
        if not changes:
            return
        self._patches.clear()
        self.version += 1
        self._states[self.version] = state
        if newest is not None:
            self._patches[self.version - 1, self.version] = self._encode(changes)
        for version in self._states.keys() - held - {self.version}:
            del self._states[version]

    def patch(self, version: int) -> bytes | None:
        """Return the JSON that leads from a version to the newest (all, if that version is not kept), or None."""
        if version == self.version or not self._states:
            return None
        old = self._states.get(version)
        pair = (version if old is not None else 0, self.version)
        found = self._patches.get(pair)
        if found is None:
            new = self._states[self.version]
            patch = {"full": True, **_whole(new)} if old is None else _difference(old, new)
            found = self._patches[pair] = self._encode(patch)
        return found

    def _encode(self, patch: State) -> bytes:
        return to_json({**patch, "t": self.feed.clock.rfc3339(self.feed.now)}).encode("ascii")

    async def _common(self) -> State:
        health = self.feed.health()
        shown: State = {name: health[name] for name in _HEALTH if name in health}
        age = shown.get("sample_age")
        shown["sample_age"] = None if age is None else round(age)
        shown["clients"] = self._count_clients()
        turn = (self.feed.newest_point() or {}).get("hub_lag")
        shown["longest_turn"] = None if turn is None else float(f"{turn:.3g}")
        counts, rates = self.feed.counts(), self.feed.rates()
        return {"counts": counts, "rates": rates, "health": shown, "alerts": self.alerts.counts()}

    async def _overview(self) -> State:
        state = await self._common()
        state["attention"] = self.alerts.items(state["health"])
        state["groups"] = self.feed.groups()
        state["hubs"] = [{**hub, "sample_age": round(hub["sample_age"] or 0)} for hub in self.feed.hubs()]
        state["point"] = self.feed.newest_point()
        return state

    async def _greenlets(self) -> State:
        query = self.wanted.query
        assert query is not None
        selection = await self.feed.wait_selection(query, self.feed.limits.order_age)
        await asyncio.sleep(0)
        rows, ages = {}, {}
        for row in self.feed.rows(selection.window(query.offset, query.limit)):
            id = row["id"]
            ages[id] = row.pop("age")
            rows[id] = calm(row)
        state = await self._common()
        state.update(total=selection.total, matched=selection.matched, rows=rows, order=list(rows))
        state["marks"] = self.alerts.marks(rows)
        state[_AGES] = ages
        return state

    async def _greenlet(self) -> State:
        state = await self._common()
        detail = await self.feed.wait_greenlet(self.wanted.id or 0)
        state["greenlet"] = None if detail is None else calm(detail)
        return state

    async def _group(self) -> State:
        state = await self._common()
        detail = self.feed.group(self.wanted.id or 0)
        if detail is not None:
            # the page reads these when it opens, and the members again with its rows
            del detail["series"], detail["members"]
        state["group"] = detail
        return state

    async def _findings(self) -> State:
        state = await self._common()
        state["attention"] = self.alerts.items(state["health"])
        # stacks are read by the page when it looks again
        state["findings"] = [{**row, "stack": None} for row in self.alerts.rows()]
        return state


def calm(row: dict[str, Any]) -> dict[str, Any]:
    """Round a row's durations, in place, to what a person can tell apart; return it."""
    run_time = row["run_time"]
    if run_time:
        row["run_time"] = float(f"{run_time:.3g}")
    for name in _PASSING:
        value = row[name]
        if value:
            row[name] = round(value) if value >= 10 else round(value, 1) if value >= 1 else float(f"{value:.2g}")
    return row


def _whole(state: State) -> State:
    """Return a state as a reader gets it who has nothing yet."""
    whole = {name: value for name, value in state.items() if name != _AGES}
    if _AGES in state:
        whole["rows"] = {id: {**row, "age": state[_AGES][id]} for id, row in state["rows"].items()}
    return whole


def _difference(old: State, new: State) -> State:
    """Return what a holder of `old` needs to have `new`; empty when nothing that matters changed."""
    patch: State = {}
    for name, value in new.items():
        before = old.get(name)
        if name == "rows":
            patch |= _row_changes(before or {}, value, new[_AGES])
        elif name == _AGES:
            continue
        elif name in _BY_FIELD and value is not None and before is not None:
            fields = _changed_fields(before, value)
            if fields:
                patch[name] = fields
        elif value != before:
            patch[name] = value
    return patch


def _row_changes(old: dict[str, Any], new: dict[str, Any], ages: dict[str, Any]) -> State:
    changed: dict[str, Any] = {}
    for id, row in new.items():
        breathe()
        was = old.get(id)
        if was is None:
            changed[id] = {**row, "age": ages[id]}
        elif was != row:
            fields = changed[id] = _changed_fields(was, row)
            if "ended" in fields:
                fields["age"] = ages[id]  # now it is final
    patch: State = {"rows": changed} if changed else {}
    gone = [id for id in old if id not in new]
    if gone:
        patch["gone"] = gone
    return patch


def _changed_fields(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in new.items() if old.get(name) != value and name not in _VOLATILE}
    if "ended" in fields and "age" in new:
        fields["age"] = new["age"]
    return fields
