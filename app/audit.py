"""Who did what: an append-only record of every control action, refusals included.

A record is on disk *before* the action runs. `begin` writes the whole line with the result `requested`, padded to a
fixed length; `end` completes that one slot in place with what was observed. So there is one line per action, a
crash in between leaves `requested` behind, and completing needs no new space: a full disk is noticed before anything
is killed, and then the action is refused (`AuditError`). A file that cannot be rewritten in place (a pipe, a device)
gets a second line instead.

Lines are ASCII JSON, so that no name can break out of its line. The last records are also kept in memory for the page
and every finished record enters the event stream. Records carry both clocks: wall for people, monotonic for order.
"""

import json
import os
import stat
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from greenscope.app.limiter import AttemptLimiter

RING = 1000
#: room kept in a line for the result and its reason, bytes
RESULT_ROOM = 400
MAX_TEXT = 200


class AuditError(OSError):
    """The audit could not be written, so the action was not carried out."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One control action: `time` is wall seconds, `monotonic` the process' clock.

    `greenlet` is the id of the one that was killed or spawned.
    """

    number: int
    time: float
    monotonic: float
    action: str
    target: str
    principal: str
    result: str
    reason: str = ""
    pid: int = 0
    greenlet: str | None = None

    def fields(self) -> dict[str, Any]:
        """Return the record as JSON-ready fields; `t` is RFC 3339 in UTC."""
        moment = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds")
        return {
            "number": str(self.number),
            "t": moment.replace("+00:00", "Z"),
            "monotonic": round(self.monotonic, 6),
            "pid": self.pid,
            "action": self.action,
            "target": self.target,
            "greenlet": self.greenlet,
            "principal": self.principal,
            "result": self.result,
            "reason": self.reason,
        }


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _line(record: AuditRecord, length: int = 0) -> bytes:
    """Encode one record as one line; shortened to fit `length` bytes and padded to it when given."""
    reason = record.reason
    while True:
        body = json.dumps({**record.fields(), "reason": reason}, ensure_ascii=True).encode("ascii")
        if not length or len(body) < length or not reason:
            return body.ljust(max(0, length - 1)) + b"\n"
        reason = reason[: len(reason) // 2]


class Audit:
    """The audit of one process. Used from the dashboard's thread only; writes are small and synchronous."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        publish: Callable[[AuditRecord], None] | None = None,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        ring: int = RING,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.publish = publish
        self.records: deque[AuditRecord] = deque(maxlen=ring)
        #: refusals that came too fast to be recorded one by one
        self.suppressed = 0
        self._wall = wall
        self._clock = clock
        self._number = 0
        self._refusals = AttemptLimiter(burst=100, interval=1.0, keys=1, clock=clock)
        self._append = self._rewrite = -1
        self._pid = os.getpid()
        self._slots: dict[int, tuple[int, int]] = {}
        if self.path is not None:
            self._open(self.path)

    def _open(self, path: Path) -> None:
        """Open the file twice: one end appends whole lines, the other completes a slot of its own."""
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        try:
            self._append = os.open(path, flags | os.O_CREAT | os.O_APPEND, 0o600)
            if stat.S_ISREG(os.fstat(self._append).st_mode):
                self._rewrite = os.open(path, flags)
        except OSError as error:
            self.close()
            raise AuditError(error.errno, f"audit: cannot open {path}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file. Idempotent."""
        for fd in (self._append, self._rewrite):
            if fd >= 0:
                os.close(fd)
        self._append = self._rewrite = -1
        self._slots.clear()

    def begin(self, action: str, target: str, principal: str) -> AuditRecord:
        """Write down that `action` is about to run on `target`; raises AuditError if that is not possible."""
        self._number += 1
        record = AuditRecord(
            number=self._number,
            time=self._wall(),
            monotonic=self._clock(),
            action=action,
            target=_short(target),
            principal=_short(principal),
            result="requested",
            pid=self._pid,
        )
        if self.path is not None:
            length = len(_line(record)) + RESULT_ROOM
            self._write(_line(record, length))
            if self._rewrite >= 0:
                # O_APPEND moved this descriptor's offset to the end of what it just wrote
                end = os.lseek(self._append, 0, os.SEEK_CUR)
                self._slots[record.number] = (end - length, length)
        return record

    def _write(self, line: bytes) -> None:
        if self._append < 0:
            raise AuditError(f"audit: {self.path} is closed")
        try:
            written = os.write(self._append, line)
            if written != len(line):
                os.write(self._append, b"\n")  # what got through must not swallow the next line
                raise OSError("only a part of the line could be written")
        except OSError as error:
            raise AuditError(error.errno, f"audit: cannot write {self.path}: {error.strerror or error}") from error

    def end(self, record: AuditRecord, result: str, reason: str = "", greenlet: str | None = None) -> AuditRecord:
        """Complete a record with what was observed; it enters the ring and the stream. Never raises."""
        finished = replace(record, result=result, reason=_short(reason), greenlet=greenlet)
        slot = self._slots.pop(record.number, None)
        try:
            if slot is not None:
                os.pwrite(self._rewrite, _line(finished, slot[1]), slot[0])
            elif self._append >= 0:
                self._write(_line(finished))
        except OSError as error:
            finished = replace(finished, reason=_short(f"{finished.reason} (not on disk: {error})".strip()))
        self._remember(finished)
        return finished

    def _remember(self, record: AuditRecord) -> None:
        self.records.append(record)
        if self.publish is not None:
            self.publish(record)

    def refuse(self, action: str, target: str, principal: str, reason: str) -> None:
        """Record an action that was refused before it could begin.

        Whoever floods the guard must not fill the disk: beyond a burst, refusals are counted instead and the
        count is told by the next one. A refusal that cannot be written is kept in memory; nothing happened.
        """
        if not self._refusals.take("refusals"):
            self.suppressed += 1
            return
        if self.suppressed:
            reason = f"{reason} ({self.suppressed} refusals before this one were not recorded)"
            self.suppressed = 0
        try:
            record = self.begin(action, target, principal)
        except AuditError as error:
            now = AuditRecord(
                self._number, self._wall(), self._clock(), action, _short(target), _short(principal), "refused",
                _short(f"{reason} (not on disk: {error})"), self._pid,
            )  # fmt: skip
            self._remember(now)
        else:
            self.end(record, "refused", reason)

    def rows(self, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest records first, at most `limit`."""
        return [record.fields() for _, record in zip(range(limit), reversed(self.records), strict=False)]
