"""The greenlets table: filter, order, drawer, address; it stays calm while it is pointed at."""

import json
import re
from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]
Visit = Callable[[Any], Any]


def ids(page: Any) -> list[str]:
    return page.eval_on_selector_all("#rows tr", "rows => rows.map(row => row.dataset.id)")  # type: ignore[no-any-return]


def test_search_filters_and_stands_in_the_address(tab: Any) -> None:
    page = tab.open("/greenlets")
    page.fill("#q", "stage")
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 4")
    assert page.url.endswith("/greenlets?q=stage")
    page.reload()
    page.wait_for_selector('#badge[data-link="live"]')
    assert page.input_value("#q") == "stage"
    assert page.locator("#rows tr").count() == 4


def test_search_that_makes_no_sense_is_told_under_the_box(tab: Any) -> None:
    tab.expected.append("422")
    page = tab.open("/greenlets")
    page.fill("#q", "colour:green")
    page.wait_for_function("() => document.querySelector('#q-fault').textContent.includes('colour')")
    assert page.inner_text("#q-fault").startswith("The search knows no field")
    assert page.get_attribute("#q", "aria-invalid") == "true"
    assert page.locator("#rows tr").count() > 50, "the rows of before stay"
    page.fill("#q", "")
    page.wait_for_function("() => document.querySelector('#q-fault').textContent === ''")


def test_chip_filters_by_state_and_back_returns(tab: Any) -> None:
    page = tab.open("/greenlets?state=live")
    page.click('a[data-states="waiting"]')
    page.wait_for_url("**/greenlets?state=waiting")
    waiting = "state => state.textContent === 'waiting'"
    page.wait_for_function(f"() => [...document.querySelectorAll('#rows .state')].slice(0, 20).every({waiting})")
    page.go_back()
    page.wait_for_function(
        "() => document.querySelector('a[data-states=live]').getAttribute('aria-current') === 'true'"
    )
    assert page.url.endswith("state=live")


def test_rows_that_the_page_has_no_room_for_come_with_the_first_patch(start_observed: Start, visit: Visit) -> None:
    tab = visit(start_observed("--still", "--count", "400"))
    path, rows = "/greenlets?state=live&limit=500", "document.querySelectorAll('#rows tr').length"
    drawn = len(re.findall(r"<tr data-id", tab.page.context.request.get(tab.observed.base + path).text()))
    assert 50 < drawn < 200
    page = tab.open(path)
    page.hover("#rows tr:nth-child(3)")
    page.wait_for_function(f"() => {rows} >= 400")
    assert ids(page)[:3] == ["1", "2", "3"]
    assert page.inner_text("#window").startswith("1–4")


def test_sort_by_head_and_inverted_by_key(tab: Any) -> None:
    page = tab.open("/greenlets?state=live")
    page.click('th a[data-sort="age"]')
    page.wait_for_url("**sort=-age**")
    assert page.get_attribute("th.c-age", "aria-sort") == "descending"
    page.keyboard.press("i")
    page.wait_for_url("**sort=age**")
    assert page.get_attribute("th.c-age", "aria-sort") == "ascending"


def test_server_and_script_draw_a_row_alike(start_observed: Start, visit: Visit) -> None:
    still = start_observed("--still")
    columns = "id.state.name.function.groups.parent.spawn_site.created.ended.exception.place.waiting_on.switches"
    tab = visit(still)
    page = tab.open(f"/greenlets?columns={columns}&limit=50")
    # the mark of a finding may come in between: of a machine that stood still, say
    text = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.replace('▲', '').trim()).join('|'))"
    drawn_by_server = page.eval_on_selector_all("#rows tr", text)
    page.evaluate("document.querySelector('#rows').replaceChildren()")
    page.reload(wait_until="commit")
    page.wait_for_selector('#badge[data-link="live"]')
    page.fill("#q", "nothing-has-this-name")
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 0")
    page.fill("#q", "")
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 50")
    assert page.eval_on_selector_all("#rows tr", text) == drawn_by_server


