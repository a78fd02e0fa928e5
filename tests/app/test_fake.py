"""The scripted probe keeps the protocol: events in order, samples that add up, controls that answer."""

import pytest

from greenscope.app.backends.fake import FakeProbe
from greenscope.app.backends.scenario import HOSTILE_NAMES, Scenario
from greenscope.app.model import Site, figures_of
from greenscope.app.probe import Probe


class Ticker:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Ticker:
    return Ticker()


@pytest.fixture
def probe(clock: Ticker) -> FakeProbe:
    return FakeProbe(clock=clock)


def test_fake_probe_is_a_probe(probe: FakeProbe) -> None:
    seen: Probe = probe
    assert seen.backend == "fake"
    assert seen.missing("kill") == ""


def test_fake_probe_tells_why_a_capability_is_missing() -> None:
    probe = FakeProbe(capabilities=frozenset({"events"}))
    assert "waiting on" in probe.missing("waiting_on")
    id = probe.add()
    probe.start(id)
    assert probe.stack(id) is None
    assert probe.sample([id])[0].run_time is None


def test_fake_life_emits_its_events_in_order(probe: FakeProbe) -> None:
    group = probe.open_group("stages")
    id = probe.add("work", group=group)
    probe.start(id)
    probe.succeed(id)
    drained = probe.drain()
    assert [event.kind for event in drained.events] == [
        "group_opened",
        "spawned",
        "grouped",
        "started",
        "ungrouped",
        "succeeded",
    ]
    assert probe.drain().events == ()
    assert probe.live_ids() == []


def test_fake_accounting_adds_up_to_the_age(probe: FakeProbe, clock: Ticker) -> None:
    id = probe.add()
    probe.start(id)
    clock.now += 2
    probe.park(id, "event", place=Site("a.py", 3, "f"))
    clock.now += 3
    probe.make_ready(id)
    clock.now += 1
    probe.run(id)
    clock.now += 0.5
    (sample,) = probe.sample([id])
    assert (sample.run_time, sample.ready_time, sample.wait_time) == (2.5, 1.0, 3.0)
    assert (sample.switches, sample.longest_run) == (2, 2.0)
    assert probe.figures([id, 99]) == [figures_of(sample)]


def test_fake_has_one_running_greenlet(probe: FakeProbe) -> None:
    first, second = probe.add(), probe.add()
    probe.start(first)
    probe.start(second)
    assert [sample.state for sample in probe.sample([first, second])] == ["ready", "running"]
    assert probe.count_states() == {"pending": 0, "ready": 1, "running": 1, "waiting": 0}
    assert probe.hubs()[0].running == second


def test_fake_full_buffer_drops_and_counts() -> None:
    probe = FakeProbe(buffer=2)
    for _ in range(5):
        probe.add()
    drained = probe.drain()
    assert len(drained.events) == 2
    assert drained.dropped == {"spawned": 3}
    assert [record.id for record in probe.records([4, 5, 99])] == [4, 5]


def test_fake_kill_is_observed(probe: FakeProbe) -> None:
    id = probe.add()
    assert probe.kill(id, 1).result(0).outcome == "done"
    assert probe.kill(id, 1).result(0).outcome == "gone"
    assert probe.kill(99, 1).result(0).outcome == "unknown"
    stubborn = probe.add()
    probe.start(stubborn, Site("a.py", 7, "hold"))
    probe.swallow_kills(stubborn)
    result = probe.kill(stubborn, 1).result(0)
    assert (result.outcome, result.place) == ("alive", Site("a.py", 7, "hold"))
    assert probe.sample([stubborn])[0].kill_requested is not None


def test_fake_answers_can_be_scripted(probe: FakeProbe) -> None:
    id = probe.add()
    probe.script_answer("kill", "queued")
    probe.script_answer("kill", "held")
    assert probe.kill(id, 1).result(0).outcome == "queued"
    held = probe.kill(id, 1)
    assert not held.done()
    assert probe.is_alive(id)
    assert probe.release() == 1
    assert held.result(0).outcome == "done"


def test_fake_groups_and_pools_are_controlled(probe: FakeProbe) -> None:
    pool = probe.open_group("pool", size=2)
    members = [probe.add(group=pool) for _ in range(2)]
    (sample,) = probe.groups()
    assert (sample.kind, sample.active, sample.free, sample.members) == ("pool", 2, 0, tuple(members))
    assert not probe.has_slot(pool)
    assert probe.resize(pool, 5, 1).result(0).outcome == "done"
    assert probe.groups()[0].free == 3
    assert probe.kill_group(pool, 1).result(0).outcome == "done"
    assert probe.live_ids() == []
    plain = probe.open_group()
    assert probe.resize(plain, 5, 1).result(0).outcome == "refused"
    probe.close_group(plain)
    assert probe.kill_group(plain, 1).result(0).outcome == "gone"


def test_fake_spawn_makes_a_greenlet_of_the_functions_name(probe: FakeProbe) -> None:
    result = probe.spawn(test_fake_probe_is_a_probe, {}, None, None, 1).result(0)
    assert result.outcome == "done"
    assert probe.records(result.ids)[0].function == "test_fake_probe_is_a_probe"
    assert probe.sample(result.ids)[0].state == "running"
    delayed = probe.spawn(test_fake_probe_is_a_probe, {}, None, 5.0, 1).result(0)
    assert probe.sample(delayed.ids)[0].state == "pending"


def test_scenario_is_the_same_every_time(clock: Ticker) -> None:
    def play() -> list[object]:
        probe = FakeProbe(clock=clock)
        scenario = Scenario(probe)
        scenario.populate(300, hostile=True)
        for _ in range(20):
            scenario.step()
        return [(event.kind, event.greenlet, event.group) for event in probe.drain().events]

    assert play() == play()


def test_scenario_has_all_states_and_hostile_names(probe: FakeProbe) -> None:
    Scenario(probe).populate(120, hostile=True)
    assert len(probe.live_ids()) == 120
    assert all(probe.count_states().values())
    names = {record.name for record in probe.records(probe.live_ids())}
    assert names.issuperset(HOSTILE_NAMES)
    assert {"failed", "succeeded"} <= {event.kind for event in probe.drain().events}
    assert any(probe.waiters_of(id) for id in probe.live_ids())
