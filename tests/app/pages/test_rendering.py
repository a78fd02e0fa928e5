"""Every page, rendered in this process over the scripted probe: what a reader without a script gets."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette

from greenscope.app.pages import PAGES

PATHS = (
    "/",
    "/greenlets",
    "/greenlets/1",
    "/greenlets/4",
    "/groups",
    "/groups/1",
    "/tail",
    "/findings",
    "/stacks",
    "/waits",
    "/tree",
    "/spawn",
    "/audit",
    "/login",
)


def page_of(board: Any, path: str, status: int = 200, **options: Any) -> str:
    board.dashboard.feed.tick()
    answer = board.client.get(path, headers={"accept": "text/html"}, **options)
    assert answer.status_code == status, answer.text
    return str(answer.text)


@pytest.mark.parametrize("path", PATHS)
def test_page_is_whole_and_has_no_inline_script_or_style(board: Any, path: str) -> None:
    html = page_of(board, path)
    assert html.startswith("<!doctype html>")
    assert html.rstrip().endswith("</html>")
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", html)
    assert len(re.findall(r"<h1[ >]", html)) == 1


@pytest.mark.parametrize("path", PATHS)
def test_page_stays_below_its_mount_point(board: Any, path: str) -> None:
    host = Starlette()
    host.mount("/inner/scope", board.app)
    client = type(board.client)(host)
    board.dashboard.feed.tick()
    html = client.get(f"/inner/scope{path}").text
    client.close()
    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', html)
    assert links
    assert [link for link in links if not link.startswith("/inner/scope/")] == []
    assert 'data-base="/inner/scope"' in html


def test_pages_have_paths_and_names_of_their_own() -> None:
    assert len({page.path for page in PAGES}) == len({page.name for page in PAGES}) == len(PAGES)
    menu = [page for page in PAGES if page.menu]
    assert len({page.key for page in menu}) == len(menu)
    assert all(page.icon and page.key for page in menu)


def test_hostile_text_is_escaped_everywhere(make_board: Callable[..., Any]) -> None:
    board = make_board(name="<i>prog</i>")
    probe = board.probe
    group = probe.open_group("<i>pool</i>", 2)
    id = probe.add('<img src=x onerror="alert(1)">', name="'\"><script>alert(1)</script>", group=group)
    probe.start(id)
    probe.park(id, "<u>kind</u>", "'<u>name</u>")
    for path in (
        "/",
        f"/greenlets?open={id}",
        f"/greenlets/{id}",
        f"/greenlets/{id}/kill",
        "/groups",
        f"/groups/{group}",
        "/tail",
    ):
        html = page_of(board, path)
        assert not re.search(r"<(img|i|u)[ >]|<script>", html), path


def test_controls_are_offered_only_when_control_is_on(make_board: Callable[..., Any]) -> None:
    for control in (True, False):
        board = make_board(control=control)
        for path in ("/", "/greenlets?open=2", "/greenlets/2", "/groups/1"):
            assert ("data-kill" in page_of(board, path)) is control, path
        assert ("Read-only" in page_of(board, "/spawn")) is not control


def test_probe_without_a_capability_is_told_honestly(make_board: Callable[..., Any]) -> None:
    from greenscope.app.backends.fake import FakeProbe

    probe = FakeProbe(capabilities=frozenset({"events", "groups"}))
    board = make_board(probe=probe)
    html = page_of(board, "/greenlets/2")
    assert "data-kill" not in html
    assert probe.missing("stacks") in html


def test_unknown_pages_are_pages(board: Any) -> None:
    for path in (
        "/nowhere",
        "/greenlets/99999",
        "/greenlets/x",
        "/groups/99999",
        "/greenlets/0/kill",
        "/groups/x/kill",
    ):
        html = page_of(board, path, 404)
        assert "<h1>" in html, path


def test_chosen_theme_and_rate_are_there_at_the_first_paint(board: Any) -> None:
    board.client.headers["cookie"] = "greenscope_theme=dark; greenscope_rate=2"
    html = page_of(board, "/")
    assert '<html lang="en" data-theme="dark">' in html
    assert '<option value="2" selected>' in html
    board.client.headers["cookie"] = "greenscope_theme=<x>; greenscope_rate=9"
    assert '<html lang="en">' in page_of(board, "/")


@pytest.mark.parametrize("path", ["/", "/audit", "/greenlets"])
def test_strip_carries_the_turns_of_the_last_seconds(board: Any, path: str) -> None:
    series = board.dashboard.feed._series
    for second in range(100):
        series.add(float(second), {"hub_lag": second / 1000})
    html = page_of(board, path)
    turns = re.search(r"data-turns='(\[[^']*\])'", html)
    assert turns is not None
    assert json.loads(turns[1]) == [second / 1000 for second in range(28, 100)]


@pytest.mark.parametrize("severity", ["info", "warning"])
def test_overview_is_calm_while_there_are_only_notes(board: Any, severity: str) -> None:
    said = {"severity": severity, "state": "open", "summary": "look here", "hint": "", "id": "x", "greenlet": None}
    board.dashboard.feed.findings = lambda: [said]
    html = page_of(board, "/")
    assert "look here" in html
    assert ("Nothing is wrong" in html) is (severity == "info")
    assert (">1 note<" in html) is (severity == "info")


def test_door_tells_nothing_of_the_program(board: Any) -> None:
    del board.client.headers["authorization"]
    html = page_of(board, "/greenlets", 401)
    assert "needs its token" in html
    assert "crawler" not in html
