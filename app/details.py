"""Everything about one greenlet, and about one group: what their pages and drawers show.

Made when somebody looks, from the feed's state and a fresh look through the probe. Lists are bounded and
say how many there are. What the probe cannot tell is absent with a reason, so that nobody takes "not known"
for "nothing".
"""

from typing import TYPE_CHECKING, Any, Final

from greenscope.app.formatting import duration, ident, safe_text, site, sites, waiting
from greenscope.app.lives import Band, Life

if TYPE_CHECKING:
    from greenscope.app.feed import Feed

#: longest list of relatives, waiters or members in a detail
LIST_LIMIT: Final = 100


def greenlet_detail(feed: "Feed", life: Life) -> dict[str, Any]:
    """Return a greenlet's row, and beside it stack, family, waits and timeline."""
    (row,) = feed.rows([life.record.id]) or [life.row(feed.clock, feed.now, 0)]
    record, probe, clock = life.record, feed.probe, feed.clock
    stack = probe.stack(record.id) if life.ended is None and "stacks" in probe.capabilities else None
    sample = life.sample if life.ended is None else None
    wait = sample.waiting_on if sample else None
    children = list(life.children or ())
    waiters = list(probe.waiters_of(record.id)) if life.ended is None else []
    waited_for_by = _briefs(feed, waiters)
    kill_requested = sample.kill_requested if sample and sample.kill_requested else life.kill_requested
    return {
        **row,
        "thread": record.thread,
        "kind": record.kind,
        "from_dashboard": record.from_dashboard,
        "now": clock.rfc3339(feed.now),
        "kill_requested": clock.rfc3339(kill_requested),
        "stack": None if stack is None else sites(stack.frames, stack.source),
        "traceback": sites(life.failure.traceback) if life.failure and life.final == "failed" else [],
        "spawn_stack": [] if record.spawn_site is None else [site(record.spawn_site)],
        "parent_greenlet": _brief(feed, record.parent),
        "children": _briefs(feed, children),
        "children_count": len(children),
        "group_rows": [band.row() for band in map(feed.band, life.groups) if band is not None],
        "waits_for": _briefs(feed, _targets(wait.owner, wait.target) if wait else []),
        "waiting_on": waiting(wait, clock),
        "waited_for_by": waited_for_by,
        "waited_for_by_count": len(waiters),
        "holds": _holds(feed, record.id, waiters),
        "timeline": _timeline(feed, life),
        "missing": {
            name: probe.missing(name)
            for name in ("stacks", "waiting_on", "owners", "accounting", "spawn_site")
            if name not in probe.capabilities
        },
    }


def group_detail(feed: "Feed", band: Band) -> dict[str, Any]:
    """Return a group's row, and beside it first members, opening and closing, and the history for its chart."""
    members = list(band.members)
    return {
        **band.row(),
        "opened": feed.clock.rfc3339(band.opened),
        "closed": feed.clock.rfc3339(band.closed),
        "members": feed.rows(members[:LIST_LIMIT]),
        "members_count": len(members),
        "series": band.series.data() if band.series is not None else None,
        "now": feed.clock.rfc3339(feed.now),
    }


def _holds(feed: "Feed", id: int, waiters: list[int]) -> list[dict[str, Any]]:
    """Return what a greenlet holds that others wait for: `{kind, name, waiters}`, as its waiters were just seen."""
    held: dict[tuple[str, str], int] = {}
    for waiter in waiters[:LIST_LIMIT]:
        life = feed.life(waiter)
        wait = life.sample.waiting_on if life is not None and life.sample is not None else None
        if wait is not None and wait.owner == id:
            key = (safe_text(wait.kind), safe_text(wait.name))
            held[key] = held.get(key, 0) + 1
    return [{"kind": kind, "name": name, "waiters": count} for (kind, name), count in held.items()]


def _targets(*ids: int | None) -> list[int]:
    return list(dict.fromkeys(id for id in ids if id is not None))


def _brief(feed: "Feed", id: int | None) -> dict[str, Any] | None:
    if id is None:
        return None
    life = feed.life(id)
    # a relative that has been forgotten is still named
    return {"id": ident(id), "name": "", "state": None, "function": ""} if life is None else life.brief()


def _briefs(feed: "Feed", ids: list[int]) -> list[dict[str, Any]]:
    shown = ids[:LIST_LIMIT]
    feed.look([id for id in shown if (life := feed.life(id)) is not None and life.ended is None])
    return [brief for brief in (_brief(feed, id) for id in shown) if brief is not None]


def _timeline(feed: "Feed", life: Life) -> list[dict[str, Any]]:
    """Return the moments of a life in order: `{t, kind}`, a block with its duration."""
    moments: list[tuple[float, str, float | None]] = [(life.record.created, "spawned", None)]
    if life.started is not None:
        moments.append((life.started, "started", None))
    if life.kill_requested is not None:
        moments.append((life.kill_requested, "kill_requested", None))
    moments += [(t, "blocked", lasted) for t, lasted in life.blocked or ()]
    if life.ended is not None and life.final is not None:
        moments.append((life.ended, life.final, None))
    moments.sort(key=lambda moment: moment[0])
    return [
        {"t": feed.clock.rfc3339(t), "kind": kind} | ({} if lasted is None else {"duration": duration(lasted)})
        for t, kind, lasted in moments
    ]
