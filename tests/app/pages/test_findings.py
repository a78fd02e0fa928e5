"""The findings' page over many findings: it stays light, and each stack can be read."""

import re
from typing import Any

from greenscope.app.attention import link_to

FRAME = {"file": "/srv/crawl.py", "line": 3, "function": "fetch", "source": "time.sleep(1)"}


def said(number: int) -> dict[str, Any]:
    return {
        "id": f"blocked-{number}",
        "severity": "warning",
        "worst_severity": "warning",
        "state": "open",
        "kind": "blocked",
        "summary": f"line {number} blocks",
        "hint": "",
        "greenlet": None,
        "greenlets": [],
        "group": None,
        "culprit": FRAME,
        "count": 1,
        "first": "2026-01-01T00:00:00Z",
        "last": "2026-01-01T00:00:00Z",
        "resolved": None,
        "stack": [FRAME] * 30,
    }


def page_of(board: Any, path: str) -> str:
    board.dashboard.feed.tick()
    return str(board.client.get(path, headers={"accept": "text/html"}).text)


def article_of(html: str, id: str) -> str:
    assert html.count(f'id="{id}"') == 1
    article = html[html.index(f'id="{id}"') :]
    return article[: article.index("</article>")]


def test_page_carries_the_stacks_of_the_first_and_leads_to_the_others(board: Any) -> None:
    board.dashboard.feed.findings = lambda: [said(number) for number in range(20)]
    html = page_of(board, "/findings")
    assert html.count("<article") == 20
    assert "<details>" in article_of(html, "blocked-0")
    link = re.search(r'href="([^"]*)#blocked-19">Stack of 30 frames', html)
    assert link is not None
    html = page_of(board, link[1])
    assert html.count("<article") == 20
    assert "<details open>" in article_of(html, "blocked-19")


def test_finding_that_is_asked_for_is_there_among_many(board: Any) -> None:
    board.dashboard.feed.findings = lambda: [said(number) for number in range(300)]
    html = page_of(board, "/findings")
    assert 20 < html.count("<article") < 100
    assert "blocked-299" not in html
    assert "<details open>" in article_of(page_of(board, link_to("blocked-299").split("#")[0]), "blocked-299")
    first = page_of(board, link_to("blocked-0").split("#")[0])
    assert "<details open>" in article_of(first, "blocked-0")
