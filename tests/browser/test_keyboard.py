"""Keyboard only: everything that a mouse can do on the table, and where the focus goes."""

from typing import Any


def test_keys_search_move_open_kill_and_close(tab: Any) -> None:
    page = tab.open("/greenlets?state=live")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("compress")
    page.wait_for_url("**q=compress**")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    row = page.evaluate("document.activeElement.closest('tr').dataset.id")
    page.keyboard.press("Enter")
    page.wait_for_selector("#drawer article.detail")
    assert page.get_attribute("#drawer article", "data-greenlet") == row
    page.keyboard.press("x")
    page.wait_for_selector("#dialog form")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#dialog .outcome:not([hidden])")
    page.keyboard.press("Enter")
    page.wait_for_selector("#dialog", state="hidden")
    page.keyboard.press("Escape")
    page.wait_for_selector("#drawer", state="hidden")
    assert page.evaluate("document.activeElement !== document.body"), "the focus is somewhere on purpose"


def test_keys_go_to_pages_and_tell_themselves(tab: Any) -> None:
    page = tab.open("/")
    for key, path in (
        ("l", "/greenlets"),
        ("e", "/tail"),
        ("p", "/groups"),
        ("s", "/spawn"),
        ("a", "/audit"),
        ("o", "/"),
    ):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(lambda url, path=path: url.split("?")[0].endswith(path))
        page.wait_for_selector("html[data-ready]")
    page.keyboard.press("?")
    assert page.is_visible("#keys")
    page.keyboard.press("Escape")
    assert not page.is_visible("#keys")
    page.wait_for_function("() => !document.activeElement.closest('dialog')")  # else the key is for its button
    page.keyboard.press(" ")
    assert page.get_attribute("#pause", "aria-pressed") == "true"


def test_focus_stays_on_its_greenlet_while_others_come_and_go(tab: Any) -> None:
    page = tab.open("/greenlets?state=live&sort=-id")
    page.keyboard.press("j")
    page.keyboard.press("j")
    focused = page.evaluate("document.activeElement.closest('tr').dataset.id")
    page.wait_for_timeout(2500)
    assert page.evaluate("document.activeElement.closest('tr')?.dataset.id") == focused


def test_focus_moves_on_when_the_row_of_a_closed_drawer_is_gone(tab: Any) -> None:
    page = tab.open("/greenlets?state=live&q=retry")
    page.keyboard.press("j")
    id = page.evaluate("document.activeElement.closest('tr').dataset.id")
    page.keyboard.press("Enter")
    page.wait_for_selector("#drawer article.detail")
    page.evaluate(
        "(id) => fetch(`api/greenlets/${id}/kill`, { method: 'POST',"
        " headers: { 'Content-Type': 'application/json' }, body: '{}' })",
        id,
    )
    page.wait_for_function("(id) => !document.querySelector(`#rows tr[data-id='${id}']`)", arg=id)
    page.keyboard.press("Escape")
    page.wait_for_selector("#drawer", state="hidden")
    assert page.evaluate("document.activeElement.closest('#rows, #wrap') !== null")
