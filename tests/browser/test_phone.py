"""A phone shows what a wide page does, in another place: nothing that matters is hidden, nothing lies upon another."""

from collections.abc import Callable
from typing import Any

PHONE = {"width": 390, "height": 844}


def test_waits_tell_on_a_phone_who_holds_what(start_observed: Callable[..., Any], visit: Callable[[Any], Any]) -> None:
    tab = visit(start_observed("--still"))
    tab.page.set_viewport_size(PHONE)
    page = tab.open("/waits")
    row = page.locator(".waits-table tr", has_text="cache lock")
    assert "stage store" in row.locator('[data-label="held by"]').inner_text()
    assert row.locator('[data-label="who"]').is_visible()
    tops = row.locator("td").evaluate_all("cells => cells.map(cell => cell.getBoundingClientRect().top)")
    assert tops[0] == tops[1] == tops[3] < tops[2] < tops[4]
    row.locator("td a").first.click()
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 2")


def test_events_tell_on_a_phone_what_happened(tab: Any) -> None:
    tab.page.set_viewport_size(PHONE)
    page = tab.open("/tail?kinds=failed")
    row = page.locator("#rows tr").first
    assert ":" in row.locator(".c-detail").inner_text()
    tops = row.evaluate(  # all at once: the row moves down with the next failure
        "row => ['kind', 'greenlet', 'detail'].map(cell => row.querySelector('.c-' + cell).getBoundingClientRect().top)"
    )
    assert tops[0] == tops[1] < tops[2]
    head = page.locator("#q").bounding_box()
    page.wait_for_function("() => document.querySelector('#tail-note').textContent.includes('since')")
    assert page.locator("#q").bounding_box() == head, "the search stays where it is when the note grows"


def test_audit_has_room_for_its_target_on_a_phone(tab: Any) -> None:
    tab.page.context.request.post(f"{tab.observed.base}/api/greenlets/999999/kill", data={})
    tab.page.set_viewport_size(PHONE)
    page = tab.open("/audit")
    cells = page.locator(".audit tr:nth-child(1) :is(th, td)")
    widths = cells.evaluate_all(
        "cells => cells.filter(cell => cell.offsetParent).map(cell => [cell.scrollWidth, cell.clientWidth])"
    )
    assert len(widths) == 8
    assert all(needed <= there for needed, there in widths), widths
