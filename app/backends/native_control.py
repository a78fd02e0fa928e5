"""Kill, resize and spawn in the native runtime: posted to the hub, answered by what was seen.

    dashboard's thread: request -> hub.run_callback ....... Future <- expire() after the time-out
    hub's thread:                  carry out, link to the end -> Future

A request that the hub has not taken up in time is answered `queued`: it stays posted
and will be carried out. One that was carried out without the wanted end is `alive`.
"""

from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenscope.app.backends.native_view import state_of
from greenscope.app.backends.request import Answer, Request
from greenscope.app.model import ControlResult
from greenscope.runtime.greenlet import Greenlet
from greenscope.runtime.hub import Hub, hubs
from greenscope.runtime.pool import Pool
from greenscope.runtime.waits import kill as kill_raw

if TYPE_CHECKING:
    from greenscope.app.backends.native import NativeProbe


class NativeControl:
    """The controls of a NativeProbe."""

    def __init__(self, probe: "NativeProbe") -> None:
        self.probe = probe
        self._open: list[Request] = []

    def expire(self) -> None:
        """Answer requests whose time is up; called by drain(), in the dashboard's thread."""
        now = monotonic()
        still = []
        for request in self._open:
            if request.future.done():
                continue
            if now < request.deadline:
                still.append(request)
            elif request.begun:
                request.answer(request.late())
            else:
                request.answer(ControlResult("queued", "The hub is busy; the request is carried out when it is free."))
        self._open = still

    def _post(self, hub: Hub, request: Request, act: Callable[[], None]) -> Answer:
        def carry_out() -> None:
            request.begun = True
            try:
                act()
            except Exception as error:
                request.answer(ControlResult("refused", f"{type(error).__name__}: {error}"))

        self._open.append(request)
        hub.run_callback(carry_out)
        return request.future

    @staticmethod
    def _now(outcome: Any, reason: str) -> Answer:
        future: Answer = Future()
        future.set_result(ControlResult(outcome, reason))
        return future

    def kill(self, id: int, timeout: float) -> Answer:
        """Kill one greenlet; `alive` with its place when it caught the exception."""
        greenlet = self.probe.alive.get(id)
        if greenlet is None:
            if 0 < id <= self.probe.hooks.given():  # ids count up, so it did exist
                return self._now("gone", "It had ended already.")
            return self._now("unknown", f"No greenlet has the id {id}.")
        if isinstance(greenlet, Hub) or greenlet.parent is None:
            return self._now("refused", "This is the main greenlet of its thread: killing it would end the program.")
        request = Request(timeout, lambda: self._survivors([id], "It caught the exception and lives on."))

        def answer_dead() -> None:
            if greenlet.dead:
                request.answer(ControlResult("done", "It is dead.", (id,), "killed"))

        def act() -> None:
            if greenlet.dead:
                request.answer(ControlResult("gone", "It had ended already."))
            elif isinstance(greenlet, Greenlet):
                greenlet.rawlink(lambda _: request.answer(ControlResult("done", "It is dead.", (id,), "killed")))
                greenlet.kill(block=False)
            else:
                kill_raw(greenlet)
                hub_of(greenlet).run_callback(answer_dead)

        return self._post(hub_of(greenlet), request, act)

    def kill_group(self, id: int, group: Any, timeout: float) -> Answer:
        """Kill all members of a group; `alive` with the ids of those that live on."""
        if group is None:
            return self._now("unknown", f"No group has the id {id}.")
        members = [member for member in list(group.greenlets) if not member.dead]
        if not members:
            return self._now("done", "It had no members.")
        ids = [member._greenscope_id for member in members]
        left = set(ids)
        request = Request(timeout, lambda: self._survivors(ids, "They caught the exception and live on."))

        def on_end(member: Any) -> None:
            left.discard(member._greenscope_id)
            if not left:
                request.answer(ControlResult("done", f"{len(ids)} are dead.", tuple(ids), "killed"))

        def act() -> None:
            for member in members:
                member.rawlink(on_end)
                member.kill(block=False)

        return self._post(hub_of(members[0]), request, act)

    def resize(self, group: Any, size: int, timeout: float) -> Answer:
        """Give a Pool another size."""
        if group is None:
            return self._now("unknown", "No such group.")
        if not isinstance(group, Pool) or group.size is None:
            return self._now("refused", "Only a Pool with a size can be resized.")
        hub = self._some_hub()
        if hub is None:
            return self._now("refused", "No hub runs.")
        request = Request(timeout, lambda: ControlResult("queued", "The resize has begun."))

        def act() -> None:
            group.size = size
            request.answer(ControlResult("done", f"Its size is {size} now."))

        return self._post(hub, request, act)

    def spawn(
        self,
        function: Callable[..., Any],
        arguments: dict[str, Any],
        group_id: int | None,
        group: Any,
        delay: float | None,
        timeout: float,
    ) -> Answer:
        """Spawn a function; into a full Pool it waits for its slot like any other spawner."""
        if group_id is not None and group is None:
            return self._now("unknown", f"No group has the id {group_id}.")
        hub = self._some_hub()
        if hub is None:
            return self._now("refused", "No hub runs.")
        request = Request(timeout, lambda: ControlResult("queued", "The pool is full; it starts when a slot is free."))

        def answer(new: Greenlet) -> None:
            ids = () if new._greenscope_id is None else (new._greenscope_id,)
            request.answer(ControlResult("done", "", ids, "pending"))

        def enter(new: Greenlet) -> None:
            group.start(new)
            answer(new)

        def act() -> None:
            new = Greenlet(function, **arguments)
            if delay:
                new.start_later(delay)
                if group is not None:
                    group.add(new)
                answer(new)
            elif group is None:
                new.start()
                answer(new)
            else:
                Greenlet.spawn(enter, new)

        return self._post(hub, request, act)

    @staticmethod
    def _some_hub() -> Hub | None:
        """Return the hub that has run the most turns, of those that turn now if there are such.

        A hub does not turn while its main greenlet runs (then that has no frame to show), perhaps for ever.
        """
        living = [hub for hub in list(hubs) if not hub.dead and hub.parent is not None]
        turning = [hub for hub in living if hub.sleeping or getattr(hub.parent, "gr_frame", None) is not None]
        return max(turning or living, key=lambda hub: hub.turns, default=None)

    def _survivors(self, ids: list[int], reason: str) -> ControlResult:
        samples = self.probe.sample(ids)
        if not samples:
            return ControlResult("done", "", tuple(ids), "killed")
        first = samples[0]
        return ControlResult("alive", reason, tuple(s.id for s in samples), first.state, first.place)


def hub_of(greenlet: Any) -> Hub:
    """Return the hub that a greenlet belongs to."""
    hub: Hub = greenlet.hub if hasattr(greenlet, "hub") else greenlet.parent
    return hub


__all__ = ["NativeControl", "state_of"]
