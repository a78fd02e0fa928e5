"""The overview: what is wrong first, then groups and pools, then rates and history, then what watching costs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from greenscope.app.attention import alerts_of, in_words
from greenscope.app.model import LIVE_STATES, State
from greenscope.app.pages.page import Page
from greenscope.app.pages.rendering import health_of, render
from greenscope.app.pages.tiles import Tile
from greenscope.app.pages.weight import ROOM_BESIDE_CHARTS, Room

#: seconds without a turn of the hub: worth a look, and bad
SLOW_LAG, STUCK_LAG = 0.1, 1.0
#: groups shown here; the rest has a page of its own
MOST_GROUPS = 20

CHARTS: tuple[dict[str, Any], ...] = (
    {
        "key": "rates",
        "title": "Per second",
        "hint": "Spawned above finished for long means that they pile up",
        "lines": (
            {"key": "spawned", "title": "spawned", "tone": "blue"},
            {"key": "finished", "title": "finished", "tone": "green"},
            {"key": "failed", "title": "failed", "tone": "red"},
        ),
    },
    {
        "key": "states",
        "title": "Live by state",
        "hint": "Many ready for long means that the hub is busy",
        "lines": (
            {"key": "running", "title": "running", "tone": "green"},
            {"key": "ready", "title": "ready", "tone": "blue"},
            {"key": "waiting", "title": "waiting", "tone": "grey"},
        ),
    },
    {
        "key": "lag",
        "title": "Hub lag",
        "hint": "The longest turn of the hub within each second; nobody else ran meanwhile",
        "lines": ({"key": "hub_lag", "title": "longest turn", "tone": "amber"},),
    },
    {
        "key": "switches",
        "title": "Switches /s",
        "hint": "How often the hub switched to a greenlet",
        "lines": ({"key": "switches", "title": "switches", "tone": "blue"},),
    },
)


Counts = Mapping[str, int]
Rates = Mapping[str, Mapping[str, float]]


def _rated(rates: Rates, key: str, title: str, hint: str) -> Tile:
    """Make the tile of a rate: over the last second, and below over ten."""
    tile = Tile(f"{key}-rate", title, rates["1s"].get(key), hint, "rate", f"rates.1s.{key}", "/s")
    return replace(tile, sub_path=f"rates.10s.{key}", sub_value=rates["10s"].get(key), before="10 s:", after="/s")


def _counted(counts: Counts, state: State, hint: str, after: str) -> Tile:
    """Make the tile of a state: how many are in it now."""
    link = f"/greenlets?state={state}"
    return Tile(state, state, counts.get(state, 0), hint, path=f"counts.{state}", link=link, after=after)


def make_tiles(counts: Counts, rates: Rates, health: Mapping[str, Any]) -> list[Tile]:
    """Describe the eight figures of the overview."""
    lag, failing = health["hub_lag"] or 0.0, rates["10s"].get("failed", 0.0)
    live = sum(counts.get(state, 0) for state in LIVE_STATES)
    failed = replace(
        _counted(counts, "failed", "Ended by an exception, so far", "/s"),
        link="/greenlets?state=failed&sort=-ended",
        level="bad" if failing >= 0.05 else "",
        before="10 s:",
        sub_path="rates.10s.failed",
        sub_value=failing,
    )
    running = _counted(counts, "running", "Holding a hub now", "live in all")
    return [
        replace(running, sub_path="live_total", sub_value=live, sub_format="count"),
        _counted(counts, "ready", "Grows when a hub is busy", "could run now"),
        _counted(counts, "waiting", "Parked on something; cheap", "parked"),
        failed,
        _rated(rates, "spawned", "Spawned", "Above finished for long: they pile up"),
        _rated(rates, "finished", "Finished", "Ended, well or not"),
        _rated(rates, "switches", "Switches", "How often the hubs switched to a greenlet"),
        Tile(
            "lag",
            "Hub lag",
            health["hub_lag"],
            "How long the present turn has lasted; nobody else runs meanwhile",
            "duration",
            "health.hub_lag",
            level="bad" if lag >= STUCK_LAG else "near" if lag >= SLOW_LAG else "",
            before="1 s max",
            sub_path="health.longest_turn",
            sub_value=health["longest_turn"],
            sub_format="duration",
        ),
    ]


async def overview(request: Request) -> Response:
    """Answer `/`."""
    dashboard = request.app.state.dashboard
    feed = dashboard.feed
    attention = alerts_of(feed).items(health_of(dashboard))
    health, groups, counts, rates = health_of(dashboard), feed.groups(), feed.counts(), feed.rates()
    return render(
        request,
        "overview.html",
        PAGE,
        attention=attention,
        attention_words=in_words(attention),
        calm=all(item["severity"] == "info" for item in attention),
        tiles=make_tiles(counts, rates, health),
        groups=groups[:MOST_GROUPS],
        offset=0,
        total=len(groups),
        room=Room(ROOM_BESIDE_CHARTS),
        charts=CHARTS,
        series=feed.series(),
        threads=[(number, hub) for number, hub in enumerate(feed.hubs()) if hub["threadpool"] or hub["resolver"]],
    )


PAGE = Page("/", "overview", "Overview", overview, menu=True, icon="gauge", key="o")