def test_order_holds_while_a_row_is_pointed_at(tab: Any) -> None:
    page = tab.open("/greenlets?state=live&sort=-id")
    page.hover("#rows tr:nth-child(5)")
    before = ids(page)
    page.wait_for_selector("#held.on")
    assert ids(page) == before
    page.mouse.move(5, 5)
    page.wait_for_function("first => document.querySelector('#rows tr').dataset.id !== first", arg=before[0])


def test_row_opens_a_drawer_with_its_own_address(tab: Any) -> None:
    page = tab.open("/greenlets?state=live&q=stage")
    page.click("#rows tr:nth-child(2) .c-state")
    page.wait_for_selector("#drawer article.detail")
    opened = page.get_attribute("#drawer article", "data-greenlet")
    assert f"open={opened}" in page.url
    assert page.locator("#drawer .stack li").count() >= 1
    page.go_back()
    page.wait_for_selector("#drawer", state="hidden")
    page.goto(f"{tab.observed.base}/greenlets?open={opened}")
    assert page.inner_text("#drawer h2") == "stage read"


def test_drawer_says_that_it_waits_and_that_nobody_answers(start_observed: Start, visit: Visit) -> None:
    tab = visit(start_observed("--still"))
    tab.expected.append("ERR_FAILED")
    page = tab.open("/greenlets?state=live")
    held: list[Any] = []
    page.route("**/greenlets/*fragment=1*", lambda route: held.append(route))
    page.click('#rows tr[data-id="2"] .c-state')
    page.wait_for_function("() => document.querySelector('#drawer').textContent === 'Looking at greenlet 2…'")
    held.pop().continue_()
    page.wait_for_selector('#drawer article[data-greenlet="2"]')
    page.click('#rows tr[data-id="3"] .c-state')
    page.wait_for_function("() => document.querySelector('#drawer').textContent === 'Looking at greenlet 3…'")
    while held:
        held.pop().abort()
    page.wait_for_function("() => document.querySelector('#drawer').textContent.includes('does not answer now')")


def test_drawer_leaves_whole_columns_beside_it(tab: Any) -> None:
    page = tab.open("/greenlets?state=live&open=2")
    page.wait_for_selector("#drawer article.detail")
    assert page.evaluate("document.querySelector('#wrap').scrollWidth <= document.querySelector('#wrap').clientWidth")


def test_columns_are_chosen_and_remembered(tab: Any) -> None:
    page = tab.open("/greenlets")
    page.click("text=Columns")
    page.check('#columns [value="spawn_site"]')
    page.uncheck('#columns [value="place"]')
    page.click("text=Show these")
    page.wait_for_selector("th.c-spawn_site")
    page = tab.open("/greenlets")
    assert page.locator("th.c-spawn_site").count() == 1
    assert page.locator("th.c-place").count() == 0


def test_paging_shows_other_rows(tab: Any) -> None:
    page = tab.open("/greenlets?state=live&limit=50")
    first = ids(page)
    page.click("#later")
    page.wait_for_url("**offset=50**")
    page.wait_for_function("first => document.querySelector('#rows tr').dataset.id !== first", arg=first[0])
    assert "51–100 of" in page.inner_text("#window")


def test_export_gives_what_is_shown(tab: Any) -> None:
    page = tab.open("/greenlets?q=stage")
    page.click("text=Export")
    with page.expect_download() as download:
        page.click("#export-csv")
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 5
    assert "stage walk" in lines[1]
    with page.expect_download() as download:
        page.click("#export-json")
    assert download.value.suggested_filename == "greenlets.json"
    assert json.loads(download.value.path().read_text())["matched"] == 4


def test_table_without_script_shows_the_state_of_now(chromium: Any, busy: Any, token: str) -> None:
    context = chromium.new_context(java_script_enabled=False, extra_http_headers={"Authorization": f"Bearer {token}"})
    page = context.new_page()
    page.goto(f"{busy.base}/greenlets?state=live&open=2")
    assert page.locator("#rows tr").count() == 100
    assert "stage walk" in page.inner_text("#drawer h2")
    assert page.locator("button.js:visible").count() == 0
    page.goto(f"{busy.base}/")
    assert "fetchers" in page.inner_text("#group-rows")
    context.close()
