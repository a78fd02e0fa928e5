"""Kill, spawn and resize from the page: what will happen, then what was seen."""

import re
from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]
Visit = Callable[[Any], Any]
LIVE = '#badge[data-link="live"]'


def test_kill_says_what_it_will_do_and_then_what_was_seen(start_observed: Start, visit: Visit) -> None:
    page = visit(start_observed("--still")).open("/greenlets?state=live&q=fetch")
    link = page.locator("#rows a[data-row]").nth(8)
    link.click()
    page.wait_for_selector("#drawer article.detail")
    name = page.inner_text("#drawer h2")
    page.click("#drawer [data-kill]")
    page.wait_for_selector("#dialog form.kill")
    assert name in page.inner_text("#dialog h2")
    assert "GreenletExit is raised" in page.inner_text("#dialog")
    page.click("#dialog [type=submit]")
    page.wait_for_selector('#dialog .outcome[data-outcome="done"]')
    page.click("#dialog [data-close]")
    page.wait_for_function("() => document.querySelector('#drawer article').dataset.state === 'killed'")
    assert "Not alive any more" in page.inner_text("#drawer")


def test_kill_sends_one_key_however_often_it_is_clicked(start_observed: Start, visit: Visit) -> None:
    page = visit(start_observed("--still")).open("/greenlets?state=live&q=hash")
    posts: list[Any] = []
    page.on("request", lambda request: posts.append(request) if request.method == "POST" else None)
    page.locator("#rows tr").nth(2).hover()
    page.locator("#rows [data-kill]").nth(2).click()
    page.wait_for_selector("#dialog [type=submit]")
    page.evaluate("for (let i = 0; i < 5; i++) document.querySelector('#dialog form').requestSubmit()")
    page.wait_for_selector('#dialog .outcome[data-outcome="done"]')
    assert len(posts) == 1
    assert re.fullmatch("[0-9a-f]{32}", posts[0].headers["idempotency-key"])
    assert posts[0].headers["greenscope-epoch"] == page.get_attribute("body", "data-epoch")


def test_kill_that_reaches_another_process_is_not_done_and_says_so(start_observed: Start, visit: Visit) -> None:
    tab = visit(start_observed("--still"))
    tab.expected.append("409")
    page = tab.open("/greenlets?state=live&q=hash")
    button = page.locator("#rows [data-kill]").nth(2)
    button.click()
    page.wait_for_selector("#dialog [type=submit]")
    page.evaluate("document.body.dataset.epoch = '0'.repeat(12)")
    page.click("#dialog [type=submit]")
    page.wait_for_selector('#dialog .outcome[data-outcome="fault"]')
    assert "meant for another process" in page.inner_text("#dialog .outcome")
    page.click("#dialog [data-close]")
    button.click()
    page.wait_for_selector("#dialog [data-close]")
    assert "Another process answers now" in page.inner_text("#dialog h2")
    assert not page.locator("#dialog [type=submit]").count()


def test_kill_that_is_swallowed_is_told_as_alive(start_observed: Start, visit: Visit) -> None:
    tab = visit(start_observed("--still"))
    page = tab.open("/greenlets?state=live&q=serve-client")
    page.evaluate("window.tried = new Set()")
    # the crawler has one client that catches its kills: the first that was made outside the churn
    outcome = ""
    for index in range(3):
        page.locator("#rows [data-kill]").nth(index).click()
        page.click("#dialog [type=submit]")
        page.wait_for_selector("#dialog .outcome:not([hidden])")
        outcome = page.get_attribute("#dialog .outcome", "data-outcome")
        if outcome == "alive":
            break
        page.click("#dialog [data-close]")
    assert outcome == "alive"
    assert "Still alive at service.py:97" in page.inner_text("#dialog .outcome")
    assert page.is_enabled("#dialog [type=submit]"), "it can be tried again"


