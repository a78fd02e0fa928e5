"""The greenlets table and one greenlet as the server draws them."""

import re
from typing import Any

import pytest

from greenscope.app.pages.columns import COLUMNS, DEFAULT, choose_columns
from greenscope.app.pages.detail import is_library, seconds_between
from greenscope.app.query import ROW_FIELDS


def page_of(board: Any, path: str, status: int = 200) -> str:
    board.dashboard.feed.tick()
    answer = board.client.get(path, headers={"accept": "text/html"})
    assert answer.status_code == status, answer.text
    return str(answer.text)


def ids(html: str) -> list[str]:
    return re.findall(r'<tr data-id="(\d+)"', html)


def test_table_filters_sorts_and_pages(board: Any) -> None:
    assert ids(page_of(board, "/greenlets")) == ["1", "2", "3", "4"]
    assert ids(page_of(board, "/greenlets?state=failed")) == ["4"]
    assert ids(page_of(board, "/greenlets?q=fetch&sort=-id")) == ["3", "2"]
    html = page_of(board, "/greenlets?limit=1&offset=1")
    assert ids(html) == ["2"]
    assert "2–2 of 4" in html
    assert 'href="/greenlets?limit=1"' in html
    assert 'href="/greenlets?offset=2&amp;limit=1"' in html


def test_table_says_what_is_wrong_with_a_query(board: Any) -> None:
    html = page_of(board, "/greenlets?q=colour:green", 422)
    assert "knows no field" in html
    assert 'aria-invalid="true"' in html
    assert 'value="colour:green"' in html


def test_address_carries_everything_through_links(board: Any) -> None:
    html = page_of(board, "/greenlets?state=live&q=fetch&sort=-age&columns=id.name.age")
    assert 'href="/greenlets?state=live&amp;q=fetch&amp;sort=age&amp;columns=id.name.age"' in html
    assert 'href="/greenlets?state=live&amp;q=fetch&amp;sort=-age&amp;open=2&amp;columns=id.name.age"' in html
    assert 'aria-sort="descending"' in html
    assert "/api/greenlets?state=live&amp;q=fetch&amp;sort=-age&amp;format=csv" in html


def test_drawer_is_drawn_by_the_server_too(board: Any) -> None:
    html = page_of(board, "/greenlets?open=2")
    assert 'class="split open"' in html
    assert 'data-greenlet="2"' in html
    assert "socket.recv" in html


def test_failed_greenlet_shows_its_exception(board: Any) -> None:
    html = page_of(board, "/greenlets/4")
    assert "ValueError: bad &lt;b&gt;html&lt;/b&gt;" in html
    assert "Not alive any more" in html


def test_fragment_is_a_part_and_a_young_one_is_awaited(board: Any) -> None:
    html = page_of(board, "/greenlets/2?fragment=1&close=/greenlets?state=live")
    assert "<html" not in html
    assert 'id="close" href="/greenlets?state=live"' in html
    assert 'href="//evil.example/"' not in page_of(board, "/greenlets/2?fragment=1&close=//evil.example/")
    page_of(board, "/greenlets/4711?fragment=1", 404)
    assert page_of(board, "/greenlets/4711?fragment=1&young=1", 202) == ""


def test_kill_preview_says_what_will_happen(board: Any) -> None:
    parked = page_of(board, "/greenlets/2/kill")
    assert "It waits for socket.recv 10.0.0.1:80" in parked
    assert "It leaves workers." in parked
    assert "3 children go on" in page_of(board, "/greenlets/1/kill")
    ended = page_of(board, "/greenlets/4/kill")
    assert "It has ended already: failed." in ended
    assert "disabled" in ended
    assert board.records() == [], "asking does nothing"


def test_group_kill_preview_counts_members(board: Any) -> None:
    html = page_of(board, "/groups/1/kill")
    assert "2 members are killed" in html
    assert "The pool itself stays" in html


def test_sortable_columns_name_fields_of_a_row() -> None:
    assert {column.sort for column in COLUMNS if column.sort} <= set(ROW_FIELDS)


@pytest.mark.parametrize(
    ("asked", "remembered", "keys"),
    [
        (None, None, DEFAULT),
        ("age.id", None, ("id", "name", "age")),
        (None, "state", ("state", "name")),
        ("nonsense", "state", ("state", "name")),
        ("nonsense", "<x>", DEFAULT),
    ],
)
def test_columns_are_chosen_in_the_tables_own_order(
    asked: str | None, remembered: str | None, keys: tuple[str]
) -> None:
    assert tuple(column.key for column in choose_columns(asked, remembered)) == tuple(keys)


def test_seconds_between_moments_is_never_negative() -> None:
    assert seconds_between("2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.500Z") == 60.5
    assert seconds_between("2026-01-01T00:01:00.000Z", "2026-01-01T00:00:00.000Z") == 0.0
    assert seconds_between(None, "2026-01-01T00:00:00.000Z") is None


def test_library_frames_are_told_from_the_programs_own() -> None:
    assert is_library(re.__file__)
    assert is_library("/x/site-packages/flask/app.py")
    assert is_library("<frozen codecs>")
    assert not is_library("/srv/app/main.py")
