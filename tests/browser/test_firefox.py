"""The main job in Firefox: the token's door, figures that move, charts, a kill, a spawn. Skipped without one."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.marionette import Firefox

LIVE = "document.querySelector('#badge')?.dataset.link === 'live'"
EXECUTABLE = shutil.which("firefox-esr") or shutil.which("firefox")


@pytest.fixture
def firefox(tmp_path: Path) -> Iterator[Firefox]:
    """Start a fresh Firefox."""
    if EXECUTABLE is None:
        pytest.skip("no Firefox is installed")
    firefox = Firefox(EXECUTABLE, tmp_path)
    yield firefox
    firefox.close()


def test_main_job_in_firefox(firefox: Firefox, busy: Any) -> None:
    firefox.open(busy.url_file.read_text())
    firefox.wait(LIVE)
    assert firefox.run("location.hash") == ""
    assert firefox.run("document.querySelectorAll('.chart canvas').length") == 4
    figures = "[...document.querySelectorAll('#group-rows td')].map((cell) => cell.textContent).join()"
    before = firefox.run(figures)
    firefox.wait(f"{figures} !== {before!r}")

    firefox.open(f"{busy.base}/greenlets?state=live")
    firefox.wait(LIVE)
    firefox.type("#q", "serve-client")
    firefox.wait("[...document.querySelectorAll('#rows tr')].every((row) => row.textContent.includes('serve-client'))")
    firefox.click("#rows a[data-row]")
    firefox.click("#drawer [data-kill]")
    firefox.click("#dialog [type=submit]")
    firefox.wait("['done', 'alive'].includes(document.querySelector('#dialog .outcome').dataset.outcome)")

    firefox.open(f"{busy.base}/spawn?target=tidy")
    firefox.wait(LIVE)
    firefox.click("#spawn [type=submit]")
    firefox.wait("!!document.querySelector('#follow article.detail')")
    assert firefox.run("document.documentElement.scrollWidth <= innerWidth")
