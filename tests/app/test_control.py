"""Control: what is asked, audited, posted, and answered as it was observed."""

import asyncio
import json
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pytest

from greenscope.app.audit import Audit
from greenscope.app.backends.fake import ALL_CAPABILITIES, FakeProbe
from greenscope.app.control import Answer, Control
from greenscope.app.model import ControlResult
from greenscope.app.spawnables import Spawnables

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 10))


def crawl(url: str, depth: int = 2) -> None:
    """Crawl."""


def build(probe: FakeProbe, *, audit: Audit | None = None, timeout: float = 2.0) -> Control:
    spawnables = Spawnables()
    spawnables.add(crawl)
    return Control(probe, audit if audit is not None else Audit(), spawnables, timeout=timeout)


def alive(probe: FakeProbe) -> int:
    id = probe.add("work")
    probe.start(id)
    probe.park(id, "sleep")
    return id


def results(control: Control) -> list[tuple[str, str, str]]:
    return [(record.action, record.target, record.result) for record in control.audit.records]


def test_kill_answers_what_was_observed() -> None:
    probe = FakeProbe()
    id = alive(probe)
    control = build(probe)
    answer = run(control.kill(id, "token"))
    assert answer.status == 200
    assert answer.body["state"] == "killed"
    assert answer.body["ids"] == [str(id)]
    assert not probe.is_alive(id)
    assert results(control) == [("kill", f"greenlet {id}", "done")]


@pytest.mark.parametrize(
    ("outcome", "status"), [("queued", 202), ("alive", 202), ("gone", 409), ("refused", 409), ("unknown", 404)]
)
def test_kill_maps_outcomes_to_status_and_audits_each(outcome: Any, status: int) -> None:
    probe = FakeProbe()
    id = alive(probe)
    probe.script_answer("kill", outcome)
    control = build(probe)
    answer = run(control.kill(id, "token"))
    assert answer.status == status
    assert answer.body["outcome"] == outcome
    assert ("error" in answer.body) is (status >= 400)
    assert results(control) == [("kill", f"greenlet {id}", outcome)]


def test_kill_of_a_dead_one_is_409_and_of_an_unknown_one_404() -> None:
    probe = FakeProbe()
    id = alive(probe)
    probe.succeed(id)
    control = build(probe)
    assert run(control.kill(id, "token")).status == 409
    assert run(control.kill(id + 1, "token")).status == 404


def test_swallowed_kill_is_still_alive_with_its_place() -> None:
    probe = FakeProbe()
    id = alive(probe)
    probe.swallow_kills(id)
    answer = run(build(probe).kill(id, "token"))
    assert answer.status == 202
    assert answer.body["outcome"] == "alive"
    assert answer.body["state"] == "waiting"


def test_busy_hub_is_queued_and_its_late_outcome_is_told() -> None:
    probe = FakeProbe()
    id = alive(probe)
    probe.script_answer("kill", "held")

    async def work() -> tuple[Answer, Control]:
        control = build(probe, timeout=0.01)
        answer = await control.kill(id, "token")
        assert probe.is_alive(id)
        probe.release()
        await asyncio.sleep(0.01)
        return answer, control

    answer, control = run(work())
    assert (answer.status, answer.body["outcome"]) == (202, "queued")
    assert not probe.is_alive(id)
    assert results(control) == [
        ("kill", f"greenlet {id}", "queued"),
        ("kill (was queued)", f"greenlet {id}", "done"),
    ]


def test_answer_after_the_loop_has_closed_makes_no_noise_in_the_program() -> None:
    probe = FakeProbe()
    id = alive(probe)
    probe.script_answer("kill", "held")
    run(build(probe, timeout=0.01).kill(id, "token"))
    assert probe.release() == 1
    assert not probe.is_alive(id)


class CountingProbe(FakeProbe):
    kills = 0

    def kill(self, id: int, timeout: float) -> "Future[ControlResult]":
        self.kills += 1
        return super().kill(id, timeout)


def test_double_click_with_a_key_is_one_kill() -> None:
    probe = CountingProbe()
    id = alive(probe)

    async def work() -> tuple[Control, list[Answer]]:
        control = build(probe)
        both = await asyncio.gather(control.kill(id, "token", "k1"), control.kill(id, "token", "k1"))
        return control, [*both, await control.kill(id, "token", "k1")]

    control, answers = run(work())
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert [answer.repeated for answer in answers] == [False, True, True]
    assert probe.kills == 1
    assert len(control.audit.records) == 1


def test_kills_under_way_are_one_even_without_a_key() -> None:
    probe = CountingProbe()
    id = alive(probe)
    probe.script_answer("kill", "held")

    async def work() -> list[Answer]:
        control = build(probe)
        clicks = [asyncio.ensure_future(control.kill(id, "token")) for _ in range(3)]
        await asyncio.sleep(0.01)
        probe.release()
        done = await asyncio.gather(*clicks)
        return [*done, await control.kill(id, "token")]

    assert [answer.status for answer in run(work())] == [200, 200, 200, 409]
    assert probe.kills == 2


def test_keys_are_kept_apart_by_target_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = CountingProbe()
    ids = [alive(probe) for _ in range(30)]
    monkeypatch.setattr("greenscope.app.control.KEPT_ANSWERS", 10)

    async def work() -> Control:
        control = build(probe)
        for id in ids:
            assert (await control.kill(id, "token", "same")).status == 200
        return control

    control = run(work())
    assert probe.kills == 30
    assert len(control._answers) <= 12


