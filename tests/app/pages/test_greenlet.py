"""One greenlet: which frame to look at, what it holds, what a kill of it would do."""

from typing import Any

from greenscope.app.pages.detail import present_frames


def frame(file: str) -> dict[str, Any]:
    return {"file": file, "line": 1, "function": "f"}


def test_present_frames_marks_the_innermost_line_of_ones_own() -> None:
    own, other = frame("/srv/app/a.py"), frame("/srv/app/b.py")
    library = frame("/usr/lib/python3/site-packages/x/y.py")
    assert [one["here"] for one in present_frames([own, other, library])] == [False, True, False]
    assert [one["here"] for one in present_frames([library, library])] == [False, True]
    assert [one["here"] for one in present_frames([own])] == [False], "a single frame needs no mark"
    assert present_frames([]) == []


def test_what_a_greenlet_holds_stands_in_its_details_and_before_its_kill(board: Any) -> None:
    probe = board.probe
    holder = probe.add("hold")
    probe.start(holder)
    for _ in range(3):
        waiter = probe.add("want")
        probe.start(waiter)
        probe.park(waiter, "semaphore", "of the cache", owner=holder)
    board.dashboard.feed.tick()
    detail = board.get(f"/api/greenlets/{holder}")
    assert detail["holds"] == [{"kind": "semaphore", "name": "of the cache", "waiters": 3}]
    text = board.client.get(f"/greenlets/{holder}").text
    assert "It holds <b>semaphore</b>" in text
    question = board.client.get(f"/greenlets/{holder}/kill").text
    assert "It holds 1 thing that others want: semaphore of the cache." in question
    assert "3 wait for it or for what it holds" in question
    assert board.get(f"/api/greenlets/{waiter}")["holds"] == []
