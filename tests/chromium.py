"""Which Chromium is driven, and how it is started, for all that look at pages in it."""

import os
import shutil

#: parts of Chromium's own window, some of them pages of their own, that nobody sees without a screen. They cost more
#: than the pages that are looked at: two renderers for the address bar's popups in every new window. The last list
#: given counts, so what Playwright turns off and pages could notice stands here again.
UNUSED = (
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
    "AimEnabled",
    "LensOverlay",
    "MediaRouter",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "PreconnectToSearch",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=" + ",".join(UNUSED),
]


def find_chromium() -> str | None:
    """Return the Chromium to drive: a named one, the system's, or None for Playwright's own."""
    named = os.environ.get("GREENSCOPE_CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
