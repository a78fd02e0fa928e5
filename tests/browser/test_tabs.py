"""Many tabs, a silent stream, and a hand that never touches the mouse."""

from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]
Visit = Callable[[Any], Any]

LIVE = '#badge[data-link="live"]'
#: Playwright keeps every page visible; this hides one as a browser does with a tab in the background
HIDE = """
window.setHidden = (hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  Object.defineProperty(document, "visibilityState", { value: hidden ? "hidden" : "visible", configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
};
"""
#: lets a test silence the stream without closing it
SILENCE = """
window.silent = false;
const listen = EventSource.prototype.addEventListener;
EventSource.prototype.addEventListener = function (kind, listener) {
  listen.call(this, kind, (event) => window.silent || listener(event));
};
"""


def test_kill_works_in_the_eighth_tab(start_observed: Start, visit: Visit) -> None:
    still = start_observed("--still")
    pages: list[Any] = []
    for _ in range(8):
        tab = visit(still)
        tab.page.add_init_script(HIDE)
        for page in pages[-1:]:
            page.evaluate("setHidden(true)")
        pages.append(tab.open("/greenlets?state=live&q=hash"))
    eighth, first = pages[-1], pages[0]
    eighth.locator("#rows [data-kill]").first.click()
    eighth.click("#dialog [type=submit]")
    eighth.wait_for_selector('#dialog .outcome[data-outcome="done"]')
    assert eighth.evaluate("fetch('api/health').then((answer) => answer.json()).then((health) => health.clients)") == 1
    first.evaluate("setHidden(false)")
    first.wait_for_function("() => document.querySelectorAll('#rows .state[data-state=killed]').length === 0")
    first.wait_for_selector(LIVE)
    for page in pages[1:]:
        page.close()


def test_open_but_silent_stream_is_called_stale_after_35_s(tab: Any) -> None:
    page = tab.page
    page.clock.install()
    page.add_init_script(SILENCE)
    page.goto(tab.observed.base + "/")
    page.wait_for_selector(LIVE)
    page.evaluate("window.silent = true")
    page.clock.run_for(30_000)
    assert page.get_attribute("#badge", "data-link") == "live"
    page.clock.run_for(8_000)
    page.wait_for_selector('#badge[data-link="stale"]')
    assert "stale since" in page.inner_text("#badge")
    page.evaluate("window.silent = false")
    page.clock.run_for(2_000)
    page.wait_for_selector(LIVE)


def test_main_job_needs_no_mouse(start_observed: Start, visit: Visit) -> None:
    page = visit(start_observed("--still")).open("/")
    press, kind = page.keyboard.press, page.keyboard.type

    def go(key: str, path: str) -> None:
        press("g")
        press(key)
        page.wait_for_url(f"**{path}*")
        page.wait_for_selector(LIVE)

    def tab_to(selector: str) -> None:
        for _ in range(60):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            press("Tab")
        raise AssertionError(f"{selector} cannot be reached by Tab")

    go("f", "/findings")
    go("s", "/spawn")
    tab_to("#f-url")
    kind("http://localhost/")
    press("Enter")
    page.wait_for_selector('#outcome[data-outcome="done"]')
    page.wait_for_selector("#follow article.detail")
    press("Escape")  # leaves the field
    go("p", "/groups")
    tab_to("#group-rows [data-resize]")
    press("Enter")
    page.wait_for_selector("#new-size")
    press("Control+a")
    kind("9")
    press("Enter")
    page.wait_for_selector('#dialog .outcome[data-outcome="done"]')
    press("Enter")
    page.wait_for_selector("#dialog", state="hidden")
    assert page.evaluate("document.activeElement.matches('[data-resize]')")
    go("l", "/greenlets")
    press("/")
    kind("function:crawl")
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 1")
    press("Escape")
    press("j")
    press("Enter")
    page.wait_for_selector("#drawer article.detail")
    press("x")
    page.wait_for_selector("#dialog form.kill")
    tab_to("#dialog [type=submit]")
    press("Enter")
    page.wait_for_selector('#dialog .outcome[data-outcome="done"]')


#: makes a page's script hang until its stream is cut: it reads no more, but what is on its way fills megabytes first
HANG = """setTimeout(() => {
  for (const end = performance.now() + 60000; performance.now() < end; ) {
    const ask = new XMLHttpRequest();
    ask.open("GET", "api/health", false);
    ask.send();
    if (JSON.parse(ask.responseText).clients === 1) return;
    for (const pause = performance.now() + 500; performance.now() < pause; );
  }
}, 0)"""


def test_stalled_tab_is_cut_and_comes_back_and_slows_nobody(start_observed: Start, visit: Visit) -> None:
    rushing = start_observed("--ends", "1000", "--send", "1.5")
    tab = visit(rushing)
    tab.expected.append("ERR_INCOMPLETE_CHUNKED_ENCODING")  # its stream is cut
    stalled, other = tab.open("/tail"), visit(rushing).open("/")
    health = "fetch('api/health').then((answer) => answer.json())"
    assert other.evaluate(health)["clients"] == 2
    stalled.evaluate(HANG)
    figure = "() => document.querySelector('[data-v=\"rates.1s.spawned\"]').textContent"
    for _ in range(100):
        seen = other.evaluate(figure)
        other.wait_for_function(f"(seen) => ({figure})() !== seen", arg=seen, timeout=3_000)
        if other.evaluate(health)["clients"] == 1:
            break
    assert other.evaluate(health)["clients"] == 1, "the stalled reader is let go"
    assert other.get_attribute("#badge", "data-link") == "live"
    stalled.wait_for_selector(LIVE, timeout=20_000)
    newest = "() => Number(document.querySelector('#rows tr').dataset.seq)"
    stalled.wait_for_function(
        f"() => fetch('api/health').then((answer) => answer.json()).then((now) => now.seq - ({newest})() < 20_000)",
        timeout=20_000,
    )
    assert stalled.locator("#rows tr").count() <= 500
    other.wait_for_function(f"async () => (await {health}).clients === 2")  # busy with its rows it may be cut once more
