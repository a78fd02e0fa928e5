"""What is wrong, first: the open findings in order, whom they name, and one look a second for all who ask."""

from typing import Any

from greenscope.app.attention import KEEP, alerts_of, count_open, find_attention, in_words, named_by
from greenscope.app.backends.fake import FakeProbe
from greenscope.app.feed import Feed


def finding(id: str, severity: str = "warning", state: str = "open", **facts: Any) -> dict[str, Any]:
    return {
        "id": id,
        "severity": severity,
        "state": state,
        "summary": f"{id} is wrong",
        "hint": "do something",
        "greenlet": None,
        **facts,
    }


class Ticker:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Wrong(Feed):
    """A feed in which what is said is wrong."""

    said: list[dict[str, Any]] = []
    asked = 0

    def findings(self) -> list[dict[str, Any]]:
        self.asked += 1
        return self.said


def test_worst_comes_first_and_what_is_over_not_at_all() -> None:
    rows = [finding("a", "info"), finding("b"), finding("c", "critical"), finding("d"), finding("e", state="resolved")]
    items = find_attention(rows, {"sample_age": 0.2})
    assert [item["link"] for item in items] == [f"/findings?stack={id}#{id}" for id in "cbda"]
    assert items[0] == {
        "severity": "critical",
        "summary": "c is wrong",
        "hint": "do something",
        "link": "/findings?stack=c#c",
    }
    assert count_open(rows) == {"info": 1, "warning": 2, "critical": 1}
    assert in_words(items) == "1 critical, 2 warnings, 1 note"
    assert in_words([]) == ""


def test_old_sample_is_told_because_no_check_can() -> None:
    (item,) = find_attention([], {"sample_age": 9.0})
    assert (item["severity"], item["summary"]) == ("warning", "No sample for 9.0 s")
    assert find_attention([], {"sample_age": None}) == find_attention([], {"sample_age": 4.9}) == []


def test_finding_names_its_greenlet_and_those_of_its_facts() -> None:
    assert named_by(finding("a", greenlet="7", ids=["7", "9"])) == ["7", "7", "9"]
    assert named_by(finding("a", members=[{"id": "3", "name": "x"}, {"id": "4", "name": "y"}])) == ["3", "4"]
    assert named_by(finding("a")) == []


def test_alerts_are_asked_for_once_a_second_by_all_together() -> None:
    clock = Ticker()
    feed = Wrong(FakeProbe(clock=clock), clock=clock)
    feed.said = [finding("a", "critical", greenlet="7"), finding("b", greenlet="7"), finding("c", "info", greenlet="8")]
    first, second = alerts_of(feed), alerts_of(feed)
    assert first is second
    mark = {"severity": "critical", "summary": "a is wrong", "finding": "a"}
    assert first.marks(["6", "7", "8"]) == {"7": mark}
    assert first.counts()["critical"] == 1
    assert len(first.items({})) == 3
    assert feed.asked == 1
    clock.now += KEEP
    feed.said = []
    assert first.marks(["7"]) == {}
    assert feed.asked == 2
