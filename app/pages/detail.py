"""What the details of a greenlet say beyond the feed's row: how long ago, which share, in whose code.

The feed gives moments as RFC 3339; a person wants to know how long ago. Both ends come from the same answer (`now`), so
nothing here looks at a clock.
"""

import sys
import sysconfig
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

_LIBRARY = tuple(
    {path for path in (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sys.prefix + "/lib") if path}
)
_LIVE = ("pending", "ready", "running", "waiting")


def seconds_between(earlier: str | None, later: str | None) -> float | None:
    """Return the seconds from one RFC 3339 moment to another, never negative (None when one is unknown)."""
    if not earlier or not later:
        return None
    return max(0.0, (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds())


def is_library(file: str) -> bool:
    """Tell whether a frame is of the standard library, of an installed package or of the runtime itself."""
    return file.startswith(("<", *_LIBRARY)) or "/site-packages/" in file or "/greenscope/runtime/" in file


def present(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a feed's greenlet detail what its template shows."""
    now, waiting, live = detail["now"], detail["waiting_on"], detail["state"] in _LIVE
    return {
        **detail,
        "stack": present_frames(detail["stack"] or ()),
        "traceback": present_frames(detail["traceback"] or ()),
        "spawn_stack": [present_frame(frame) for frame in detail["spawn_stack"] or () if frame],
        "waiting_since": seconds_between(waiting["since"], now) if waiting else None,
        "ended_ago": seconds_between(detail["ended"], now),
        "asked_ago": seconds_between(detail["kill_requested"], now) if live else None,
        "share": _share(detail),
        "holds": detail.get("holds") or [],
        # those that still live first: they are what a look at the family is for
        "children": sorted(detail["children"], key=lambda child: child["state"] not in _LIVE),
        "moments": [_moment(moment, detail["timeline"]) for moment in detail["timeline"]],
    }


def present_frames(frames: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Present a stack, innermost last, and mark the frame to look at (`here`): the innermost outside of libraries."""
    shown = [present_frame(frame) for frame in frames]
    own = [frame for frame in shown if not frame["library"]]
    for frame in own[-1:] or shown[-1:]:
        frame["here"] = len(shown) > 1
    return shown


def present_frame(frame: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a frame its source line, if it has none, and whether it is a library's."""
    return {"source": "", "here": False, **frame, "library": is_library(str(frame.get("file") or ""))}


def _share(detail: Mapping[str, Any]) -> dict[str, float] | None:
    times = [detail["run_time"], detail["ready_time"], detail["wait_time"]]
    if any(time is None for time in times) or not sum(times):
        return None
    whole = sum(times)
    return {"run": times[0] / whole, "ready": times[1] / whole, "wait": times[2] / whole}


def _moment(moment: Mapping[str, Any], timeline: list[Mapping[str, Any]]) -> dict[str, Any]:
    after = None if moment is timeline[0] else seconds_between(timeline[0]["t"], moment["t"])
    return {**moment, "after": after, "lasted": moment.get("duration")}
