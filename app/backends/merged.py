"""The probe over several processes: each tells over its Unix socket, and is asked over it.

    DIRECTORY/*.sock --(a look once a second)--> one task each: GET /wire --> Worker --> drain(), sample() ...
    sample() of what a page shows --> wanted --> GET /wire/look
    kill(), resize(), spawn() --> POST to the one process concerned            merged_control

It stands where the probe of one process stands, so that everything before it is as it was. Ids are the processes' own
with the pid above them. Everything happens in the dashboard's loop; no question waits for a process: it is answered
with what was told last, and `wait_look` is for those who can wait.
"""

import asyncio
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

from greenscope.app.backends.merged_control import MergedControl
from greenscope.app.backends.merged_worker import Worker, greet
from greenscope.app.formatting import safe_text, split_ident
from greenscope.app.model import (
    ControlResult,
    Drained,
    Event,
    Figures,
    GreenletRecord,
    GreenletSample,
    GroupSample,
    HubSample,
    Stack,
    figures_of,
)
from greenscope.app.probe import Capability
from greenscope.app.unix_client import Refused, ask, lines

#: seconds between two looks at the folder, and until a socket that refused is tried again
SCAN: Final = 1.0
#: seconds for which a process that is gone is shown
FORGET: Final = 15.0
#: seconds between two questions for what is shown
LOOK_EVERY: Final = 0.25
#: what is asked for by so few is shown to somebody, and worth a look of its own
SHOWN: Final = 300
PER_QUESTION: Final = 200
#: events kept between two drains
BUFFER_LIMIT: Final = 200_000
_ACTIONS: Final = frozenset({"kill", "resize", "spawn"})
_ALL: Final[frozenset[Capability]] = frozenset(
    {"events", "groups", "stacks", "waiting_on", "owners", "accounting", "spawn_site", "kill", "resize", "spawn"}
)


