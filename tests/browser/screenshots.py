"""Take the pictures of the README: the real demo, at work, in both themes.

    python -m tests.browser.screenshots [FOLDER]        (default: .dev/screenshots)

Not a test. It waits for moments in which the pools are busy, so that the pictures show what a reader will see.
"""

import base64
import os
import shutil
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import starlette
from playwright.sync_api import Page, sync_playwright

import greenscope
from tests.browser.conftest import TOKEN, Demo
from tests.chromium import ARGUMENTS, find_chromium

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
    ("groups", "/groups", wait_busy),
    ("group", "/groups/1", wait_busy),
    ("stacks", "/stacks", nothing),
    ("waits", "/waits", nothing),
    ("tree", "/tree", nothing),
    ("events", "/tail?kinds=spawned,succeeded,failed,killed,finding", nothing),
    ("spawn", "/spawn?target=sleep", spawn_one),
    ("audit", "/audit", nothing),
    ("findings", "/findings", show_stack),
)


class ShownDemo(Demo):
    """The demo from a copy of the package, by the system's Python: no picture tells where somebody works."""

    def program(self) -> list[str]:
        """Copy the package beside the libraries that it needs, and return the command."""
        site = Path(tempfile.gettempdir()) / "site"
        shutil.rmtree(site, ignore_errors=True)
        package = Path(greenscope.__file__).parent
        shutil.copytree(package, site / "greenscope", ignore=shutil.ignore_patterns("__pycache__"))
        libraries = Path(starlette.__file__).parent.parent
        os.environ["PYTHONPATH"] = f"{site}{os.pathsep}{libraries}"
        python = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin") or sys.executable
        return [python, *super().program()[1:]]


def main() -> None:
    """Start the demo, take all pictures, end it."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".dev" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        demo = ShownDemo(Path(temporary) / "url")
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
        picture = make_small(page, page.screenshot())
        (folder / f"{name}-{theme}.png").write_bytes(picture)
    page.context.close()


#: finds the 256 colours that a picture is best drawn with, and the number of each pixel's
PALETTE = """async (data) => {
  const image = new Image();
  image.src = "data:image/png;base64," + data;
  await image.decode();
  const [width, height] = [image.width, image.height];
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const counts = new Map();
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
  const parts = (colour) => [colour & 255, (colour >> 8) & 255, (colour >> 16) & 255];
  // of colours that look alike the most frequent one; a few pixels of a bright colour say more than many greys
  const alike = new Map();
  for (const [colour, count] of counts) {
    const rgb = parts(colour), weight = count * (1 + (Math.max(...rgb) - Math.min(...rgb)) ** 2 / 64);
    const key = rgb.map((part) => part >> 3).join();
    const seen = alike.get(key);
    if (!seen) alike.set(key, { rgb, count, weight });
    else {
      if (count > seen.count) Object.assign(seen, { rgb, count });
      seen.weight += weight;
    }
  }
  const palette = [...alike.values()].sort((a, b) => b.weight - a.weight).slice(0, 256).map((one) => one.rgb);
  const numbers = new Map();
  for (const colour of counts.keys()) {
    const [r, g, b] = parts(colour);
    let best = 0, least = Infinity;
    palette.forEach(([x, y, z], number) => {
      const far = (x - r) ** 2 + (y - g) ** 2 + (z - b) ** 2;
      if (far < least) [best, least] = [number, far];
    });
    numbers.set(colour, best);
  }
  let text = "";
  for (const pixel of pixels) text += String.fromCharCode(numbers.get(pixel));
  return { width, height, palette: palette.flat(), pixels: btoa(text) };
}"""


def make_small(page: Page, picture: bytes) -> bytes:
    """Return a picture as a PNG of 256 colours (ISO/IEC 15948), a third of the size; the page's engine decodes it."""
    blank = page.context.new_page()
    found = blank.evaluate(PALETTE, base64.b64encode(picture).decode("ascii"))
    blank.close()
    width, height, pixels = found["width"], found["height"], base64.b64decode(found["pixels"])
    lines = b"".join(b"\0" + pixels[start : start + width] for start in range(0, len(pixels), width))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", bytes(found["palette"])),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    )
    written = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in chunks:
        written.append(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return b"".join(written)


if __name__ == "__main__":
    main()
