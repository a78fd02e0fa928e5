"""The page of a group or pool: use against the size, rates, the form that spawns into it."""

from collections.abc import Callable
from typing import Any

from greenscope.app.pages.groups import make_tiles


def page_of(board: Any, path: str) -> str:
    board.dashboard.feed.tick()
    answer = board.client.get(path, headers={"accept": "text/html"})
    assert answer.status_code == 200
    return str(answer.text)


def test_pool_has_its_use_waiters_rates_and_a_chart_of_them(board: Any) -> None:
    board.dashboard.feed.tick()
    group = board.dashboard.feed.group(1)
    tiles = {tile.key: tile for tile in make_tiles(group)}
    assert list(tiles) == ["active", "waiters", "peak", "rate", "spawned", "succeeded", "failed", "killed"]
    assert (tiles["active"].value, tiles["active"].unit, tiles["active"].after) == (2, "of 4", "2 free")
    assert tiles["failed"].after == "0 /s over 10 s"
    assert all(tile.hint for tile in tiles.values())
    html = page_of(board, "/groups/1")
    for line in ("active", "waiters", "size"):
        assert f'data-line="{line}"' in html
    assert "Waiting for a slot" in html


def test_group_without_a_size_shows_nothing_of_slots(board: Any) -> None:
    id = board.probe.open_group("crowd")
    board.probe.add("work", group=id)
    board.dashboard.feed.tick()
    tiles = [tile.key for tile in make_tiles(board.dashboard.feed.group(id))]
    assert len(tiles) == 8
    assert "waiters" not in tiles
    html = page_of(board, f"/groups/{id}")
    assert "Waiting for a slot" not in html
    assert 'data-line="size"' not in html


def test_groups_form_spawns_into_this_group(board: Any) -> None:
    html = page_of(board, "/groups/1")
    assert 'id="spawn" data-target="crawl"' in html
    assert '<option value="1" selected>' in html
    assert 'href="/groups/1?target=crawl#spawn-into"' in html


def test_groups_form_is_not_offered_where_nothing_can_be_spawned(make_board: Callable[..., Any]) -> None:
    assert "spawn-into" not in page_of(make_board(control=False), "/groups/1")


def test_page_over_several_processes_tells_them_apart(board: Any) -> None:
    feed = board.dashboard.feed
    feed.several = True
    rows = feed.groups()
    feed.groups = lambda: [{**rows[0], "id": "4711-1"}]
    assert "pool of 4711" in page_of(board, "/groups")
    assert 'class="live several"' in page_of(board, "/greenlets")
    html = page_of(board, "/processes")
    assert 'data-part="processes"' in html
    assert f">{board.dashboard.health()['pid']}</a>" in html
