"""The overview: a hub's native threads and its resolver, where it has them."""

from dataclasses import replace
from typing import Any

from greenscope.app.model import HubSample, ThreadPoolSample


def page_of(board: Any, **changes: Any) -> str:
    seen: list[HubSample] = board.probe.hubs()
    board.probe.hubs = lambda: [replace(hub, **changes) for hub in seen]
    board.dashboard.feed.tick()
    answer = board.client.get("/", headers={"accept": "text/html"})
    assert answer.status_code == 200
    return str(answer.text)


def test_native_threads_are_shown_and_live(board: Any) -> None:
    html = page_of(board, threadpool=ThreadPoolSample(3, 10, 2, 5), resolver="thread", lookups=4)
    shown = {"threadpool.size": 3, "threadpool.max": 10, "threadpool.busy": 2, "threadpool.queued": 5}
    for path, value in (shown | {"resolver.lookups": 4}).items():
        assert f'data-v="hubs.0.{path}"' in html
        assert f">{value}</span>" in html.partition(f'data-v="hubs.0.{path}"')[2][:60]
    hub = board.client.get("/api/health").json()["hubs"][0]
    assert hub["threadpool"] == {"size": 3, "max": 10, "busy": 2, "queued": 5}
    assert hub["resolver"] == {"kind": "thread", "lookups": 4}


def test_resolver_that_does_not_tell_its_look_ups_says_so(board: Any) -> None:
    html = page_of(board, resolver="ares")
    assert ">ares</td>" in html
    assert "not told" in html


def test_hubs_without_native_threads_take_no_room(board: Any) -> None:
    assert "Native threads" not in page_of(board)
