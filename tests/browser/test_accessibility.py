"""Everybody can use the pages: axe finds nothing in either theme, and nothing scrolls sideways on a phone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

AXE = Path(__file__).with_name("vendor") / "axe-core-4.14.1.min.js"
PAGES = (
    "/",
    "/greenlets?state=live",
    "/greenlets?state=failed&open=2",
    "/greenlets/2",
    "/groups",
    "/groups/1",
    "/tail",
    "/findings",
    "/stacks",
    "/waits",
    "/tree",
    "/spawn",
    "/audit",
    "/processes",
    "/greenlets/987654321",
)


def violations(page: Any) -> list[str]:
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    return [f"{each['id']}: {[node['html'][:140] for node in each['nodes'][:3]]}" for each in found]


@pytest.mark.parametrize("path", PAGES)
def test_page_has_no_axe_violations_and_fits_a_phone(tab: Any, path: str) -> None:
    tab.expected += ["404", "CSP: style-src"]  # axe itself tries inline styles
    page = tab.page
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(tab.observed.base + path, wait_until="domcontentloaded")
    if "987654321" not in path:
        page.wait_for_selector('#badge[data-link="live"]')
    assert violations(page) == [], "light"
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert violations(page) == [], "dark"
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_door_and_dialog_have_no_axe_violations(tab: Any, chromium: Any, theme: str) -> None:
    tab.expected += ["CSP: style-src"]
    context = chromium.new_context(color_scheme=theme)
    door = context.new_page()
    door.goto(tab.observed.base + "/greenlets")
    door.wait_for_selector("#login")
    assert violations(door) == []
    context.close()
    tab.page.emulate_media(color_scheme=theme)
    page = tab.open("/greenlets/2")
    page.click("[data-kill]")
    page.wait_for_selector("#dialog form")
    assert violations(page) == []


def test_broken_page_does_not_scroll_sideways_on_a_phone(
    start_observed: Callable[..., Any], visit: Callable[[Any], Any]
) -> None:
    tab = visit(start_observed("--broken", "--hostile", "--still"))
    tab.page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/", "/greenlets?limit=500", "/tail", "/findings", "/stacks", "/waits", "/tree"):
        page = tab.open(path)
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, path
