"""Numbers and times as people read them: the templates' filters.

A figure has a fixed number of significant digits and its unit, so that a column of them keeps its width while they
change. `static/js/format.js` does the same in the browser, and a browser test holds the two together. None means "not
measured" and is shown as a dash, never as 0.
"""

from collections.abc import Callable, Mapping
from typing import Any

DASH = "–"
THIN = "\u202f"  # narrow no-break space between a number and its unit

GLYPHS: Mapping[str, str] = {
    "pending": "·",
    "ready": "◐",
    "running": "●",
    "waiting": "○",
    "succeeded": "✓",
    "failed": "✕",
    "killed": "⊘",
}

#: sign of each severity
SEVERITIES: Mapping[str, str] = {"critical": "✕", "warning": "▲", "info": "·"}

#: glyph and tone of each kind of event in the tail
KINDS: Mapping[str, tuple[str, str]] = {
    "spawned": ("+", ""),
    "started": ("▸", ""),
    "succeeded": ("✓", "good"),
    "failed": ("✕", "bad"),
    "killed": ("⊘", "near"),
    "kill_requested": ("⊘", "near"),
    "grouped": ("∈", "dim"),
    "ungrouped": ("∉", "dim"),
    "group_opened": ("{", "dim"),
    "group_closed": ("}", "dim"),
    "blocked": ("■", "bad"),
    "finding": ("!", "near"),
    "audit": ("¶", ""),
    "gap": ("…", "near"),
    "reset": ("↺", "near"),
}


def count(value: float | None) -> str:
    """Write a whole number with thousands separated: 1,204."""
    return DASH if value is None else f"{int(value):,}"


def duration(seconds: float | None) -> str:
    """Write seconds with three digits and a unit: 340 µs, 12.3 ms, 4.21 s, 3m 12s, 2h 05m, 3d 04h."""
    if seconds is None:
        return DASH
    if seconds <= 0:
        return f"0{THIN}ms"
    if seconds < 0.9995:
        for scale, unit in ((1e6, "µs"), (1e3, "ms")):
            scaled = seconds * scale
            if scaled < 999.5:
                return _digits(scaled) + THIN + unit
    if seconds < 59.95:
        return (f"{seconds:.2f}" if seconds < 9.995 else f"{seconds:.1f}") + THIN + "s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{THIN}{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{THIN}{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{THIN}{whole % 86400 // 3600:02d}h"


def rate(value: float | None) -> str:
    """Write a number per second: 0, 0.3, 12.4, 1,204."""
    if value is None:
        return DASH
    return "0" if value < 0.05 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def percent(share: float | None) -> str:
    """Write a share of 1 in per cent: 0.02 %, 3.1 %, 87 %."""
    if share is None:
        return DASH
    scaled = share * 100
    text = f"{scaled:.2f}" if scaled < 0.995 else f"{scaled:.1f}" if scaled < 9.95 else f"{scaled:.0f}"
    return text + THIN + "%"


def clock(moment: str | None) -> str:
    """Cut the time of day with milliseconds out of an RFC 3339 moment: 05:57:32.120."""
    if not moment or "T" not in moment:
        return DASH
    return moment.split("T", 1)[1].rstrip("Z").split("+", 1)[0][:12]


def place(site: Mapping[str, Any] | str | None) -> str:
    """Write a code site as `fetch.py:31 get`: the file's last part, the line, the function."""
    if not site:
        return DASH
    if isinstance(site, str):
        return site
    file = str(site.get("file") or "?")
    text = f"{file.rsplit('/', 1)[-1]}:{site.get('line', '?')}"
    return f"{text} {site['function']}" if site.get("function") else text


def fullplace(site: Mapping[str, Any] | str | None) -> str:
    """Write a code site with its whole path, as editors open it: /srv/app/fetch.py:31."""
    if not site:
        return ""
    return site if isinstance(site, str) else f"{site.get('file')}:{site.get('line')}"


def glyph(state: str) -> str:
    """Return the sign that stands beside a state's word."""
    return GLYPHS.get(state, "?")


def text(value: object) -> str:
    """Write anything as it is; nothing and None as a dash."""
    return DASH if value is None or value == "" else str(value)


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


FORMATS: Mapping[str, Callable[[Any], str]] = {
    "count": count,
    "duration": duration,
    "rate": rate,
    "percent": percent,
    "clock": clock,
    "place": place,
    "fullplace": fullplace,
    "glyph": glyph,
    "text": text,
}


def formatted(value: object, name: str) -> str:
    """Apply the format of that name: how live elements name theirs in `data-f`."""
    return FORMATS[name](value)
