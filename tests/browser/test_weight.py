"""What a page weighs on the wire, and how soon something of it is seen."""

from typing import Any

import pytest

PAGES = (
    "/",
    "/findings",
    "/greenlets",
    "/greenlets/2",
    "/groups",
    "/groups/1",
    "/stacks",
    "/waits",
    "/tree",
    "/tail",
    "/spawn",
    "/audit",
)
#: bytes, the charts' data not counted
MOST = 150_000
#: milliseconds to the first paint with something in it, on loopback
SOON = 300


@pytest.mark.parametrize("path", PAGES)
def test_page_weighs_little(tab: Any, path: str) -> None:
    page = tab.open(path)
    weights = page.evaluate(
        """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .filter((entry) => !entry.name.includes("/events") && !entry.name.includes("/api/"))
            .map((entry) => [entry.name, entry.encodedBodySize])"""
    )
    charts = page.evaluate("[...document.querySelectorAll('[data-series]')].map((box) => box.dataset.series).join('')")
    assert len(weights) > 5
    assert sum(weight for _, weight in weights) - len(charts) < MOST, weights


def test_first_paint_comes_soon(tab: Any) -> None:
    paints = []
    for _ in range(5):
        page = tab.open("/")
        paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Infinity"))
    assert min(paints) < SOON, paints
