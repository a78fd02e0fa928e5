"""Filter, search and order are what a plain sort of everything would give, only cheaper and in steps."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed, FeedLimits
from greenscope.app.model import Site
from greenscope.app.query import ROW_FIELDS, GreenletQuery, parse_query
from greenscope.app.selection import CHUNK, Selection, fill, reach_of


class Ticker:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _feed(count: int = 40) -> Feed:
    clock = Ticker()
    probe = FakeProbe(clock=clock)
    pool = probe.open_group("pool", size=100)
    for number in range(count):
        clock.now += 0.5
        id = probe.add(
            ("fetch", "parse", "store")[number % 3],
            name=f"worker {number * 7 % count}",
            file=f"/srv/{number % 2}.py",
            group=pool if number % 4 == 0 else None,
            parent=1 if number else None,
        )
        if number % 5:
            probe.start(id, Site(f"/srv/{number % 3}.py", number, "f"))
        if number % 5 > 1:
            probe.park(id, "lock" if number % 2 else "event", f"thing {number}")
        if number % 10 == 9:
            probe.fail(id, "OSError" if number % 20 == 9 else "KeyError", "boom")
        elif number % 10 == 8:
            probe.succeed(id)
    feed = Feed(probe, clock=clock, limits=FeedLimits(order_age=0.0, survey_age=-1.0, sample_age=-1.0))
    feed.tick()
    return feed


def _plain(value: Any) -> Any:
    """Make a row's value sortable."""
    if isinstance(value, dict):
        return tuple(str(item) if not isinstance(item, int) else item for item in value.values())
    return value


FEED = _feed()
ROWS = FEED.query(GreenletQuery(limit=1000)).rows


@pytest.mark.parametrize(
    "field", ["name", "function", "created", "started", "ended", "age", "run_time", "wait_time", "switches", "line"]
)
@pytest.mark.parametrize("descending", [False, True])
def test_order_is_that_of_a_plain_sort(field: str, descending: bool) -> None:
    known = [row for row in ROWS if row[field] is not None]
    unknown = [row["id"] for row in ROWS if row[field] is None]
    known.sort(key=lambda row: int(row["id"]))
    known.sort(key=lambda row: _plain(row[field]), reverse=descending)
    found = FEED.query(GreenletQuery(sort=("-" if descending else "") + field, limit=1000)).rows
    assert [row["id"] for row in found] == [row["id"] for row in known] + unknown


@pytest.mark.parametrize("field", ROW_FIELDS)
@pytest.mark.parametrize("sign", ["", "-"])
def test_every_field_sorts_and_windows_fit_together(field: str, sign: str) -> None:
    whole = FEED.query(GreenletQuery(sort=sign + field, limit=1000))
    assert whole.total == whole.matched == len(whole.rows) == 40
    pages = [FEED.query(GreenletQuery(sort=sign + field, offset=at, limit=7)).rows for at in range(0, 42, 7)]
    assert [row["id"] for page in pages for row in page] == [row["id"] for row in whole.rows]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("fetch", lambda row: row["function"] == "fetch"),
        ("-fetch", lambda row: row["function"] != "fetch"),
        ('"worker 3"', lambda row: "worker 3" in row["name"]),
        ("WORKER file:1.py", lambda row: row["file"] == "/srv/1.py"),
        ("name:fetch", lambda row: False),
        ("state:failed", lambda row: row["state"] == "failed"),
        ("-state:live exception:oserror", lambda row: row["exception"] and row["exception"]["type"] == "OSError"),
        ("id:7", lambda row: row["id"] == "7"),
        ("group:1", lambda row: "1" in row["groups"]),
        ("waiting:lock", lambda row: row["waiting_on"] and row["waiting_on"]["kind"] == "lock"),
        ("place:2.py", lambda row: row["place"] and row["place"]["file"] == "/srv/2.py"),
        ("state:waiting function:store", lambda row: row["state"] == "waiting" and row["function"] == "store"),
    ],
)
def test_search_finds_what_its_words_mean(q: str, expected: Any) -> None:
    found = FEED.query(parse_query({"q": q, "limit": "1000"}))
    assert [row["id"] for row in found.rows] == [row["id"] for row in ROWS if expected(row)]
    assert found.matched == len(found.rows)


