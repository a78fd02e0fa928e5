"""The overview: opens, moves without reload, tells what is wrong first."""

from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]
Visit = Callable[[Any], Any]


def test_overview_counts_move_without_reload(tab: Any) -> None:
    page = tab.open("/")
    page.evaluate("window.notReloaded = true")
    before = page.inner_text('[data-v="counts.failed"]'), page.inner_text('[data-c="succeeded"] >> nth=0')
    page.wait_for_function(
        """([failed, done]) => document.querySelector('[data-v="counts.failed"]').textContent !== failed
           || document.querySelector('[data-c="succeeded"]').textContent !== done""",
        arg=list(before),
    )
    assert page.evaluate("window.notReloaded") is True


def test_overview_uses_one_event_source(tab: Any) -> None:
    tab.page.add_init_script(
        "const Real = EventSource; window.opened = 0;"
        "window.EventSource = class extends Real { constructor(url) { super(url); window.opened += 1; } };"
    )
    page = tab.open("/")
    page.wait_for_timeout(700)
    assert page.evaluate("window.opened") == 1


def test_overview_does_not_shift_while_figures_change(tab: Any) -> None:
    page = tab.open("/")
    page.wait_for_timeout(500)
    page.evaluate(
        "window.shift = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries())"
        " if (!entry.hadRecentInput) window.shift += entry.value; }).observe({ type: 'layout-shift' })"
    )
    page.wait_for_timeout(2500)
    assert page.evaluate("window.shift") < 0.001


def test_overview_tells_what_is_wrong_first(start_observed: Start, visit: Visit) -> None:
    page = visit(start_observed("--broken", "--still")).open("/")
    page.wait_for_selector("#attention li[data-severity=critical]")
    first = page.locator("#attention li").first
    assert first.get_attribute("data-severity") == "critical"
    assert "has held the hub of hub for 3.2 s" in first.inner_text()
    page.wait_for_selector("#attention li:has-text('1,204 events came faster than they could be kept')")
    first.locator("a").click()
    page.wait_for_selector(".finding:target")
    assert "has held the hub" in page.inner_text(".finding:target h3")
    page.go_back()
    assert page.get_attribute("#lag", "data-level") == "bad"


def test_overview_of_nothing_teaches(start_observed: Start, visit: Visit) -> None:
    page = visit(start_observed("--empty")).open("/")
    assert "Nothing is wrong" in page.inner_text("#attention")
    assert "No pools yet" in page.inner_text("#no-groups")


def test_overview_charts_draw_in_both_themes(tab: Any) -> None:
    page = tab.open("/")
    assert page.locator(".chart canvas").count() == 4
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(300)
    assert page.locator(".chart canvas").count() == 4
    page.click('[data-range="60"]')
    assert page.get_attribute('[data-range="60"]', "aria-pressed") == "true"
    page.click('[data-line="failed"]')
    assert page.get_attribute('[data-line="failed"]', "aria-pressed") == "false"


def test_group_bar_and_resize_report_what_was_seen(start_observed: Start, visit: Visit) -> None:
    tab = visit(start_observed("--still"))
    tab.expected.append("422")
    page = tab.open("/groups")
    row = page.locator("#group-rows tr", has_text="hashers")
    assert "of 8 slots taken" in (row.locator(".slots").get_attribute("aria-label") or "")
    row.locator("[data-resize]").click()
    page.fill("#new-size", "0")
    page.click("dialog [type=submit]")
    page.wait_for_selector('dialog .outcome[data-outcome="fault"]')
    assert page.get_attribute("#new-size", "aria-invalid") == "true"
    page.fill("#new-size", "12")
    page.click("dialog [type=submit]")
    page.wait_for_selector('dialog .outcome[data-outcome="done"]')
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.querySelector('#group-rows').textContent.includes('/ 12')")
