"""The connection: its badge tells the truth; it comes back after a restart; a pause is this viewer's own."""

from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]
Visit = Callable[[Any], Any]


def test_page_survives_a_restart_of_the_program(start_observed: Start, visit: Visit, free_port: int) -> None:
    observed = start_observed("--count", "60", port=free_port)
    tab = visit(observed)
    tab.expected.append("ERR_")
    page = tab.open("/greenlets?state=live&q=stage")
    epoch = page.get_attribute("body", "data-epoch")
    observed.stop()
    page.wait_for_selector('#badge[data-link="reconnecting"], #badge[data-link="stale"]')
    observed.start()
    page.wait_for_function(
        "old => document.body.dataset.epoch !== old && document.querySelector('#badge').dataset.link === 'live'",
        arg=epoch,
        timeout=20_000,
    )
    assert page.locator("#rows tr").count() == 4
    assert page.url.endswith("q=stage")


def test_page_of_a_process_that_does_not_answer_reloads_twice_and_then_waits_for_it(tab: Any) -> None:
    page = tab.page
    page.add_init_script(
        "document.addEventListener('readystatechange', () => { document.body.dataset.epoch = '0'.repeat(12) })"
    )
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(tab.observed.base + "/greenlets", wait_until="domcontentloaded")
    page.wait_for_function(
        "() => performance.getEntriesByType('resource').filter(e => e.name.includes('/events')).length > 1"
    )
    assert sum(url.endswith("/greenlets") for url in asked) == 3


def test_pause_holds_this_view_and_counts_what_happens(tab: Any) -> None:
    page = tab.open("/greenlets?state=live")
    page.click("#pause")
    page.wait_for_selector('#badge[data-link="paused"]')
    frozen = page.inner_text("#headline"), page.inner_text("#rows")
    page.wait_for_function("() => /· [1-9]/.test(document.querySelector('#badge').textContent)")
    assert (page.inner_text("#headline"), page.inner_text("#rows")) == frozen
    page.keyboard.press("Escape")
    page.click("#pause")
    page.wait_for_selector('#badge[data-link="live"]')
    page.wait_for_function("old => document.querySelector('#rows').innerText !== old", arg=frozen[1])


def test_rate_and_theme_are_remembered(tab: Any) -> None:
    page = tab.open("/")
    page.select_option("#rate", "2")
    page.click("#theme")
    page = tab.open("/greenlets")
    assert page.input_value("#rate") == "2"
    assert page.get_attribute("html", "data-theme") == "light"


def test_logging_out_leads_to_the_door(tab: Any) -> None:
    tab.expected.append("401")
    page = tab.open("/greenlets")
    page.click("#logout")
    page.wait_for_selector("#login")
    page.fill("#token", "not the token")
    page.click("#login [type=submit]")
    page.wait_for_function("() => document.querySelector('#login-fault').textContent !== ''")


def test_door_takes_the_token_out_of_the_address(context: Any, busy: Any, token: str) -> None:
    page = context.new_page()
    page.goto(f"{busy.base}/greenlets?state=live#token={token}")
    page.wait_for_selector('#badge[data-link="live"]')
    assert page.url == f"{busy.base}/greenlets?state=live"
    page.go_back()
    assert "token" not in page.url


def test_what_is_stale_stays_so_and_nothing_in_it_moves(start_observed: Start, visit: Visit) -> None:
    observed = start_observed("--still")
    tab = visit(observed)
    tab.expected.append("ERR_")
    page = tab.open("/greenlets?state=live&open=2")
    page.wait_for_selector("#drawer article.detail")
    observed.stop()
    page.wait_for_selector('#badge[data-link="stale"]', timeout=20_000)
    page.evaluate(
        "window.said = new Set(); new MutationObserver(() => window.said.add(document.querySelector('#badge')"
        ".dataset.link)).observe(document.querySelector('#badge'), { attributes: true })"
    )
    shown = "document.querySelector('#rows').textContent + document.querySelector('#lag path').getAttribute('d')"
    before = page.evaluate(shown)
    page.wait_for_timeout(5_000)  # in which the browser tries again and again to reconnect
    assert page.evaluate("[...window.said].filter((link) => link !== 'stale')") == []
    assert page.evaluate(shown) == before, "no age goes on and no line moves while nobody tells"
    assert "stale since" in page.inner_text("#badge")
