"""What the gevent probe sees of groups and pools."""

import pytest

from tests.app.gevent_runs import run

pytest.importorskip("gevent")


def test_groups_and_pools_are_found_by_their_members() -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach(); probe.drain()
        release = Event()
        pool, group = Pool(2), Group()
        for _ in range(2): pool.spawn(release.wait)
        waiting = [gevent.spawn(pool.spawn, release.wait) for _ in range(3)]
        group.spawn(release.wait)
        lone = gevent.spawn(release.wait); gevent.sleep(0.01)
        first = probe.drain().events
        full = {sample.kind: sample for sample in probe.groups()}
        slot = look(probe, waiting[0]).waiting_on
        group.add(lone); probe._endings._swept = 0.0; added = probe.drain().events + probe.drain().events
        group.discard(lone); probe._endings._swept = 0.0; removed = probe.drain().events + probe.drain().events
        release.set(); gevent.joinall(waiting); pool.join(); gevent.sleep(0.01)
        ended = probe.drain().events
        empty = {sample.kind: sample for sample in probe.groups()}
        id = full["pool"].id
        del pool, group, full, empty, waiting
        gc.collect(); probe._endings._swept = 0.0; closed = probe.drain().events
        answer(opened=kinds(first).count("group_opened"), grouped=kinds(first).count("grouped"),
            slot=slot.kind, added=kinds(added), removed=kinds(removed),
            pairs=[kinds(ended).count("grouped"), kinds(ended).count("ungrouped")], closed=kinds(closed),
            faults=probe.faults)
        """
    )
    assert (found["opened"], found["grouped"]) == (2, 3)
    assert found["slot"] == "pool slot"
    assert found["added"] == ["grouped"]
    assert found["removed"] == ["ungrouped"]
    assert found["pairs"] == [3, 6]
    assert found["closed"] == ["group_closed", "group_closed"]
    assert found["faults"] == []


def test_pool_shows_size_free_slots_and_waiters() -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach()
        release, pool = Event(), Pool(2)
        for _ in range(2): pool.spawn(release.wait)
        for _ in range(3): gevent.spawn(pool.spawn, release.wait)
        gevent.sleep(0.01)
        sample = probe.groups()[0]
        answer(seen=[sample.kind, sample.size, sample.active, sample.free, sample.waiters, len(sample.members)])
        """
    )
    assert found["seen"] == ["pool", 2, 2, 0, 3, 2]