def test_kill_of_one_that_ended_meanwhile_is_not_offered(tab: Any) -> None:
    page = tab.open("/greenlets?state=succeeded")
    page.locator("#rows a[data-row]").first.click()
    page.wait_for_selector("#drawer article.detail")
    assert page.locator("#drawer [data-kill]").count() == 0
    assert page.locator("#rows [data-kill]").count() == 0


def test_spawn_form_is_judged_by_the_server_beside_each_field(tab: Any) -> None:
    tab.expected.append("422")
    page = tab.open("/spawn?target=crawl")
    page.fill("#f-depth", "two")
    page.click("#spawn [type=submit]")
    page.wait_for_function("() => document.querySelector('#e-depth').textContent !== ''")
    assert "whole number" in page.inner_text("#e-depth")
    assert "missing" in page.inner_text("#e-url")
    assert page.get_attribute("#f-url", "aria-invalid") == "true"
    assert page.evaluate("document.activeElement.id") == "f-url"


def test_spawn_runs_the_new_greenlet_and_follows_it(tab: Any) -> None:
    page = tab.open("/spawn?target=crawl")
    page.fill("#f-url", "http://localhost/")
    page.click("#spawn [type=submit]")
    page.wait_for_selector('#outcome[data-outcome="done"]')
    page.wait_for_selector("#follow article.detail")
    assert page.inner_text("#follow h2").startswith("crawl")
    assert page.get_attribute("#follow article", "data-state") in ("pending", "ready", "running", "waiting")


def test_spawn_into_a_group_from_its_page(start_observed: Start, visit: Visit) -> None:
    page = visit(start_observed("--still")).open("/groups/3")
    members = page.locator("[data-part=members] .end")
    assert members.inner_text() == "4 members"
    page.click('[href$="target=tidy#spawn-into"]')
    page.wait_for_selector('#spawn[data-target="tidy"]')
    page.wait_for_selector(LIVE)
    page.click("#spawn [type=submit]")
    page.wait_for_selector('#outcome[data-outcome="done"]')
    page.wait_for_selector("#follow article.detail")
    page.wait_for_function(
        "() => document.querySelector('[data-part=members] .end').textContent === '5 members'"
        " && document.querySelector('#follow article.detail') !== null"
    )


def test_spawn_and_kill_stand_in_the_audit(start_observed: Start, visit: Visit) -> None:
    tab = visit(start_observed("--still"))
    page = tab.open("/audit")
    assert "Nobody has acted yet" in page.inner_text("#audit")
    status = page.evaluate(
        "fetch('api/spawn', {method: 'POST', headers: {'Content-Type': 'application/json'},"
        " body: JSON.stringify({target: 'tidy', arguments: {}})}).then(answer => answer.status)"
    )
    assert status == 201
    page.wait_for_function("() => document.querySelector('#audit').textContent.includes('tidy')")


def test_read_only_shows_no_button_and_says_why(start_observed: Start, visit: Visit) -> None:
    tab = visit(start_observed("--read-only", "--still"))
    for path in ("/", "/greenlets?state=live", "/greenlets/2", "/groups", "/groups/1"):
        page = tab.open(path)
        assert page.locator("[data-kill], [data-kill-group], [data-resize]").count() == 0, path
    page = tab.open("/spawn")
    assert "Read-only" in page.inner_text("main")
    assert page.is_disabled("#spawn [type=submit]")


def test_question_before_a_kill_says_when_nobody_answers(start_observed: Start, visit: Visit) -> None:
    tab = visit(start_observed("--still"))
    tab.expected.append("ERR_FAILED")
    page = tab.open("/greenlets/2")
    page.route("**/greenlets/2/kill", lambda route: route.abort())
    page.click("[data-kill]")
    page.wait_for_function("() => document.querySelector('#dialog h2').textContent.includes('does not answer')")
    assert page.locator("#dialog [type=submit]").count() == 0
    page.keyboard.press("Escape")
    page.wait_for_selector("#dialog", state="hidden")
