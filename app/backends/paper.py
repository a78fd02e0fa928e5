"""Greenlets, Groups and Pools on paper: what the scripted probe shows instead of real ones."""

from greenscope.app.model import GreenletRecord, GreenletSample, GroupSample, Site, Stack, State, WaitRecord


class Paper:
    """One greenlet on paper.

    Its durations are sums of finished stretches; the present one began at `since`.
    """

    __slots__ = (
        "groups",
        "kill_requested",
        "longest_run",
        "place",
        "record",
        "since",
        "spent",
        "stack",
        "state",
        "stubborn",
        "switches",
        "waiting_on",
    )

    def __init__(self, record: GreenletRecord, since: float) -> None:
        self.record = record
        self.state: State = "pending"
        self.since = since
        self.spent = {"running": 0.0, "ready": 0.0, "waiting": 0.0}
        self.switches = 0
        self.longest_run = 0.0
        self.place: Site | None = None
        self.waiting_on: WaitRecord | None = None
        self.kill_requested: float | None = None
        self.stubborn = False
        self.groups: dict[int, None] = {}
        self.stack: Stack | None = None

    def move(self, state: State, now: float) -> None:
        """End the present stretch at `now` and begin one in `state`."""
        stretch = max(0.0, now - self.since)
        if self.state in self.spent:
            self.spent[self.state] += stretch
        if self.state == "running":
            self.longest_run = max(self.longest_run, stretch)
        if state == "running" and self.state != "running":
            self.switches += 1
        self.state, self.since = state, now

    def sample(self, now: float, accounting: bool) -> GreenletSample:
        """Return what a probe would see at `now`."""
        if not accounting:
            return GreenletSample(
                self.record.id, self.state, self.place, self.waiting_on, kill_requested=self.kill_requested
            )
        spent = self.spent
        stretch = max(0.0, now - self.since)
        state = self.state
        return GreenletSample(
            self.record.id,
            state,
            self.place,
            self.waiting_on,
            spent["running"] + (stretch if state == "running" else 0.0),
            spent["ready"] + (stretch if state == "ready" else 0.0),
            spent["waiting"] + (stretch if state == "waiting" else 0.0),
            self.switches,
            max(self.longest_run, stretch if state == "running" else 0.0),
            self.kill_requested,
        )


class PaperGroup:
    """A Group or, with a size, a Pool on paper."""

    __slots__ = ("id", "members", "name", "size", "waiters")

    def __init__(self, id: int, name: str, size: int | None) -> None:
        self.id = id
        self.name = name
        self.size = size
        self.waiters = 0
        self.members: dict[int, None] = {}

    def sample(self) -> GroupSample:
        """Return the group as it is now."""
        active = len(self.members)
        if self.size is None:
            return GroupSample(self.id, self.name, "group", active, members=tuple(self.members))
        free = max(0, self.size - active)
        return GroupSample(self.id, self.name, "pool", active, self.size, free, self.waiters, tuple(self.members))
