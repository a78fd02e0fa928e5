"""The main job on the real thing: the demo over real files, watched, killed and spawned into from a browser.

Nothing is made up here: the native runtime, the probe, the feed, the guard and the pages as a user starts them. The
tests stand in the order of a first visit; each opens what it looks at by itself.
"""

from collections.abc import Callable
from typing import Any

Visit = Callable[[Any], Any]

LIVE = '#badge[data-link="live"]'


def number(page: Any, selector: str) -> int:
    return int(page.locator(selector).first.inner_text().replace(",", ""))


def test_address_with_the_token_opens_the_overview(demo: Any, visit: Visit, context: Any, token: str) -> None:
    tab = visit(demo)
    tab.expected.append("401")  # the door is what the first request gets
    context.clear_cookies()
    page = tab.page
    page.goto(demo.url_file.read_text())
    page.wait_for_selector(LIVE)
    assert page.url == f"{demo.base}/"
    page.evaluate("window.notReloaded = true")
    row = "#group-rows tr:has-text('hash and compress')"
    before, bar = number(page, f"{row} [data-c=succeeded]"), page.get_attribute(f"{row} .slots", "aria-label")
    page.wait_for_function(
        """([before, bar]) => {
            const row = [...document.querySelectorAll('#group-rows tr')].find((tr) => tr.textContent.includes('hash'));
            const figure = (name) => Number(row.querySelector(`[data-c=${name}]`).textContent.replace(',', ''));
            window.barMoved ||= row.querySelector('.slots').getAttribute('aria-label') !== bar;
            return figure('succeeded') > before && figure('rate') > 0 && window.barMoved;
        }""",
        arg=[before, bar],
        polling=50,
    )
    figures = "() => [...document.querySelectorAll('.tile .num')].map((figure) => figure.textContent).join()"
    seen = page.evaluate(figures)
    page.wait_for_function(f"(seen) => ({figures})() !== seen", arg=seen)
    assert page.evaluate("window.notReloaded") is True
    assert token not in page.content()


def test_greenlet_is_found_looked_into_and_killed(demo: Any, visit: Visit) -> None:
    page = visit(demo).open("/greenlets")
    page.fill("#q", "state:waiting function:ask")
    page.wait_for_function(
        "() => { const rows = [...document.querySelectorAll('#rows tr')];"
        " return rows.length > 0 && rows.length <= 6 && rows.every((row) => row.textContent.includes('client')); }"
    )
    assert "function%3Aask" in page.url
    page.locator("#rows .c-state").first.click()
    page.wait_for_selector("#drawer article.detail")
    assert page.inner_text("#drawer h2").startswith("client ")
    own = page.locator("#drawer [data-part=stack] li", has_text="service.py")
    assert own.locator(".source").inner_text() != "", "the line's source stands below it"
    page.click("#drawer [data-kill]")
    page.click("#dialog [type=submit]")
    page.wait_for_selector('#dialog .outcome[data-outcome="done"]')
    page.click("#dialog [data-close]")
    page.wait_for_selector('#drawer article[data-state="killed"]')
    page.wait_for_function("() => !document.querySelector('#rows tr[aria-selected] .state:not([data-state=killed])')")


def test_spawned_greenlet_runs_and_is_followed_to_its_end(demo: Any, visit: Visit) -> None:
    page = visit(demo).open("/spawn?target=sleep")
    page.fill("#f-seconds", "1.5")
    page.click("#spawn [type=submit]")
    page.wait_for_selector('#outcome[data-outcome="done"]')
    page.wait_for_selector('#follow article[data-state="waiting"]')
    assert "sleep" in page.inner_text("#follow [data-part=waiting]")
    page.wait_for_selector('#follow article[data-state="succeeded"]')


def test_pool_is_resized_while_it_works(demo: Any, visit: Visit) -> None:
    page = visit(demo).open("/groups")
    page.locator("#group-rows tr", has_text="hash and compress").locator("[data-resize]").click()
    page.fill("#new-size", "12")
    page.click("#dialog [type=submit]")
    page.wait_for_selector('#dialog .outcome[data-outcome="done"]')
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.querySelector('#group-rows').textContent.includes('/ 12')")


def test_group_is_killed_after_saying_whom_it_hits(demo: Any, visit: Visit) -> None:
    page = visit(demo).open("/groups")
    row = page.locator("#group-rows tr", has_text="clients")
    row.locator("[data-kill-group]").click()
    page.wait_for_selector("#dialog form.kill")
    assert "members are killed" in page.inner_text("#dialog")
    page.click("#dialog [type=submit]")
    page.wait_for_selector('#dialog .outcome[data-outcome="done"]')
    page.click("#dialog [data-close]")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#group-rows tr')].find((tr) => tr.textContent.includes('clients'))"
        ".querySelector('[data-c=use]').textContent === '0'"
    )


def test_page_finds_the_demo_again_after_a_restart(demo: Any, visit: Visit) -> None:
    tab = visit(demo)
    tab.expected.append("ERR_")
    page = tab.open("/greenlets?state=live&q=client")
    epoch = page.get_attribute("body", "data-epoch")
    demo.stop()
    page.wait_for_selector('#badge[data-link="reconnecting"], #badge[data-link="stale"]')
    demo.start()
    page.wait_for_function(
        "old => document.body.dataset.epoch !== old && document.querySelector('#badge').dataset.link === 'live'",
        arg=epoch,
        timeout=20_000,
    )
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 6")
