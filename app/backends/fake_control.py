"""How kill, resize and spawn act on the scripted probe's paper: at once, unless the script has said otherwise."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal

from greenscope.app.model import ControlResult, Event

if TYPE_CHECKING:
    from greenscope.app.backends.fake import FakeProbe

Action = Literal["kill", "kill_group", "resize", "spawn"]
Outcome = Literal["done", "queued", "alive", "gone", "unknown", "refused", "held"]


class FakeControl:
    """The controls of a FakeProbe."""

    def __init__(self, probe: "FakeProbe") -> None:
        self.probe = probe
        self._answers: dict[str, deque[tuple[Outcome, str]]] = {}
        self._held: list[tuple[Future[ControlResult], Callable[[], ControlResult]]] = []

    def script(self, action: Action, outcome: Outcome, reason: str, times: int) -> None:
        """Answer the next `times` calls of this kind with `outcome`, doing nothing else."""
        self._answers.setdefault(action, deque()).extend([(outcome, reason)] * times)

    def release(self) -> int:
        """Carry out the calls that were `held` and resolve their futures; return how many."""
        held, self._held = self._held, []
        for future, act in held:
            if not future.done():
                future.set_result(act())
        return len(held)

    def answer(
        self, action: Action, act: Callable[[], ControlResult], id: int | None = None
    ) -> "Future[ControlResult]":
        """Return a future for a control call: what it did, or what the script says."""
        future: Future[ControlResult] = Future()
        scripted = self._answers.get(action)
        if not scripted:
            future.set_result(act())
            return future
        outcome, reason = scripted.popleft()
        if outcome == "held":
            self._held.append((future, act))
            return future
        paper = self.probe.alive.get(id) if id is not None else None
        reasons = {
            "queued": "the hub has not answered; the request stays posted",
            "alive": "the greenlet has caught the kill and goes on",
            "refused": "the hub and the dashboard's own server are not killed from here",
            "gone": "it had ended before",
            "unknown": "there is no such id",
        }
        future.set_result(
            ControlResult(
                outcome,
                reason or reasons.get(outcome, ""),
                ids=() if id is None else (id,),
                state=paper.state if paper else None,
                place=paper.place if paper else None,
            )
        )
        return future

    def kill(self, id: int) -> ControlResult:
        """Kill a greenlet."""
        paper = self.probe.alive.get(id)
        if paper is None:
            if 0 < id < self.probe.next_id:
                return ControlResult("gone", "it had ended before", (id,))
            return ControlResult("unknown", "there is no such id", (id,))
        paper.kill_requested = self.probe.clock()
        self.probe.emit(Event("kill_requested", paper.kill_requested, greenlet=id))
        if paper.stubborn:
            reason = "the greenlet has caught the kill and goes on"
            return ControlResult("alive", reason, (id,), paper.state, paper.place)
        self.probe.die(id)
        return ControlResult("done", "", (id,), "killed")

    def kill_group(self, id: int) -> ControlResult:
        """Kill all members of a group."""
        group = self.probe.bands.get(id)
        if group is None:
            return self._no_group(id)
        members = list(group.members)
        survivors = tuple(member for member in members if self.kill(member).outcome == "alive")
        if survivors:
            return ControlResult("alive", f"{len(survivors)} of {len(members)} still live", survivors)
        return ControlResult("done", f"{len(members)} killed")

    def resize(self, id: int, size: int) -> ControlResult:
        """Resize a Pool."""
        group = self.probe.bands.get(id)
        if group is None:
            return self._no_group(id)
        if group.size is None:
            return ControlResult("refused", "a plain Group has no size")
        group.size = size
        return ControlResult("done", f"the pool has {size} slots now")

    def spawn(self, function: Callable[..., Any], group: int | None, delay: float | None) -> ControlResult:
        """Spawn: the function is never called, its name and place are."""
        if group is not None and group not in self.probe.bands:
            return self._no_group(group)
        code = getattr(function, "__code__", None)
        id = self.probe.add(
            getattr(function, "__name__", "function"),
            file=code.co_filename if code else "/srv/crawler/app.py",
            line=code.co_firstlineno if code else 1,
            group=group,
            from_dashboard=True,
        )
        if not delay:
            self.probe.start(id)
        return ControlResult("done", "", (id,), self.probe.alive[id].state)

    def _no_group(self, id: int) -> ControlResult:
        if 0 < id < self.probe.next_group:
            return ControlResult("gone", "the group is no longer there")
        return ControlResult("unknown", "there is no group with this id")
