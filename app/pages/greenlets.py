"""The greenlets table: filter, search, order and window by the server, everything in the address, a drawer for one."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.attention import alerts_of
from greenscope.app.formatting import ident, parse_ident
from greenscope.app.model import STATES
from greenscope.app.pages.columns import COLUMNS, COOKIE, Column, choose_columns
from greenscope.app.pages.detail import present
from greenscope.app.pages.filters import count
from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import address, base_of, render
from greenscope.app.pages.weight import DETAIL_ROOM, ROOM, Room, fit_names
from greenscope.app.query import GreenletQuery, QueryError, parse_query

#: parameters of the page itself, beside those of the query
OWN = ("open", "columns")
_LIVE = ("pending", "ready", "running", "waiting")
_CHIPS = (("", "all"), ("live", "live"), *((state, state) for state in STATES))


class Links:
    """Addresses of this table with something changed: all that is asked stays in them."""

    def __init__(self, request: Request, query: GreenletQuery) -> None:
        self.base = base_of(request)
        self.path = f"{self.base}/greenlets"
        self.query = query
        self.columns = request.query_params.get("columns", "")

    def fields(self, **changes: object) -> dict[str, object]:
        """Return the parameters of this table with some changed; defaults are left out."""
        query = self.query
        fields: dict[str, object] = {
            "state": query.state,
            "group": ident(query.group),
            "q": query.q,
            "sort": "" if query.sort == "id" else query.sort,
            "offset": query.offset,
            "limit": None if query.limit == 100 else query.limit,
        }
        return {**fields, **changes}

    def to(self, **changes: object) -> str:
        """Return the address of this table with something changed."""
        return address(self.path, **self.fields(**changes), columns=self.columns)

    def sort(self, column: Column) -> str:
        """Return where a column's head leads: a number's first click shows the greatest first."""
        ordered = {column.sort: f"-{column.sort}", f"-{column.sort}": column.sort}
        first = f"-{column.sort}" if column.numeric else column.sort
        return self.to(sort=ordered.get(self.query.sort, first), offset=0)

    def open(self, id: str) -> str:
        """Return the address with one greenlet's drawer open."""
        return self.to(open=id)


def read_query(parameters: Mapping[str, str]) -> tuple[GreenletQuery, QueryError | None]:
    """Read the query; for one that makes no sense return the default and what is wrong."""
    try:
        return parse_query(parameters, ignore=OWN), None
    except QueryError as error:
        return GreenletQuery(), error


def headline(counts: Mapping[str, int]) -> str:
    """Say how many there are: `Greenlets 1,204: 3 running, 40 ready, 1,161 waiting`."""
    parts = ", ".join(f"{count(counts.get(state, 0))} {state}" for state in ("running", "ready", "waiting"))
    return f"Greenlets {count(sum(counts.get(state, 0) for state in _LIVE))}: {parts}"


def make_chips(
    counts: Mapping[str, int], total: int, query: GreenletQuery, links: Links
) -> Sequence[Mapping[str, Any]]:
    """Describe the state filters with their counts."""
    sums = {
        **counts,
        "live": sum(counts.get(state, 0) for state in _LIVE),
        "": total,
    }
    return [
        {
            "state": state,
            "title": title,
            "count": sums.get(state, 0),
            "current": query.state == state,
            "link": links.to(state=state, offset=0),
        }
        for state, title in _CHIPS
    ]


def window(query: GreenletQuery, matched: int, shown: int) -> str:
    """Say which rows are shown: `101–200 of 1,204`."""
    if not matched:
        return "0 of 0"
    last = min(query.offset + shown, matched)
    return f"{count(min(query.offset + 1, last))}–{count(last)} of {count(matched)}"


async def greenlets(request: Request) -> Response:
    """Answer `/greenlets`."""
    feed = request.app.state.dashboard.feed
    query, fault = read_query(request.query_params)
    result = await feed.wait_query(query)
    links = Links(request, query)
    opened = request.query_params.get("open", "")
    chosen = parse_ident(opened)
    found = None if chosen is None else await feed.wait_greenlet(chosen)
    counts, groups = feed.counts(), feed.groups()
    names = {group["id"]: group["name"] or f"{group['kind']} {group['id']}" for group in groups}
    return render(
        request,
        "greenlets.html",
        PAGE,
        status=200 if fault is None else 422,
        asked={"q": request.query_params.get("q", "")[:1000], "group": ident(query.group)},
        query={name: getattr(query, name) for name in ("state", "q", "sort", "offset", "limit")}
        | {"group": ident(query.group) or ""},
        fault=fault,
        result=result,
        several=feed.several,
        marks=alerts_of(feed).marks(row["id"] for row in result.rows),
        headline=headline(counts),
        chips=make_chips(counts, result.total, query, links),
        columns=choose_columns(request.query_params.get("columns"), request.cookies.get(COOKIE), feed.several),
        all_columns=COLUMNS,
        group_names=names,
        named_groups=fit_names(names, (id for row in result.rows for id in row["groups"])),
        group_name=names.get(ident(query.group) or "", f"group {ident(query.group)}"),
        hidden_fields=[(name, value) for name, value in links.fields(offset=None).items() if value],
        without_group=links.to(group=None, offset=0),
        sort_link=links.sort,
        open_link=links.open,
        close_link=links.to(),
        all_states_link=links.to(state=None, offset=0),
        window=partial(window, query, result.matched),
        earlier=links.to(offset=max(0, query.offset - query.limit)) if query.offset else "",
        later=lambda shown: links.to(offset=query.offset + shown) if query.offset + shown < result.matched else "",
        json_link=address(f"{links.base}/api/greenlets", **links.fields(), format="json"),
        csv_link=address(f"{links.base}/api/greenlets", **links.fields(), format="csv"),
        opened=opened,
        detail=None if found is None else present(found),
        room=Room(DETAIL_ROOM),
        rows_room=Room(ROOM),
        in_drawer=True,
    )


PAGE = Page(
    "/greenlets", "greenlets", "Greenlets", greenlets, menu=True, icon="list", key="l", menu_query="?state=live"
)
