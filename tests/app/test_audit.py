"""The audit: one line per action, on disk before it runs."""

import json
import os
import stat
from pathlib import Path

import pytest

from greenscope.app.audit import Audit, AuditError, AuditRecord


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_audit_writes_one_line_per_action(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    seen: list[AuditRecord] = []
    audit = Audit(path, publish=seen.append, wall=lambda: 0.0, clock=lambda: 7.5)
    record = audit.begin("kill", "greenlet 3", "token")
    assert lines(path)[0]["result"] == "requested"
    audit.end(record, "done", "gone in 2 ms", "3")
    (line,) = lines(path)
    assert line == {
        "number": "1", "t": "1970-01-01T00:00:00.000Z", "monotonic": 7.5, "pid": os.getpid(), "action": "kill",
        "target": "greenlet 3", "greenlet": "3", "principal": "token", "result": "done", "reason": "gone in 2 ms",
    }  # fmt: skip
    assert [entry.result for entry in seen] == ["done"]
    assert audit.rows()[0]["number"] == "1"
    audit.close()


def test_audit_completes_interleaved_actions_each_in_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    audit = Audit(path)
    first, second = audit.begin("kill", "1", "a"), audit.begin("kill", "2", "b")
    audit.refuse("spawn", "os.system", "c", "not a spawnable")
    audit.end(second, "alive")
    audit.end(first, "done")
    assert [(line["target"], line["result"]) for line in lines(path)] == [
        ("1", "done"), ("2", "alive"), ("os.system", "refused"),
    ]  # fmt: skip
    audit.close()


def test_audit_appends_beside_another_process(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    one, two = Audit(path), Audit(path)
    record, other = one.begin("kill", "1", "a"), two.begin("kill", "2", "b")
    third = one.begin("kill", "3", "a")
    for audit, entry in ((two, other), (one, third), (one, record)):
        audit.end(entry, "done")
    assert [line["target"] for line in lines(path)] == ["1", "2", "3"]
    one.close()
    two.close()


@pytest.mark.parametrize("name", ["a\nb", "a\r\nb", "a\u2028b", "a\x00b", '"}\n{"', "\ud800", "x" * 100_000])
def test_audit_keeps_any_text_on_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "audit"
    audit = Audit(path)
    audit.end(audit.begin("kill", name, name), "done", name * 3)
    data = path.read_bytes()
    assert data.count(b"\n") == 1
    assert data.isascii()
    assert len(data) < 4096
    assert lines(path)[0]["result"] == "done"
    audit.close()


def test_audit_that_cannot_be_written_refuses_before_the_action() -> None:
    audit = Audit("/dev/full")
    with pytest.raises(AuditError, match="cannot write"):
        audit.begin("kill", "1", "token")
    audit.refuse("kill", "1", "token", "the audit cannot be written")
    assert "not on disk" in audit.records[-1].reason
    audit.close()
    with pytest.raises(AuditError, match="closed"):
        audit.begin("kill", "1", "token")


def test_audit_to_something_that_cannot_be_rewritten_gets_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    audit = Audit(path)
    audit.end(audit.begin("kill", "1", "token"), "done")
    text = os.read(reader, 65536).decode()
    assert [json.loads(line)["result"] for line in text.splitlines()] == ["requested", "done"]
    audit.close()
    os.close(reader)


def test_audit_file_is_private_and_survives_reopening(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    for _ in range(2):
        audit = Audit(path)
        audit.end(audit.begin("kill", "1", "token"), "done")
        audit.close()
        audit.close()
    assert len(lines(path)) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_audit_in_a_missing_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=r"cannot open .*nowhere"):
        Audit(tmp_path / "nowhere" / "audit")


def test_audit_counts_a_flood_of_refusals_instead_of_writing_it(tmp_path: Path) -> None:
    now = 0.0
    audit = Audit(tmp_path / "audit", clock=lambda: now)
    for _ in range(1000):
        audit.refuse("kill", "1", "anonymous", "401")
    assert len(lines(tmp_path / "audit")) == 100
    assert audit.suppressed == 900
    now += 5.0
    audit.refuse("kill", "1", "anonymous", "401")
    assert "900 refusals" in audit.records[-1].reason
    assert audit.suppressed == 0
    audit.close()


def test_audit_ring_is_bounded() -> None:
    audit = Audit(ring=5)
    for number in range(9):
        audit.end(audit.begin("kill", str(number), "token"), "done")
    assert [row["target"] for row in audit.rows(3)] == ["8", "7", "6"]
    assert len(audit.records) == 5
