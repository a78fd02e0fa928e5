"""Kill, resize and spawn in a real gevent program, asked from a native thread as the dashboard does."""

from typing import Any

import pytest

from tests.app.gevent_programs import answer_of

pytest.importorskip("gevent")

PRELUDE = """
import json, time
import gevent
from gevent import GreenletExit
from gevent.event import Event
from gevent.pool import Group, Pool
from greenscope.app.backends import gevent_discovery
from greenscope.app.backends.gevent import GeventProbe

def answer(**values):
    print(json.dumps(values, default=str))

def id_of(probe, greenlet):
    return probe._registry.id_of(greenlet)

def from_outside(*asks):
    "Ask in a native thread, one after the other, while the hub goes on; return the results."
    results = []
    def ask():
        for one in asks:
            try:
                result = one().result(timeout=10)
                results.append([result.outcome, list(result.ids), result.state, result.reason])
            except BaseException as error:
                results.append(["raised", repr(error)])
    gevent_discovery.start_new_thread(ask, ())
    while len(results) < len(asks):
        gevent.sleep(0.005)
    return results

def parked():
    gevent.sleep(60)
"""


def run(body: str, patched: bool = False, timeout: float = 30) -> dict[str, Any]:
    """Run a gevent program to its end and return what it answered; what it writes to stderr must be nothing."""
    patch = "from gevent import monkey; monkey.patch_all()\n" if patched else ""
    return answer_of(body, PRELUDE, patch, timeout)


@pytest.mark.parametrize("patched", [False, True])
def test_kill_is_answered_by_what_was_seen(patched: bool) -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach()
        def stubborn():
            while True:
                try: gevent.sleep(60)
                except GreenletExit: pass
        one, tough, raw, late = gevent.spawn(parked), gevent.spawn(stubborn), gevent.spawn_raw(parked), \
            gevent.spawn_later(60, parked)
        gevent.sleep(0.01); probe.drain()
        ids = [id_of(probe, each) for each in (one, tough, raw, late)]
        results = from_outside(*[lambda id=id: probe.kill(id, 0.5) for id in ids],
            lambda: probe.kill(ids[0], 0.5), lambda: probe.kill(999_999, 0.5), lambda: probe.kill(1, 0.5))
        events = probe.drain().events
        answer(results=results, ids=ids, dead=[one.dead, tough.dead, raw.dead, late.dead],
            asked=sorted(event.greenlet for event in events if event.kind == "kill_requested"),
            killed=sorted(event.greenlet for event in events if event.kind == "killed"),
            since=probe.sample([ids[1]])[0].kill_requested is not None, faults=probe.faults)
        """,
        patched,
    )
    one, tough, raw, late = found["ids"]
    outcomes = [result[0] for result in found["results"]]
    assert outcomes == ["done", "alive", "done", "done", "gone", "unknown", "refused"]
    assert found["results"][0][1:3] == [[one], "killed"]
    assert found["results"][1][1:3] == [[tough], "waiting"]
    assert found["dead"] == [True, False, True, True]
    assert found["asked"] == sorted([one, tough, raw, late])
    assert found["killed"] == sorted([one, raw, late])
    assert found["since"]
    assert found["faults"] == []


def test_kill_while_the_hub_is_blocked_is_queued_and_carried_out_later() -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach()
        victim = gevent.spawn(parked); gevent.sleep(0)
        results, future = [], []
        def ask():
            future.append(probe.kill(id_of(probe, victim), 0.1))
            results.append(future[0].result(timeout=5).outcome)
        gevent_discovery.start_new_thread(ask, ())
        end = time.monotonic() + 0.5
        while time.monotonic() < end: pass
        alive = not victim.dead
        gevent.sleep(0.05)
        answer(results=results, alive=alive, dead=victim.dead, faults=probe.faults)
        """
    )
    assert found == {"results": ["queued"], "alive": True, "dead": True, "faults": []}


def test_group_kill_tells_the_survivors() -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach()
        pool = Pool(5)
        def stubborn():
            try: gevent.sleep(60)
            except GreenletExit: gevent.sleep(60)
        for _ in range(3): pool.spawn(parked)
        tough = pool.spawn(stubborn); gevent.sleep(0.01); probe.drain()
        id = probe.groups()[0].id
        results = from_outside(lambda: probe.kill_group(id, 0.3), lambda: probe.kill_group(77, 0.3))
        answer(results=results, tough=id_of(probe, tough), left=len(pool), faults=probe.faults)
        """
    )
    assert [result[0] for result in found["results"]] == ["alive", "unknown"]
    assert found["results"][0][1] == [found["tough"]]
    assert found["results"][0][3] == "1 of 4 still live"
    assert found["left"] == 1
    assert found["faults"] == []


def test_resize_wakes_who_waits_and_shrinks_without_killing() -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach()
        release, pool, group = Event(), Pool(1), Group()
        pool.spawn(release.wait); group.spawn(release.wait)
        for _ in range(4): gevent.spawn(pool.spawn, release.wait)
        gevent.sleep(0.01)
        ids = {sample.kind: sample.id for sample in probe.groups()}
        grown = from_outside(lambda: probe.resize(ids["pool"], 3, 1), lambda: probe.resize(ids["group"], 3, 1))
        gevent.sleep(0.01); sample = probe.groups()[0]; big = [sample.size, sample.active, sample.waiters]
        from_outside(lambda: probe.resize(ids["pool"], 2, 1)); small = [pool.size, len(pool), pool.free_count()]
        release.set(); pool.join(); gevent.sleep(0.02); pool.join()
        first = pool.spawn(parked); second = pool.spawn(parked)
        answer(grown=[result[0] for result in grown], big=big, small=small, full=pool.full(),
            free=pool._semaphore.counter, faults=probe.faults)
        """
    )
    assert found["grown"] == ["done", "refused"]
    assert found["big"] == [3, 3, 2]
    assert found["small"] == [2, 3, 0]
    assert found["full"]
    assert found["free"] == 0
    assert found["faults"] == []


def test_spawn_answers_with_the_new_id() -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach()
        done = []
        def crawl(url, depth=2): done.append((url, depth)); gevent.sleep(60)
        pool = Pool(1); pool.spawn(parked); gevent.sleep(0.01); probe.drain()
        group = probe.groups()[0].id
        results = from_outside(lambda: probe.spawn(crawl, {"url": "a"}, None, None, 1),
            lambda: probe.spawn(crawl, {"url": "b"}, None, 60.0, 1),
            lambda: probe.spawn(crawl, {"url": "c"}, group, None, 0.2),
            lambda: probe.spawn(crawl, {"url": "d"}, 55, None, 0.2),
            lambda: probe.resize(group, 2, 1))
        gevent.sleep(0.02)
        states = [sample.state for sample in probe.sample([results[0][1][0], results[1][1][0]])]
        births = [(one.spawn_site, one.from_dashboard) for one in probe.records([results[0][1][0], results[1][1][0]])]
        answer(outcomes=[result[0] for result in results], done=done, states=states, size=len(pool),
            faults=probe.faults, births=births)
        """
    )
    assert found["outcomes"] == ["done", "done", "queued", "unknown", "done"]
    assert found["births"] == [[None, True], [None, True]]
    assert found["done"] == [["a", 2], ["c", 2]]
    assert found["states"] == ["waiting", "pending"]
    assert found["size"] == 2
    assert found["faults"] == []
