"""Questions are read strictly: what fits is kept, what does not is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from greenscope.app.query import GreenletQuery, QueryError, Term, parse_query, parse_search


def test_query_defaults() -> None:
    assert parse_query({}) == GreenletQuery("", None, "", "id", 0, 100)


def test_query_reads_every_parameter() -> None:
    query = parse_query(QueryParams("state=failed,killed&group=3&q=a&sort=-run_time&offset=20&limit=1000"))
    assert query == GreenletQuery("failed,killed", 3, "a", "-run_time", 20, 1000)
    assert (query.field, query.descending) == ("run_time", True)


@pytest.mark.parametrize(
    ("parameters", "field", "hint"),
    [
        ({"state": "dead"}, "state", "succeeded"),
        ({"sort": "colour"}, "sort", "longest_run"),
        ({"sort": "--id"}, "sort", "longest_run"),
        ({"limit": "1001"}, "limit", "from 1 to 1000"),
        ({"limit": "0"}, "limit", "from 1 to 1000"),
        ({"limit": "ten"}, "limit", "whole number"),
        ({"limit": "１０"}, "limit", "whole number"),
        ({"offset": "-1"}, "offset", "whole number"),
        ({"offset": "9" * 5000}, "offset", "whole number"),
        ({"group": "0x1"}, "group", "whole number"),
        ({"color": "1"}, "color", "parameters are"),
        ({"q": "colour:red"}, "q", "fields are"),
        ({"q": "state:dead"}, "q", "states are"),
        ({"q": 'a "b'}, "q", "quote"),
        ({"q": "name:"}, "q", "cannot be read"),
        ({"q": "x" * 1001}, "q", "longer"),
    ],
)
def test_query_error_names_field_and_what_would_be_right(parameters: dict[str, str], field: str, hint: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(parameters)
    assert caught.value.field == field
    assert hint in caught.value.message


def test_query_refuses_a_repeated_parameter() -> None:
    with pytest.raises(QueryError, match="more than once"):
        parse_query(QueryParams("state=failed&state=killed"))


def test_query_leaves_ignored_parameters_alone() -> None:
    assert parse_query({"view": "greenlets", "limit": "7"}, ignore=("view",)).limit == 7


def test_search_reads_fields_quotes_and_negation() -> None:
    assert parse_search('state:failed function:Fetch "two words" plain -file:test -"a b" name:"c d"') == (
        Term("failed", "state"),
        Term("fetch", "function"),
        Term("two words"),
        Term("plain"),
        Term("test", "file", negated=True),
        Term("a b", negated=True),
        Term("c d", "name"),
    )


def test_search_keeps_a_quoted_colon() -> None:
    assert parse_search('"http://x"') == (Term("http://x"),)


@pytest.mark.parametrize(
    ("query", "states"),
    [
        (GreenletQuery(state="live"), {"pending", "ready", "running", "waiting"}),
        (GreenletQuery(q="state:failed"), {"failed"}),
        (GreenletQuery(state="ended", q="-state:failed"), {"succeeded", "killed"}),
        (GreenletQuery(state="live", q="state:failed"), set()),
    ],
)
def test_query_states_are_those_of_state_and_search(query: GreenletQuery, states: set[str]) -> None:
    assert query.states == states


@pytest.mark.parametrize(
    ("query", "needed"),
    [
        (GreenletQuery(), False),
        (GreenletQuery(state="live", sort="-name", q="fetch"), False),
        (GreenletQuery(sort="run_time"), True),
        (GreenletQuery(state="waiting"), True),
        (GreenletQuery(q="-state:waiting"), True),
        (GreenletQuery(q="waiting:lock"), True),
        (GreenletQuery(state="failed", sort="run_time"), False),
    ],
)
def test_query_knows_when_all_must_be_sampled(query: GreenletQuery, needed: bool) -> None:
    assert query.needs_samples is needed


@given(st.text(max_size=60))
def test_search_never_fails_otherwise_than_by_query_error(text: str) -> None:
    try:
        terms = parse_search(text)
    except QueryError:
        terms = ()
    assert all(isinstance(term, Term) and term.text == term.text.lower() for term in terms)
