"""A real Chromium, and the dashboards that it looks at, each in a process of its own.

Playwright runs on greenlets, so the observed program must be another process (`observed.py`). Without a browser these
tests are skipped on a laptop and fail where `CI` is set. Whatever a page writes to the console as an error, throws, or
does against the content security policy fails the test that looked at it.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.chromium import ARGUMENTS, find_chromium

OBSERVED = Path(__file__).with_name("observed.py")
TOKEN = "open-sesame-for-tests-only-0123456789"
#: makes the page itself tell what its policy stopped
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here as a browser test."""
    for item in items:
        if Path(item.path).parent == OBSERVED.parent:
            item.add_marker(pytest.mark.browser)


class Observed:
    """A dashboard in another process."""

    def __init__(self, url_file: Path, *options: str, port: int = 0) -> None:
        self.url_file = url_file
        self.options = options
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        #: what it reports: a pipe that nobody reads would hold its hub once it is full
        self.report = url_file.with_name(f"{url_file.name}.stderr")
        self.start()

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.url_file.unlink(missing_ok=True)
        command = [*self.program(), "--url-file", str(self.url_file), "--port", str(self.port)]
        with self.report.open("wb") as report:
            self.process = subprocess.Popen([*command, *self.options], stdout=subprocess.DEVNULL, stderr=report)
        deadline = time.monotonic() + 20
        while not (self.url_file.exists() and self.url_file.read_text()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the dashboard did not start: {self.report.read_text()[-2000:]}")
            time.sleep(0.02)
        self.base = self.url_file.read_text().split("/#")[0]
        self.port = int(self.base.rsplit(":", 1)[1])

    def program(self) -> list[str]:
        """Return what is started, without its options."""
        return [sys.executable, str(OBSERVED)]

    def stop(self) -> None:
        """End it; idempotent."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(8)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


class Demo(Observed):
    """The demo as a user starts it: the native runtime over real files."""

    def program(self) -> list[str]:
        """Return the command of the README."""
        return [sys.executable, "-m", "greenscope", "demo", "--token", TOKEN]


class Tab:
    """A page that is logged in, with what went wrong in it."""

    def __init__(self, page: Page, observed: Observed) -> None:
        self.page = page
        self.observed = observed
        self.faults: list[str] = []
        #: parts of console errors that this test provokes on purpose
        self.expected: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    def log_in(self) -> None:
        """Exchange the token for the cookie, as the door's script does."""
        answer = self.page.context.request.post(f"{self.observed.base}/api/login", data={"token": TOKEN})
        assert answer.ok, answer.text()

    def open(self, path: str) -> Page:
        """Open a page and wait until it is live."""
        self.page.goto(self.observed.base + path, wait_until="domcontentloaded")
        self.page.wait_for_selector('#badge[data-link="live"]')
        return self.page

    def check(self) -> None:
        """Fail if the page complained."""
        unexpected = [fault for fault in self.faults if not any(part in fault for part in self.expected)]
        assert not unexpected, "\n".join(unexpected)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start Chromium, once per file: meanwhile Playwright's event loop runs in this thread, and no other can."""
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        except PlaywrightError as error:
            reason = f"no Chromium can be started: {str(error).splitlines()[0]}"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def token() -> str:
    """Return the token of all observed dashboards."""
    return TOKEN


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for address files."""
    return tmp_path_factory.mktemp("observed")


@pytest.fixture(scope="session")
def start_observed(folder: Path) -> Iterator[Callable[..., Observed]]:
    """Start observed programs; all of them are ended in the end."""
    started: list[Observed] = []

    def start(*options: str, port: int = 0) -> Observed:
        started.append(Observed(folder / f"url-{len(started)}", *options, port=port))
        return started[-1]

    yield start
    for observed in started:
        observed.stop()


@pytest.fixture(scope="module")
def demo(folder: Path) -> Iterator[Demo]:
    """Return the demo, running."""
    demo = Demo(folder / "url-demo")
    yield demo
    demo.stop()


@pytest.fixture(scope="session")
def busy(start_observed: Callable[..., Observed]) -> Observed:
    """Return a crawler that lives on, with control."""
    return start_observed()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """Give a fresh browser profile."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    context.add_init_script(TELL_VIOLATIONS)
    yield context
    context.close()


@pytest.fixture
def visit(context: BrowserContext) -> Iterator[Callable[[Observed], Tab]]:
    """Open tabs that are logged in; what they complain about fails the test."""
    tabs: list[Tab] = []

    def visit(observed: Observed) -> Tab:
        tab = Tab(context.new_page(), observed)
        tab.log_in()
        tabs.append(tab)
        return tab

    yield visit
    for tab in tabs:
        tab.check()


@pytest.fixture
def tab(visit: Callable[[Observed], Tab], busy: Observed) -> Tab:
    """Return a tab on the crawler."""
    return visit(busy)


@pytest.fixture
def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
