"""Take the pictures of the README: the real demo, at work, in both themes.

    python -m tests.browser.screenshots [FOLDER]        (default: .dev/screenshots)

Not a test. It waits for moments in which the pools are busy, so that the pictures show what a reader will see.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, TOKEN, Demo, find_chromium

ROOT = Path(__file__).resolve().parent.parent.parent
WIDTH, HEIGHT = 1280, 800
#: seconds for which the demo has run before the first picture
WARM_UP = 25.0
BUSY = """() => [...document.querySelectorAll('.slots')].some((bar) => /^[5-8] of 8 slots/.test(bar.ariaLabel || ''))"""


def wait_busy(page: Page) -> None:
    """Wait for a moment in which the pool works."""
    page.wait_for_function(BUSY, polling=20, timeout=60_000)


def open_greenlet(page: Page) -> None:
    """Open the drawer of a client."""
    page.wait_for_selector("#rows tr")
    page.locator("#rows tr", has_text="client 2").locator(".c-state").click()
    page.wait_for_selector("#drawer .stack")


def show_stack(page: Page) -> None:
    """Unfold the first finding's stack."""
    page.locator(".finding summary").first.click()


def spawn_one(page: Page) -> None:
    """Spawn a sleeper and wait until it is followed."""
    page.click("#spawn [type=submit]")
    page.wait_for_selector('#follow article[data-state="waiting"]')


def nothing(_page: Page) -> None:
    """Leave the page as it opens."""


#: name, path, what is done on it
PICTURES: tuple[tuple[str, str, Callable[[Page], None]], ...] = (
    ("overview", "/", wait_busy),
    ("greenlets", "/greenlets?state=live&sort=-run_time", nothing),
    ("greenlet", "/greenlets?state=live&q=client", open_greenlet),
    ("group", "/groups/1", wait_busy),
    ("events", "/tail?kinds=spawned,started,failed,killed,kill_requested", nothing),
    ("spawn", "/spawn?target=sleep", spawn_one),
    ("findings", "/findings", show_stack),
    ("stacks", "/stacks", nothing),
)


def main() -> None:
    """Start the demo, take all pictures, end it."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".dev" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        demo = Demo(Path(temporary) / "url")
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        try:
            time.sleep(WARM_UP)
            for theme in ("light", "dark"):
                take(browser.new_context, demo.base, theme, folder)
        finally:
            browser.close()
            demo.stop()


def take(new_context: Callable[..., object], base: str, theme: str, folder: Path) -> None:
    """Take all pictures in one theme."""
    context = new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=theme, reduced_motion="reduce")
    page: Page = context.new_page()  # type: ignore[attr-defined]
    page.context.request.post(f"{base}/api/login", data={"token": TOKEN})
    page.context.add_cookies([{"name": "greenscope_rate", "value": "0.25", "url": base}])
    for name, path, act in PICTURES:
        page.goto(base + path, wait_until="domcontentloaded")
        page.wait_for_selector('#badge[data-link="live"]')
        page.wait_for_timeout(2500)
        act(page)
        page.mouse.move(WIDTH - 2, HEIGHT - 2)
        page.screenshot(path=folder / f"{name}-{theme}.png")
    page.context.close()


if __name__ == "__main__":
    main()
