"""Greenlets, Groups and Pools on paper: what the scripted probe shows instead of real ones."""

from greenscope.app.model import Figures, GreenletRecord, GreenletSample, GroupSample, Site, Stack, State, WaitRecord


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
        account = self.figures(now, accounting)[2:]
        return GreenletSample(self.record.id, self.state, self.place, self.waiting_on, *account, self.kill_requested)

    def figures(self, now: float, accounting: bool) -> Figures:
        """Return state and times as they are at `now`."""
        state = self.state
        if not accounting:
            return (self.record.id, state, None, None, None, None, None)
        spent, stretch = self.spent, max(0.0, now - self.since)
        run, ready, wait, longest = spent["running"], spent["ready"], spent["waiting"], self.longest_run
        if state == "waiting":
            wait += stretch
        elif state == "ready":
            ready += stretch
        elif state == "running":
            run += stretch
            longest = max(longest, stretch)
        return (self.record.id, state, run, ready, wait, self.switches, longest)


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