class MergedProbe:
    """Watch every process whose socket lies in a folder."""

    backend = "merged"

    def __init__(self, directory: Path, *, forget: float = FORGET) -> None:
        self.directory = directory
        self.forget = forget
        self.workers: dict[int, Worker] = {}
        self.capabilities: frozenset[Capability] = _ALL
        #: sockets that cannot be read, and why
        self.refusals: dict[str, str] = {}
        #: pids whose ids begin anew
        self.restarted: list[int] = []
        #: whether who lives has to be compared soon
        self.differs = False
        self._links: dict[Path, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._events: deque[Event] = deque()
        self._overflow: dict[str, int] = {}
        self._scanning: asyncio.Task[None] | None = None
        #: whether the folder has been looked at, and all that was found there has told its state or refused to
        self._looked = self.met = False
        self.control = MergedControl(self.workers, self.start)

    def _what_can_be_done(self) -> frozenset[Capability]:
        """Return what at least one process can do; all, as long as there is none."""
        live = self.live_workers()
        if not live:
            return _ALL
        found = set().union(*(worker.capabilities for worker in live))
        if not any(worker.control for worker in live):
            found -= _ACTIONS
        return frozenset(capability for capability in _ALL if capability in found)

    def live_workers(self) -> list[Worker]:
        """Return the processes that tell."""
        return [worker for worker in self.workers.values() if worker.status == "live"]

    def missing(self, capability: Capability) -> str:
        """Tell why no process offers a capability."""
        if capability in self.capabilities:
            return ""
        if capability in _ACTIONS:
            return "All processes are watched read-only: watch(control=True) or GREENSCOPE_CONTROL=1 allows this."
        reasons = [worker.missing.get(capability, "") for worker in self.live_workers()]
        return next((reason for reason in reasons if reason), "None of the processes offers this.")

    # -- attaching

    def attach(self) -> None:
        """Begin to look for processes, in the running event loop. Idempotent."""
        if self._scanning is None:
            self._scanning = self.start(self._scan())

    def close(self) -> None:
        """Let go of all processes. Idempotent; attach() may follow."""
        for task in (*self._tasks, *self._links.values()):
            if not task.get_loop().is_closed():
                task.cancel()
        self._links.clear()
        self._scanning = None
        self._looked = self.met = False

    def forget_all(self) -> None:
        """Let go of all processes, and of what they have told; at once, so that attach() may follow at any moment."""
        self.close()
        for store in (self.workers, self.refusals, self.restarted, self._events, self._overflow):
            store.clear()
        self.capabilities = self._what_can_be_done()

    async def wait_met(self, timeout: float) -> None:
        """Wait until every process in the folder has told its state or refused to: the first time, at most so long."""
        deadline = time.monotonic() + timeout
        while not self.met and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
            whole = {worker.path for worker in self.live_workers() if worker.whole}
            self.met = self._looked and all(path in whole or task.done() for path, task in self._links.items())
        self.met = True

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something in the loop, and hold on to it until it is done."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _scan(self) -> None:
        """Look for new sockets, ask for what is shown, forget who is gone, until cancelled."""
        due = 0.0
        while True:
            now = time.monotonic()
            if now >= due:
                due = now + SCAN
                self._look_around()
                self._looked = True
                self._forget(now)
            for worker in self.live_workers():
                if worker.wanted:
                    ids = list(worker.wanted)[:PER_QUESTION]
                    worker.wanted.clear()
                    self.start(self._ask_for(worker, ids, False))
            await asyncio.sleep(LOOK_EVERY)

    def _look_around(self) -> None:
        """Begin to read sockets that are new."""
        try:
            found = {entry.name for entry in os.scandir(self.directory) if entry.name.endswith(".sock")}
        except OSError as error:
            self.refusals["."] = safe_text(f"{self.directory}: {error.strerror or error}")
            return
        self.refusals.pop(".", None)
        for name in sorted(found):
            path = self.directory / name
            task = self._links.get(path)
            if task is None or task.done():
                self._links[path] = asyncio.get_running_loop().create_task(self._read(path))
        for name in self.refusals.keys() - found - {"."}:
            del self.refusals[name]

    def _forget(self, now: float) -> None:
        for pid, worker in list(self.workers.items()):
            if worker.status == "gone" and now - worker.since > self.forget:
                del self.workers[pid]
                self.differs = True
            self.differs = self.differs or worker.differs
            worker.differs = False

    # -- reading one process

    async def _read(self, path: Path) -> None:
        """Read what one process tells until it ends; what goes wrong with it is its own matter."""
        worker: Worker | None = None
        reason = "its process has ended"
        try:
            check_socket(path)
            async for message in lines(path, "/wire"):
                if worker is None:
                    worker = self._meet(path, *greet(message))
                    self.refusals.pop(path.name, None)
                worker.hear(message)
                if message["m"] == "hello":
                    self.capabilities = self._what_can_be_done()
                if message["m"] == "bye":
                    break
        except (Refused, PermissionError) as error:
            reason = safe_text(str(error))
        except OSError as error:
            if worker is None:
                reason = safe_text(f"it does not answer: {error}")
        except Exception as error:
            reason = safe_text(f"it tells what is not understood here: {type(error).__name__}: {error}")
        finally:
            if worker is not None:
                worker.leave(reason)
                self.differs = True
                self.capabilities = self._what_can_be_done()
            else:
                self.refusals[path.name] = reason

    def _meet(self, path: Path, pid: int, epoch: str) -> Worker:
        """Return what is kept about a process; one that began anew begins anew here, too."""
        known = self.workers.get(pid)
        if known is not None and known.epoch == epoch:
            known.path = path
            return known
        if known is not None:
            self.restarted.append(pid)
            self._events = deque(event for event in self._events if not _is_of(event, pid))
        worker = self.workers[pid] = Worker(pid, path, self._emit)
        # in the order of their pids, and in place: others hold on to this mapping
        for later in sorted(other for other in self.workers if other > pid):
            self.workers[later] = self.workers.pop(later)
        return worker

    def _emit(self, event: Event) -> None:
        if len(self._events) < BUFFER_LIMIT:
            self._events.append(event)
        else:
            self._overflow[event.kind] = self._overflow.get(event.kind, 0) + 1

    async def _ask_for(self, worker: Worker, ids: list[int], stacks: bool) -> None:
        """Ask one process for a look at its ids. What goes wrong is seen by the one who reads it."""
        target = f"/wire/look?ids={','.join(map(str, ids))}{'&stacks=1' if stacks else ''}"
        try:
            status, answer = await ask(worker.path, "GET", target)
            if status == 200:
                now = time.monotonic()
                worker.see(answer["samples"], now)
                worker.see_stacks(answer.get("stacks", ()), now)
        except (OSError, ValueError, KeyError, TypeError):
            pass

    async def wait_look(self, ids: Iterable[int], stacks: bool = True) -> None:
        """Wait until these have been looked at in their processes; a process that does not answer is waited for 8 s."""
        asked: dict[int, list[int]] = {}
        for id in ids:
            pid, own = split_ident(id)
            worker = self.workers.get(pid)
            if worker is not None and worker.status == "live" and id in worker.records:
                asked.setdefault(pid, []).append(own)
        await asyncio.gather(
            *(
                self._ask_for(self.workers[pid], own[start : start + PER_QUESTION], stacks)
                for pid, own in asked.items()
                for start in range(0, len(own), PER_QUESTION)
            )
        )

    # -- what happened, and what is so

    def drain(self, prompt: bool = False) -> Drained:
        """Take what the processes have told since the last call."""
        events, self._events = self._events, deque()
        dropped, self._overflow = self._overflow, {}
        for worker in self.workers.values():
            for kind, count in worker.take_lost().items():
                dropped[kind] = dropped.get(kind, 0) + count
        return Drained(tuple(events), dropped)

    def live_ids(self) -> Sequence[int]:
        """Return the ids of all that live, process by process."""
        return [id for worker in self.workers.values() for id in worker.records]

    def _worker(self, id: int) -> Worker | None:
        return self.workers.get(split_ident(id)[0])

    def records(self, ids: Iterable[int]) -> list[GreenletRecord]:
        """Return the birth records of these."""
        found = ((worker.records.get(id) if (worker := self._worker(id)) else None) for id in ids)
        return [record for record in found if record is not None]

    def sample(self, ids: Iterable[int]) -> list[GreenletSample]:
        """Return the latest looks; few that are asked for are looked at anew for the next time."""
        ids = list(ids)
        shown, newer = len(ids) <= SHOWN, time.monotonic() - LOOK_EVERY
        found: list[GreenletSample] = []
        for id in ids:
            worker = self._worker(id)
            if worker is None:
                continue
            if shown and worker.status == "live":
                worker.want(id, newer)
            sample = worker.sample(id)
            if sample is not None:
                found.append(sample)
        return found

    def figures(self, ids: Iterable[int]) -> list[Figures]:
        """Return states and times of the latest looks."""
        found = ((worker.sample(id) if (worker := self._worker(id)) else None) for id in ids)
        return [figures_of(sample) for sample in found if sample is not None]

    def count_states(self) -> dict[str, int]:
        """Add up the processes' counts."""
        total = dict.fromkeys(("pending", "ready", "running", "waiting"), 0)
        for worker in self.workers.values():
            for state, count in worker.state_counts().items():
                total[state] = total.get(state, 0) + count
        return total

    def groups(self) -> list[GroupSample]:
        """Return all processes' groups."""
        return [group for worker in self.workers.values() for group in worker.group_samples()]

    def hubs(self) -> list[HubSample]:
        """Return all processes' event loops, as they were told last."""
        return [hub for worker in self.workers.values() for hub in worker.hub_samples()]

    def stack(self, id: int) -> Stack | None:
        """Return frames that `wait_look` has fetched a moment ago."""
        worker = self._worker(id)
        return None if worker is None else worker.stack(id)[0]

    def waiters_of(self, id: int) -> Sequence[int]:
        """Return who waits for this one, as `wait_look` has fetched it."""
        worker = self._worker(id)
        return () if worker is None else worker.stack(id)[1]

    def cost(self) -> dict[str, float]:
        """Return the dearest process' cost of watching, and the least share of the time in which one is traced."""
        costs = [worker.cost for worker in self.live_workers()]
        cost = {name: max((cost.get(name, 0.0) for cost in costs), default=0.0) for name in ("hook_ns", "share")}
        traced = [cost["traced"] for cost in costs if "traced" in cost]
        return {**cost, "traced": min(traced)} if traced else cost

    def rows(self) -> list[dict[str, Any]]:
        """Describe all processes, and sockets that cannot be read."""
        now = time.monotonic()
        rows = [worker.row(now) for worker in self.workers.values()]
        known = {row["socket"] for row in rows}
        for name, reason in sorted(self.refusals.items()):
            if name not in known:
                rows.append({"pid": None, "state": "refused", "reason": reason, "socket": name, "live": 0})
        return rows

    # -- what is asked

    def kill(self, id: int, timeout: float) -> "Future[ControlResult]":
        """Post a kill to the greenlet's process."""
        return self.control.kill(id, timeout)

    def kill_group(self, id: int, timeout: float) -> "Future[ControlResult]":
        """Post a kill of a group's members to its process."""
        return self.control.kill_group(id, timeout)

    def resize(self, id: int, size: int, timeout: float) -> "Future[ControlResult]":
        """Post a new size to a Pool's process."""
        return self.control.resize(id, size, timeout)

    def spawn(
        self,
        function: Callable[..., Any],
        arguments: dict[str, Any],
        group: int | None,
        delay: float | None,
        timeout: float,
    ) -> "Future[ControlResult]":
        """Post a spawn to the group's process, or to the first that offers the function."""
        return self.control.spawn(function, arguments, group, delay, timeout)


def check_socket(path: Path) -> None:
    """Refuse what is no socket, or another user's: it could tell and be told anything. Raises PermissionError."""
    found = path.lstat()
    if not stat.S_ISSOCK(found.st_mode):
        raise PermissionError(f"{path.name} is not a socket")
    if found.st_uid not in (os.geteuid(), 0):
        raise PermissionError(f"{path.name} belongs to another user")


def _is_of(event: Event, pid: int) -> bool:
    id = event.greenlet if event.greenlet is not None else event.group
    return id is not None and split_ident(id)[0] == pid
