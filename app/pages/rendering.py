"""How pages become answers: one `render`, the links, the viewer's choices, and what may be controlled.

Every link and asset carries the mount point (`root_path`), so the pages work under any path of somebody's application.
The viewer's choices (theme, columns, rate) are cookies, so that the first paint is already right without a script.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from greenscope.app.attention import alerts_of
from greenscope.app.breath import breathe
from greenscope.app.pages.environment import build_environment
from greenscope.app.pages.page import Page
from greenscope.app.probe import Capability

THEMES = ("system", "light", "dark")
RATES = ("0.25", "0.5", "1", "2", "5")
NO_STORE = {"cache-control": "no-store"}
#: seconds of the strip's line, a point each
TURNS_SHOWN = 72


def base_of(request: Request) -> str:
    """Return the path under which the dashboard is mounted, without a slash at its end."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def address(path: str, **parameters: object) -> str:
    """Join a path and the parameters that say something, in their order."""
    said = {key: value for key, value in parameters.items() if value not in (None, "", 0)}
    return f"{path}?{urlencode(said)}" if said else path


def offset_of(request: Request) -> int:
    """Return how many of a list's items the address leaves out at its beginning."""
    text = request.query_params.get("offset", "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


class Controls:
    """What this viewer may do here: control must be on, and the probe must be able to."""

    def __init__(self, dashboard: Any) -> None:
        self._probe = dashboard.probe
        self.on = bool(dashboard.controllable)

    def can(self, capability: Capability) -> bool:
        """Tell whether the button for it should be there."""
        return self.on and capability in self._probe.capabilities

    def missing(self, capability: Capability) -> str:
        """Say in one sentence why the probe can't do or see it ("" when it can)."""
        if capability in self._probe.capabilities:
            return ""
        return str(self._probe.missing(capability)) or f"Not available with {self._probe.backend}."

    def why(self, capability: Capability) -> str:
        """Say in one sentence why it can't be done or seen here, read-only included ("" when it can)."""
        if capability not in self._probe.capabilities:
            return self.missing(capability)
        if capability in ("kill", "resize", "spawn") and not self.on:
            return "Read-only: this dashboard was started without control."
        return ""


def render(
    request: Request, template: str, page: Page, *, title: str = "", status: int = 200, **context: Any
) -> Response:
    """Render a whole page: the frame's own data around the template's."""
    from greenscope.app.pages import PAGES

    dashboard = request.app.state.dashboard
    html = _fill(
        template,
        **frame(request, title or page.title),
        page=page,
        pages=[entry for entry in PAGES if entry.menu or (entry.name == "processes" and dashboard.feed.several)],
        health=health_of(dashboard),
        counts=dashboard.feed.counts(),
        group_count=len(dashboard.feed.groups()),
        alerts=alerts_of(dashboard.feed).counts(),
        turns=dashboard.feed.series()["hub_lag"][-TURNS_SHOWN:],
        **context,
    )
    return HTMLResponse(html, status, headers=NO_STORE)


def render_fragment(request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
    """Render a part of a page, which a script puts into its place (drawer, dialog)."""
    html = _fill(template, **frame(request, ""), **context)
    return HTMLResponse(html, status, headers=NO_STORE)


def _fill(template: str, **context: Any) -> str:
    pieces = []
    for piece in build_environment().get_template(template).generate(**context):
        pieces.append(piece)
        breathe()
    return "".join(pieces)


def frame(request: Request, title: str) -> dict[str, Any]:
    """Return what every template may use, also those of the door and of errors."""
    base = base_of(request)
    dashboard = request.app.state.dashboard
    theme = request.cookies.get("greenscope_theme", "")
    rate = request.cookies.get("greenscope_rate", "")
    return {
        "base": base,
        "title": title,
        "epoch": dashboard.feed.epoch,
        "address": address,
        "asset": lambda name: f"{base}/{dashboard.assets.url(name)}",
        "controls": Controls(dashboard),
        "theme": theme if theme in THEMES else "system",
        "rates_offered": RATES,
        "rate_chosen": rate if rate in RATES else "0.5",
        "program": str(dashboard.info.get("name") or "python"),
        "can_log_out": dashboard.info.get("authentication") == "token",
    }


def health_of(dashboard: Any) -> dict[str, Any]:
    """Return the health that the strip and the overview show, with its sums made."""
    health: dict[str, Any] = dashboard.health()
    cost: Mapping[str, float] = health["cost"]
    dropped: Mapping[str, int] = health["dropped"]
    hook = cost.get("hook_ns")
    newest = dashboard.feed.newest_point() or {}
    return {
        **health,
        "cost_hook": None if hook is None else hook / 1e9,
        "cost_share": cost.get("share"),
        "cost_traced": cost.get("traced"),
        "longest_turn": newest.get("hub_lag"),
        "dropped_total": sum(dropped.values()),
        "dropped_text": ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in dropped.items() if count),
    }
