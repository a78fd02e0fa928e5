"""The tail of events: each once, newest first, whatever is paused, hidden or asked for meanwhile."""

from collections.abc import Callable
from typing import Any

from tests.browser.test_tabs import HIDE

Start = Callable[..., Any]
Visit = Callable[[Any], Any]


def open_tail(tab: Any) -> Any:
    tab.page.add_init_script(HIDE)
    page = tab.open("/tail")
    page.mouse.move(5, 5)  # whoever points at the rows holds them
    return page


def seqs(page: Any) -> list[int]:
    found: list[int] = page.eval_on_selector_all("#rows tr", "rows => rows.map(row => Number(row.dataset.seq))")
    return found


def wait_for_newer(page: Any, than: int) -> None:
    page.wait_for_function("old => Number(document.querySelector('#rows tr').dataset.seq) > old", arg=than)


def kinds(page: Any) -> set[str]:
    return set(page.eval_on_selector_all("#rows .kind", "kinds => kinds.map(kind => kind.textContent)"))


def test_tail_shows_events_as_they_happen(tab: Any) -> None:
    page = tab.open("/tail")
    newest = page.get_attribute("#rows tr", "data-seq")
    page.mouse.move(5, 5)
    page.wait_for_function("old => Number(document.querySelector('#rows tr').dataset.seq) > Number(old)", arg=newest)
    seqs = page.eval_on_selector_all("#rows tr", "rows => rows.map(row => Number(row.dataset.seq))")
    assert seqs == sorted(set(seqs), reverse=True), "newest first, none twice"
    page.click('a[data-kinds="blocked,finding"]')
    page.wait_for_function("() => document.querySelectorAll('#rows .kind').length > 0")
    assert "/findings?stack=" in (
        page.locator("#rows tr:has-text('finding') .c-detail a").first.get_attribute("href") or ""
    )
    page.click('a[data-kinds="failed"]')
    page.wait_for_function(
        "() => [...document.querySelectorAll('#rows .kind')].every(kind => kind.textContent === 'failed')"
    )


def test_tail_of_a_kind_shows_those_that_were_before_what_is_shown(start_observed: Start, visit: Visit) -> None:
    page = visit(start_observed("--still")).open("/tail")
    page.evaluate("document.querySelectorAll('#rows tr').forEach((row) => row.remove())")
    page.click('a[data-kinds="failed"]')
    page.wait_for_function("() => document.querySelectorAll('#rows .kind').length > 0")
    kinds = page.eval_on_selector_all("#rows .kind", "kinds => [...new Set(kinds.map((kind) => kind.textContent))]")
    assert kinds == ["failed"]


def test_tail_that_was_hidden_goes_on_where_it_was(tab: Any) -> None:
    page = open_tail(tab)
    for _ in range(2):
        wait_for_newer(page, seqs(page)[0] + 5)
        page.evaluate("setHidden(true)")
        before = seqs(page)[0]
        page.wait_for_timeout(1_500)
        page.evaluate("setHidden(false)")
        wait_for_newer(page, before + 5)
    found = seqs(page)
    assert found == sorted(set(found), reverse=True), "newest first, none twice"
    assert page.locator("#rows tr:has-text('lost')").count() == 0


def test_tail_that_was_hidden_while_paused_shows_each_once(tab: Any) -> None:
    page = open_tail(tab)
    wait_for_newer(page, seqs(page)[0] + 5)
    page.click("#pause")
    before = seqs(page)[0]
    page.wait_for_timeout(700)
    page.evaluate("setHidden(true)")
    page.wait_for_timeout(300)
    page.evaluate("setHidden(false)")
    page.wait_for_timeout(700)
    page.click("#pause")
    wait_for_newer(page, before + 5)
    found = seqs(page)
    assert found == sorted(set(found), reverse=True), "newest first, none twice"


def test_kinds_that_are_chosen_in_a_pause_are_all_that_is_shown_after_it(tab: Any) -> None:
    page = open_tail(tab)
    wait_for_newer(page, seqs(page)[0] + 5)
    page.click("#pause")
    page.wait_for_timeout(1_000)
    page.click('a[data-kinds="failed"]')
    page.wait_for_function(
        "() => [...document.querySelectorAll('#rows .kind')].every(kind => kind.textContent === 'failed')"
    )
    before = max(seqs(page), default=0)
    page.click("#pause")
    page.mouse.move(5, 5)
    wait_for_newer(page, before)
    assert kinds(page) == {"failed"}
    found = seqs(page)
    assert found == sorted(set(found), reverse=True)
