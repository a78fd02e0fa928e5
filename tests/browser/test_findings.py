"""Findings and the pages of structure: drawn by the server, kept up to date without losing what is unfolded."""

from typing import Any

import pytest

from tests.patience import wait_for


def test_findings_come_to_an_open_page_and_stay_unfolded(tab: Any) -> None:
    page = tab.open("/findings")
    page.wait_for_selector(".finding[data-severity=warning]")
    page.evaluate("window.notReloaded = true")
    finding = page.locator(".finding", has=page.locator("details")).first
    name = finding.get_attribute("id")
    finding.locator("summary").click()
    assert finding.locator(".stack li").first.is_visible()
    assert ":" in (finding.locator("[data-copy]").first.get_attribute("data-copy") or "")
    text = "() => document.querySelector('main').innerText"
    before = page.evaluate(text)
    page.wait_for_function(f"(before) => ({text})() !== before", arg=before)
    assert page.locator(f"#{name} details[open]").count() == 1
    assert page.evaluate("window.notReloaded") is True
    finding.locator(".line-facts a").first.click()
    page.wait_for_selector("article.detail")


def test_row_that_a_finding_names_is_marked_and_leads_there(tab: Any) -> None:
    page = tab.open("/greenlets?state=failed&sort=-ended")
    page.wait_for_selector("#rows .mark")
    mark = page.locator("#rows .mark").first
    assert mark.get_attribute("aria-label").startswith("warning: ")
    mark.click()
    page.wait_for_selector(".finding:target")


def test_overview_says_what_the_server_says(chromium: Any, tab: Any, token: str) -> None:
    page = tab.open("/")
    page.evaluate("document.querySelector('#attention').replaceChildren()")
    page.select_option("#rate", "0.25")  # asks the stream anew: what stands there from now on is the script's
    page.wait_for_selector("#attention li[data-severity]")
    context = chromium.new_context(java_script_enabled=False, extra_http_headers={"Authorization": f"Bearer {token}"})
    plain = context.new_page()
    lines = "items => items.map(item => item.querySelector('a')?.getAttribute('href') + item.dataset.severity)"

    def agree() -> bool:
        # what is found moves on while the plain page is fetched: it is compared with the live one before and after
        before = page.eval_on_selector_all("#attention li", lines)
        plain.goto(tab.observed.base + "/")
        said = plain.eval_on_selector_all("#attention li", lines)
        return bool(said) and said in (before, page.eval_on_selector_all("#attention li", lines))

    wait_for(agree)
    context.close()


def test_figure_in_the_menu_counts_what_is_worse_than_a_note(tab: Any) -> None:
    page = tab.open("/findings")
    page.wait_for_function(
        "() => document.querySelectorAll('.finding[data-state=open]:is([data-severity=warning],"
        "[data-severity=critical])').length === Number(document.querySelector('#alerts').textContent)"
    )
    assert page.get_attribute("#alerts", "data-level") in ("near", "bad")


def test_stacks_unfold_and_lead_to_their_greenlets(tab: Any) -> None:
    page = tab.open("/stacks")
    fold = page.locator(".folds details").first
    fold.locator("summary").click()
    assert fold.locator(".stack li").count() >= 1
    page.wait_for_timeout(2500)
    assert page.locator(".folds details[open]").count() == 1, "it stays unfolded while the page looks again"
    page.locator(".folds details[open] a").first.click()
    page.wait_for_selector("article.detail")


@pytest.mark.parametrize(("path", "what"), [("/waits", "Waits"), ("/tree", "Tree")])
def test_structure_pages_link_greenlets(tab: Any, path: str, what: str) -> None:
    page = tab.open(path)
    assert page.inner_text("h1") == what
    assert page.locator('main a[href*="/greenlets/"]').count() >= 5
