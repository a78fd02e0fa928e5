"""Kill, resize and spawn in one of several processes: asked of its own HTTP API, over its own socket.

The process' guard, control and audit stand in between as for any other who asks; what it answers is passed on. One that
is watched read-only refuses, and the answer says what would allow it.
"""

from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any

from greenscope.app.backends.merged_worker import Worker
from greenscope.app.backends.request import Answer
from greenscope.app.formatting import join_ident, split_ident
from greenscope.app.model import STATES, ControlResult, Site
from greenscope.app.spawnables import Spawnable, Spawnables, UnknownSpawnable
from greenscope.app.unix_client import ask

Start = Callable[[Coroutine[Any, Any, Any]], object]

_OUTCOMES = ("done", "queued", "alive", "gone", "unknown", "refused")


class RemoteFunction:
    """A function of other processes: a name. It cannot be called here."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> None:
        """Refuse: only its process can run it."""
        raise RuntimeError(f"{self.name} runs in the watched processes only")


class MergedControl:
    """The controls of a MergedProbe; `start` runs a coroutine in the dashboard's loop."""

    def __init__(self, workers: Mapping[int, Worker], start: Start) -> None:
        self._workers = workers
        self._start = start

    def kill(self, id: int, timeout: float) -> Answer:
        """Ask a greenlet's process to kill it."""
        pid, own = split_ident(id)
        return self._post(pid, f"/api/greenlets/{own}/kill", {})

    def kill_group(self, id: int, timeout: float) -> Answer:
        """Ask a group's process to kill its members."""
        pid, own = split_ident(id)
        return self._post(pid, f"/api/groups/{own}/kill", {})

    def resize(self, id: int, size: int, timeout: float) -> Answer:
        """Ask a Pool's process for another size."""
        pid, own = split_ident(id)
        return self._post(pid, f"/api/groups/{own}/resize", {"size": size})

    def spawn(
        self,
        function: Callable[..., Any],
        arguments: dict[str, Any],
        group: int | None,
        delay: float | None,
        timeout: float,
    ) -> Answer:
        """Ask the group's process, or the first that offers the function, to spawn it."""
        name = function.name if isinstance(function, RemoteFunction) else ""
        request: dict[str, Any] = {"target": name, "arguments": arguments}
        if delay is not None:
            request["delay"] = delay
        if group is not None:
            pid, own = split_ident(group)
            return self._post(pid, "/api/spawn", {**request, "group": str(own)})
        for worker in self._workers.values():
            if worker.status == "live" and worker.control and any(row.get("name") == name for row in worker.spawnables):
                return self._post(worker.pid, "/api/spawn", request)
        return _now("refused", f"no process that may be controlled offers {name!r}")

    def _post(self, pid: int, target: str, body: dict[str, Any]) -> Answer:
        worker = self._workers.get(pid)
        if worker is None:
            return _now("unknown", "there is no process with this pid")
        if worker.status != "live":
            return _now("gone", f"process {pid} has ended")
        if not worker.control:
            return _now("refused", read_only(pid))
        future: Answer = Future()
        self._start(self._carry_out(worker, target, body, future))
        return future

    async def _carry_out(self, worker: Worker, target: str, body: dict[str, Any], future: Answer) -> None:
        try:
            status, answer = await ask(worker.path, "POST", target, {**body, "epoch": worker.epoch})
            result = read_answer(worker.pid, status, answer)
        except OSError as error:
            result = ControlResult("unknown", f"process {worker.pid} did not answer: {error}")
        except Exception as error:
            result = ControlResult("unknown", f"process {worker.pid} answered what is not understood here: {error}")
        except BaseException:
            future.set_result(ControlResult("queued", "the page was closed while it waited for the answer"))
            raise
        future.set_result(result)


def read_only(pid: int) -> str:
    """Say what would allow control of a process."""
    return f"process {pid} is watched read-only; watch(control=True) or GREENSCOPE_CONTROL=1 allows it"


def read_answer(pid: int, status: int, answer: Any) -> ControlResult:
    """Turn a process' HTTP answer into what was seen, with the pid in its ids."""
    if not isinstance(answer, dict):
        return ControlResult("unknown", f"process {pid} answered {status}")
    message = str(answer.get("reason") or answer.get("message") or "")[:300]
    outcome = answer.get("outcome")
    if outcome not in _OUTCOMES:
        known = {404: "unknown", 409: "refused"}
        return ControlResult("unknown" if known.get(status) == "unknown" else "refused", message or f"{status}")
    state, place = answer.get("state"), answer.get("place")
    return ControlResult(
        outcome=outcome,
        reason=message,
        ids=tuple(join_ident(pid, int(id)) for id in answer.get("ids", ())),
        state=state if state in STATES else None,
        place=Site(str(place["file"]), int(place["line"]), str(place["function"])) if place else None,
    )


def _now(outcome: Any, reason: str) -> Answer:
    future: Answer = Future()
    future.set_result(ControlResult(outcome, reason))
    return future


class RemoteSpawnable(Spawnable):
    """A spawnable of other processes: its form is theirs, and so is the judgement of what is filled in."""

    def __init__(self, row: dict[str, Any]) -> None:
        super().__init__(str(row["name"]), RemoteFunction(str(row["name"])), str(row.get("doc", "")), ())
        object.__setattr__(self, "row", row)

    def fields(self) -> dict[str, Any]:
        """Describe it as its process does."""
        row: dict[str, Any] = self.__dict__["row"]
        return row

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Pass the arguments on as they are."""
        return dict(arguments)


class RemoteSpawnables(Spawnables):
    """What the watched processes offer to spawn, by name."""

    def __init__(self, workers: Mapping[int, Worker]) -> None:
        super().__init__()
        self._workers = workers

    def _rows(self) -> dict[str, dict[str, Any]]:
        live = [worker for worker in self._workers.values() if worker.status == "live" and worker.control]
        return {str(row["name"]): row for worker in live for row in worker.spawnables if "name" in row}

    def find(self, name: str) -> Spawnable:
        """Return a spawnable that some process offers; raises UnknownSpawnable."""
        row = self._rows().get(name)
        if row is None:
            raise UnknownSpawnable(name)
        return RemoteSpawnable(row)

    def rows(self) -> list[dict[str, Any]]:
        """Describe all of them, by name."""
        rows = self._rows()
        return [rows[name] for name in sorted(rows)]

    def __len__(self) -> int:
        return len(self._rows())

    def __contains__(self, name: object) -> bool:
        return name in self._rows()
