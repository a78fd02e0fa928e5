"""Control: the one way from a button to the observed program.

kill, kill a group, resize, spawn: each is written to the audit, posted to the owning hub through the probe, and
answered with what was observed, not with what was hoped for. The hub may be busy; then the answer is `queued`, the
request stays posted, and what came of it is told later by an `audit` event.

    guard -> Control -> audit.begin -> probe.kill() ... hub ... -> audit.end -> answer

A double click is one kill: requests for the same action and target that carry the same idempotency key, or that
arrive while the first is still under way, share one answer. (Key semantics: draft-ietf-httpapi-idempotency-key.)
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from greenscope.app.audit import Audit, AuditError, AuditRecord
from greenscope.app.formatting import ident, parse_ident
from greenscope.app.model import ControlResult, Site
from greenscope.app.probe import Capability, Probe
from greenscope.app.spawnables import ArgumentErrors, Spawnables, UnknownSpawnable

#: seconds that a request waits for the hub's answer before it says `queued`
ANSWER_TIMEOUT = 2.0
#: beyond the probe's own time-out, which it looks at with each tick: three of them, for a hub that does not turn at all
GRACE = 0.75
KEPT_ANSWERS = 1000
KEPT_SECONDS = 300.0
MAX_SIZE = 1_000_000
MAX_DELAY = 86_400.0

STATUS = {"done": 200, "queued": 202, "alive": 202, "gone": 409, "refused": 409, "unknown": 404}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status and JSON body; `repeated` when it is the answer to an earlier, equal request."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    repeated: bool = False


def _site(site: Site | None) -> dict[str, Any] | None:
    return None if site is None else {"file": site.file, "line": site.line, "function": site.function}


def problem(status: int, error: str, message: str, **fields: Any) -> Answer:
    """Make an error answer: `error` is a word for programs, `message` a sentence for people."""
    return Answer(status, {"error": error, "message": message, **fields})


class Control:
    """Carries out control requests. Used from the dashboard's event loop only."""

    def __init__(
        self,
        probe: Probe,
        audit: Audit,
        spawnables: Spawnables,
        *,
        timeout: float = ANSWER_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.probe = probe
        self.audit = audit
        self.spawnables = spawnables
        self.timeout = timeout
        self._clock = clock
        #: (action, target, key) -> (when, the answer on its way); the empty key is "under way now"
        self._answers: OrderedDict[tuple[str, str, str], tuple[float, asyncio.Task[Answer]]] = OrderedDict()

    async def kill(self, id: int, principal: str, key: str = "") -> Answer:
        """Kill a greenlet; waits at most `timeout` seconds for what is observed."""
        return await self._once("kill", id, principal, key, lambda: self.probe.kill(id, self.timeout))

    async def kill_group(self, id: int, principal: str, key: str = "") -> Answer:
        """Kill all members of a Group or Pool."""
        return await self._once("kill group", id, principal, key, lambda: self.probe.kill_group(id, self.timeout))

    async def resize(self, id: int, size: object, principal: str) -> Answer:
        """Give a Pool another size."""
        if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MAX_SIZE:
            self.audit.refuse("resize", f"group {ident(id)}", principal, "invalid size")
            return problem(422, "invalid", f"size must be a whole number from 1 to {MAX_SIZE}", field="size")
        return await self._act(
            "resize",
            "resize",
            f"group {ident(id)} to {size}",
            principal,
            lambda: self.probe.resize(id, size, self.timeout),
            {"id": ident(id), "size": size},
        )

    async def spawn(self, request: Mapping[str, Any], principal: str) -> Answer:
        """Spawn a registered callable: {target, arguments, group?, delay?} as in interface `POST /api/spawn`."""
        target = request.get("target")
        label = target if isinstance(target, str) else "?"
        try:
            function, arguments, group, delay = self._read_spawn(request)
        except UnknownSpawnable:
            self.audit.refuse("spawn", label, principal, "not a spawnable")
            return problem(404, "unknown", "no spawnable has this name; /api/spawnables lists them", field="target")
        except ArgumentErrors as errors:
            self.audit.refuse("spawn", label, principal, "invalid arguments: " + ", ".join(errors.errors))
            first, message = next(iter(errors.errors.items()))
            return problem(422, "invalid", f"{first}: {message}", field=first, errors=errors.errors)
        return await self._act(
            "spawn",
            "spawn",
            label,
            principal,
            lambda: self.probe.spawn(function, arguments, group, delay, self.timeout),
            {"target": label},
        )

    def _read_spawn(
        self, request: Mapping[str, Any]
    ) -> tuple[Callable[..., Any], dict[str, Any], int | None, float | None]:
        """Validate a spawn request as a whole, so that every bad field is told at once."""
        errors: dict[str, str] = {}
        for name in request:
            if name not in ("target", "arguments", "group", "delay"):
                errors[name[:100]] = "unknown field; a spawn takes target, arguments, group, delay and epoch"
        target = request.get("target")
        if not isinstance(target, str):
            raise ArgumentErrors({"target": "must be the name of a spawnable", **errors})
        spawnable = self.spawnables.find(target)
        group = _read_group(request.get("group"), errors)
        delay = _read_delay(request.get("delay"), errors)
        given = request.get("arguments", {})
        arguments: dict[str, Any] = {}
        if not isinstance(given, dict):
            errors["arguments"] = "must be an object of argument names and values"
        else:
            try:
                arguments = spawnable.bind(given)
            except ArgumentErrors as wrong:
                errors = {**wrong.errors, **errors}
        if errors:
            raise ArgumentErrors(errors)
        return spawnable.function, arguments, group, delay

    async def _once(
        self,
        action: str,
        id: int,
        principal: str,
        key: str,
        post: Callable[[], "Future[ControlResult]"],
    ) -> Answer:
        """Run an action unless the same request is under way or was answered; then give that answer."""
        capability: Capability = "kill"
        target = f"{'group' if action == 'kill group' else 'greenlet'} {ident(id)}"
        self._forget()
        for known in ((action, target, key), (action, target, "")):
            entry = self._answers.get(known)
            if entry is not None and (known[2] or not entry[1].done()):
                answer = await asyncio.shield(entry[1])
                return Answer(answer.status, answer.body, repeated=True)
        # A task of its own: the client that clicked first may disconnect without taking the others' answer away.
        task = asyncio.ensure_future(self._act(action, capability, target, principal, post, {"id": ident(id)}))
        now = self._clock()
        self._answers[(action, target, "")] = (now, task)
        if key:
            self._answers[(action, target, key)] = (now, task)
        return await asyncio.shield(task)

    def _forget(self) -> None:
        oldest = self._clock() - KEPT_SECONDS
        while self._answers:
            identity, (since, _) = next(iter(self._answers.items()))
            if since > oldest and len(self._answers) < KEPT_ANSWERS:
                return
            del self._answers[identity]

    async def _act(
        self,
        action: str,
        capability: Capability,
        target: str,
        principal: str,
        post: Callable[[], "Future[ControlResult]"],
        fields: Mapping[str, Any],
    ) -> Answer:
        """Audit, post, wait, audit, answer."""
        if capability not in self.probe.capabilities:
            reason = self.probe.missing(capability) or f"{capability} is not available with {self.probe.backend}"
            self.audit.refuse(action, target, principal, reason)
            return problem(409, "unavailable", reason)
        try:
            record = self.audit.begin(action, target, principal)
        except AuditError as error:
            self.audit.refuse(action, target, principal, "the audit cannot be written")
            return problem(503, "audit", f"refused, because it could not be audited: {error.strerror or error}")
        try:
            future = post()
            result = await self._wait_result(future)
        except Exception as error:
            self.audit.end(record, "error", f"{type(error).__name__}: {error}")
            return problem(500, "probe", f"the request could not be posted: {type(error).__name__}")
        except asyncio.CancelledError:
            self.audit.end(record, "queued", "the dashboard was closed while waiting")
            raise
        self.audit.end(record, result.outcome, result.reason, _concerned(action, result))
        if result.outcome == "queued" and not future.done():
            self._tell_later(future, record)
        return _answer(action, result, fields)

    async def _wait_result(self, future: "Future[ControlResult]") -> ControlResult:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not waiting.done():
                waiting.set_result(None)

        _when_done(future, wake)
        done, _ = await asyncio.wait({waiting}, timeout=self.timeout + GRACE)
        if not done:
            waiting.cancel()
            return ControlResult("queued", "the event loop did not answer yet; the request stays posted")
        return future.result(timeout=0)

    def _tell_later(self, future: "Future[ControlResult]", record: AuditRecord) -> None:
        """Record what came of a queued request when its hub turns at last."""

        def tell() -> None:
            try:
                result = future.result(timeout=0)
            except BaseException as error:
                result = ControlResult("unknown", f"{type(error).__name__}: {error}")
            try:
                late = self.audit.begin(f"{record.action} (was queued)", record.target, record.principal)
            except AuditError:
                return  # the request itself is on record; its late outcome is seen in the greenlet's state
            self.audit.end(late, result.outcome, result.reason, _concerned(record.action, result))

        _when_done(future, tell)


def _when_done(future: "Future[ControlResult]", call: Callable[[], object]) -> None:
    """Run `call` in this event loop once `future` is done, whichever thread finishes it.

    Not `asyncio.wrap_future`: cancelling that cancels the posted request, and when our loop is gone by then it
    makes noise in the observed program's thread.
    """
    loop = asyncio.get_running_loop()

    def on_done(_: "Future[ControlResult]") -> None:
        try:
            loop.call_soon_threadsafe(call)
        except RuntimeError:
            pass  # the dashboard's loop is closed: nobody waits any more

    future.add_done_callback(on_done)


def _read_group(value: object, errors: dict[str, str]) -> int | None:
    if value is None or value == "":
        return None
    group = parse_ident(value) if isinstance(value, str) else None
    if group is not None:
        return group
    errors["group"] = "must be a group's id, as text"
    return None


def _read_delay(value: object, errors: dict[str, str]) -> float | None:
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MAX_DELAY:
        return float(value)
    errors["delay"] = f"must be seconds from 0 to {MAX_DELAY:.0f}"
    return None


def _concerned(action: str, result: ControlResult) -> str | None:
    """Return the id of the one greenlet that was spawned or killed."""
    return ident(result.ids[0]) if action in ("kill", "spawn") and result.ids else None


def _answer(action: str, result: ControlResult, fields: Mapping[str, Any]) -> Answer:
    status = STATUS[result.outcome]
    body: dict[str, Any] = {
        **fields,
        "outcome": result.outcome,
        "state": result.state,
        "place": _site(result.place),
        "reason": result.reason,
        "ids": [ident(id) for id in result.ids],
    }
    if action == "spawn" and result.outcome == "done":
        status = 201
        body["id"] = _concerned(action, result)
    if status >= 400:
        if action == "spawn" and result.outcome == "unknown":
            body["field"] = "group"
        body["error"] = {"gone": "gone", "unknown": "unknown", "refused": "refused"}[result.outcome]
        body["message"] = result.reason or {
            "gone": "it had ended already",
            "unknown": "there is none with this id",
            "refused": "this must not be done",
        }.get(result.outcome, "")
    return Answer(status, body)
