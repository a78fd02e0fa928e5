"""Names that a hostile web site could have chosen: shown as text everywhere, run nowhere."""

from collections.abc import Callable
from typing import Any

import pytest

PATHS = (
    "/",
    "/findings",
    "/greenlets?limit=500",
    "/greenlets?q=onerror&open=1",
    "/groups/1",
    "/stacks",
    "/waits",
    "/tree?width=200",
    "/tail",
    "/spawn",
    "/audit",
)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def hostile(start_observed: Callable[..., Any]) -> Any:
    """Return a crawler with hostile names among its greenlets."""
    return start_observed("--hostile")


def test_hostile_names_run_nothing(hostile: Any, visit: Callable[[Any], Any]) -> None:
    tab = visit(hostile)
    fired: list[str] = []

    def on_dialog(dialog: Any) -> None:
        fired.append(dialog.message)
        dialog.dismiss()

    tab.page.on("dialog", on_dialog)
    for path in PATHS:
        page = tab.open(path)
        page.wait_for_timeout(250)
        assert not fired, path
        assert page.locator("img, main script").count() == 0, path
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280, path


def test_hostile_name_is_shown_as_it_is(hostile: Any, visit: Callable[[Any], Any]) -> None:
    page = visit(hostile).open("/greenlets?q=onerror")
    assert page.inner_text("#rows a[data-row]") == HOSTILE
    page.click("#rows a[data-row]")
    page.wait_for_selector("#drawer article.detail")
    assert page.inner_text("#drawer h2") == HOSTILE
    page.click("#drawer [data-kill]")
    page.wait_for_selector("#dialog form")
    assert HOSTILE in page.inner_text("#dialog h2")