def test_first_clicker_who_leaves_does_not_cancel_the_kill() -> None:
    probe = CountingProbe()
    id = alive(probe)
    probe.script_answer("kill", "held")

    async def work() -> Answer:
        control = build(probe)
        first = asyncio.ensure_future(control.kill(id, "token", "k"))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(control.kill(id, "token", "k"))
        await asyncio.sleep(0.01)
        first.cancel()
        probe.release()
        return await second

    assert run(work()).status == 200


def test_kill_that_cannot_be_audited_is_refused() -> None:
    probe = CountingProbe()
    id = alive(probe)
    control = build(probe, audit=Audit("/dev/full"))
    answer = run(control.kill(id, "token"))
    assert (answer.status, answer.body["error"]) == (503, "audit")
    assert probe.kills == 0
    assert probe.is_alive(id)
    assert control.audit.records[-1].result == "refused"


def test_audit_line_is_on_disk_before_the_probe_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    seen: list[str] = []

    class Watching(FakeProbe):
        def kill(self, id: int, timeout: float) -> "Future[ControlResult]":
            seen.extend(json.loads(line)["result"] for line in path.read_text().splitlines())
            return super().kill(id, timeout)

    probe = Watching()
    control = build(probe, audit=Audit(path))
    run(control.kill(alive(probe), "token"))
    assert seen == ["requested"]
    assert [json.loads(line)["result"] for line in path.read_text().splitlines()] == ["done"]
    control.audit.close()


def test_fault_of_the_probe_is_answered_and_audited() -> None:
    class Broken(FakeProbe):
        def kill(self, id: int, timeout: float) -> "Future[ControlResult]":
            raise RuntimeError("no hub")

    control = build(Broken())
    answer = run(control.kill(1, "token"))
    assert answer.status == 500
    assert results(control)[0][2] == "error"


def test_missing_capability_is_told_with_its_reason() -> None:
    probe = FakeProbe(capabilities=ALL_CAPABILITIES - {"kill", "spawn", "resize"})
    control = build(probe)
    for answer in (
        run(control.kill(1, "token")),
        run(control.resize(1, 3, "token")),
        run(control.spawn({"target": "crawl", "arguments": {"url": "u"}}, "token")),
    ):
        assert (answer.status, answer.body["error"]) == (409, "unavailable")
        assert answer.body["message"]
    assert [result for _, _, result in results(control)] == ["refused"] * 3


def test_kill_group_names_the_survivors() -> None:
    probe = FakeProbe()
    group = probe.open_group("jobs", 4)
    ids = [alive(probe) for _ in range(3)]
    for id in ids:
        probe.enter(group, id)
    probe.swallow_kills(ids[1])
    answer = run(build(probe).kill_group(group, "token"))
    assert answer.status == 202
    assert answer.body["ids"] == [str(ids[1])]
    assert run(build(probe).kill_group(99, "token")).status == 404


def test_resize_changes_a_pool_and_refuses_a_group() -> None:
    probe = FakeProbe()
    pool, group = probe.open_group("p", 2), probe.open_group("g")
    control = build(probe)
    assert run(control.resize(pool, 7, "token")).status == 200
    assert probe.groups()[0].size == 7
    assert run(control.resize(group, 7, "token")).status == 409


@pytest.mark.parametrize("size", [0, -1, "3", 2.5, True, None, 10**9])
def test_resize_refuses_senseless_sizes(size: object) -> None:
    control = build(FakeProbe())
    answer = run(control.resize(1, size, "token"))
    assert (answer.status, answer.body["field"]) == (422, "size")
    assert results(control)[0][2] == "refused"


def test_spawn_starts_a_registered_callable() -> None:
    probe = FakeProbe()
    control = build(probe)
    answer = run(control.spawn({"target": "crawl", "arguments": {"url": "u"}}, "token"))
    assert answer.status == 201
    assert probe.is_alive(int(answer.body["id"]))
    assert results(control) == [("spawn", "crawl", "done")]


@pytest.mark.parametrize("target", ["os.system", "subprocess.run", "", "Crawl"])
def test_spawn_of_anything_else_is_404(target: str) -> None:
    control = build(FakeProbe())
    answer = run(control.spawn({"target": target, "arguments": {}}, "token"))
    assert answer.status == 404
    assert results(control) == [("spawn", target, "refused")]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "target"),
        ({"target": 3}, "target"),
        ({"target": ["crawl"]}, "target"),
        ({"target": "crawl"}, "url"),
        ({"target": "crawl", "arguments": []}, "arguments"),
        ({"target": "crawl", "arguments": {"url": 3}}, "url"),
        ({"target": "crawl", "arguments": {"url": "u"}, "delay": -1}, "delay"),
        ({"target": "crawl", "arguments": {"url": "u"}, "delay": "soon"}, "delay"),
        ({"target": "crawl", "arguments": {"url": "u"}, "group": 3}, "group"),
        ({"target": "crawl", "arguments": {"url": "u"}, "source": "import os"}, "source"),
        ({"target": "crawl", "arguments": {"url": "u"}, "key": "k1"}, "key"),
    ],
)
def test_spawn_names_the_bad_field(request_: dict[str, Any], field: str) -> None:
    answer = run(build(FakeProbe()).spawn(request_, "token"))
    assert answer.status == 422
    assert answer.body["field"] == field
    assert field in answer.body["errors"]


def test_spawn_into_an_unknown_group_is_404() -> None:
    request = {"target": "crawl", "arguments": {"url": "u"}, "group": "77"}
    answer = run(build(FakeProbe()).spawn(request, "token"))
    assert (answer.status, answer.body["field"]) == (404, "group")
