"""What an update costs in Chromium: `python browser_work.py PORT TOKEN PATH SECONDS` prints updates, ms and frames.

The browser opens a page and takes its updates four times a second. `ms` is what the page's main thread was busy per
update: scripts, style, layout and painting (TaskDuration of the DevTools protocol). It runs in a process of its own,
since playwright does with greenlets what it likes.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.chromium import ARGUMENTS, find_chromium


def busy_seconds(session: Any) -> float:
    """Return how long the page's main thread has been busy since it was made."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")


def main(port: str, token: str, path: str, seconds: str) -> None:
    """Open the page, let it settle, and measure."""
    base = f"http://127.0.0.1:{port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        context = browser.new_context(
            viewport={"width": 1280, "height": 900}, extra_http_headers={"Authorization": f"Bearer {token}"}
        )
        context.add_cookies([{"name": "greenscope_rate", "value": "0.25", "url": base}])
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Performance.enable")
        updates: list[str] = []
        session.on("Network.eventSourceMessageReceived", lambda message: updates.append(message["eventName"]))
        page.goto(base + path)
        page.wait_for_selector('#badge[data-link="live"]')
        page.wait_for_timeout(3000)
        begun, busy = time.monotonic(), busy_seconds(session)
        updates.clear()
        page.wait_for_timeout(float(seconds) * 1000)
        busy, took = busy_seconds(session) - busy, time.monotonic() - begun
        rows = page.locator("#rows tr, .rows tr").count()
        found = {"updates": len(updates), "took": took, "busy": busy, "rows": rows, "kinds": sorted(set(updates))}
        print(json.dumps(found))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