@pytest.mark.parametrize("state", ["pending", "waiting", "failed", "live", "ended", "running,succeeded"])
def test_state_filter(state: str) -> None:
    query = parse_query({"state": state, "limit": "1000"})
    found = FEED.query(query)
    assert [row["id"] for row in found.rows] == [row["id"] for row in ROWS if row["state"] in query.states]


def test_group_filter_knows_the_living_and_the_ended() -> None:
    found = FEED.query(GreenletQuery(group=1, limit=1000))
    assert [row["id"] for row in found.rows] == [row["id"] for row in ROWS if "1" in row["groups"]]
    assert {"failed", "succeeded"} & {row["state"] for row in found.rows}
    assert FEED.query(GreenletQuery(group=99)).matched == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3 * CHUNK), st.sampled_from(["name", "-name", "line", "-line", "id", "-created"]))
def test_deep_windows_are_those_of_the_whole_order(offset: int, sort: str) -> None:
    query = GreenletQuery(sort=sort, offset=offset, limit=10)
    shallow = BIG.query(query)
    rows = sorted(BIG_ROWS, key=lambda row: int(row["id"]))
    rows.sort(key=lambda row: int(row["id"]) if query.field == "id" else row[query.field], reverse=query.descending)
    assert [row["id"] for row in shallow.rows] == [row["id"] for row in rows[offset : offset + 10]]


def _big() -> Feed:
    probe = FakeProbe(clock=lambda: 100.0)
    for number in range(3 * CHUNK):
        probe.add(name=f"worker {number * 7919 % (3 * CHUNK)}", line=number % 13)
    feed = Feed(probe, clock=lambda: 100.0)
    feed.tick()
    return feed


BIG = _big()
BIG_ROWS = [row for at in range(0, 3 * CHUNK, 1000) for row in BIG.query(GreenletQuery(offset=at, limit=1000)).rows]


@pytest.mark.parametrize("sort", ["name", "-name"])
def test_few_matches_are_found_in_every_chunk(sort: str) -> None:
    found = BIG.query(GreenletQuery(q='"worker 59"', sort=sort, limit=1000))
    names = sorted((row["name"] for row in BIG_ROWS if "worker 59" in row["name"]), reverse=sort == "-name")
    assert [row["name"] for row in found.rows] == names
    assert len(names) == found.matched == 111


@given(st.lists(st.none() | st.integers(1, 5), min_size=1, max_size=60), st.integers(1, 9), st.booleans())
def test_best_of_many_chunks_are_those_of_a_plain_sort(parents: list[int | None], reach: int, descending: bool) -> None:
    probe = FakeProbe(clock=lambda: 100.0)
    ids = [probe.add(parent=parent) for parent in parents]
    feed = Feed(probe, clock=lambda: 100.0)
    feed.tick()
    population, selection = feed.population, Selection(reach)
    query = GreenletQuery(sort="-parent" if descending else "parent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("greenscope.app.selection.CHUNK", 10)
        for _ in fill(selection, query, population.lives, population.finished, population.bands, 100.0):
            pass
    known = sorted((id for id in ids if parents[id - 1]), key=lambda id: parents[id - 1] or 0, reverse=descending)
    unknown = [id for id in ids if not parents[id - 1]]
    assert selection.ids == [*known, *unknown][:reach]
    assert selection.matched == len(ids)


def test_work_is_done_in_steps() -> None:
    population = BIG.population
    query = GreenletQuery(sort="name")
    selection = Selection(reach_of(query))
    steps = sum(1 for _ in fill(selection, query, population.lives, population.finished, population.bands, 100.0))
    assert steps >= 3
    assert (selection.matched, len(selection.ids)) == (3 * CHUNK, 500)
