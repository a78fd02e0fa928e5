"""Which lives the gevent probe tells one by one: all that last or fail, and of the short ones as many as fit.

The rest is counted where it ends. The dashboard may look in the middle of it: nothing may get lost then, or live on.
"""

import pytest

pytest.importorskip("gevent")

from tests.app.gevent_runs import run


def test_shed_members_of_a_pool_are_counted_by_their_group() -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach(); few(probe, 10); probe.drain()
        pool = Pool(20)
        for _ in range(30): pool.spawn(int)
        pool.join(); drained = probe.drain(); id = probe.groups()[0].id
        for _ in range(15): pool.spawn(int)
        pool.join(); again = probe.drain(); lone = [gevent.spawn(int) for _ in range(12)]; gevent.joinall(lone)
        answer(told=[kinds(part.events).count("succeeded") for part in (drained, again)], id=str(id),
            unseen=[part.unseen for part in (drained, again, probe.drain())], dropped=drained.dropped,
            open=len(probe._registry.lanes[probe._registry.find(1).lane.ident].entries), faults=probe.faults)
        """
    )
    assert found["told"] == [10, 10]
    assert found["unseen"][0] == {found["id"]: {"spawned": 20, "succeeded": 20}}
    assert found["unseen"][1] == {found["id"]: {"spawned": 5, "succeeded": 5}}
    assert found["unseen"][2] == {}
    assert found["dropped"] == {"spawned": 20, "started": 20, "succeeded": 20}
    assert found["open"] == 2  # the hub and main: nothing is kept of lives that were shed
    assert found["faults"] == []


def test_events_are_told_in_the_order_in_which_they_happened() -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach(); probe.drain()
        stays = gevent.spawn(gevent.sleep, 60); gevent.sleep(0)
        brief = gevent.spawn(int); brief.join(); later = gevent.spawn(gevent.sleep, 60); gevent.sleep(0)
        first = probe.drain().events
        pool = Pool(2); inside = pool.spawn(gevent.sleep, 60); gevent.sleep(0)
        second = probe.drain().events
        names = {id_of(probe, stays): "stays", id_of(probe, later): "later"}
        answer(times=[event.t for event in first] == sorted(event.t for event in first),
            first=[(names.get(event.greenlet, "brief"), event.kind) for event in first], second=kinds(second))
        """
    )
    assert found["times"]
    assert found["first"] == [
        ["stays", "spawned"],
        ["stays", "started"],
        ["brief", "spawned"],
        ["brief", "started"],
        ["brief", "succeeded"],
        ["later", "spawned"],
        ["later", "started"],
    ]
    assert found["second"] == ["group_opened", "spawned", "grouped", "started"]


def test_newborn_are_found_behind_raw_greenlets_that_became_known_late() -> None:
    found = run(
        """
        import greenlet
        probe = GeventProbe(); probe.attach(); probe.drain(); hub = gevent.get_hub()
        def parked(): gevent.sleep(60)
        first = gevent.spawn(parked); plain = greenlet.greenlet(parked, hub); hub.loop.run_callback(plain.switch)
        second = gevent.spawn(parked); gevent.sleep(0.01)
        told = [event.record.id for event in probe.drain().events if event.record]
        third = gevent.spawn(parked); many = [gevent.spawn(parked) for _ in range(1200)]; gevent.sleep(0.01)
        more = [event.record.id for event in probe.drain().events if event.record]
        answer(told=told == sorted(id_of(probe, one) for one in (first, plain, second)),
            more=more == [id_of(probe, one) for one in (third, *many)], faults=probe.faults)
        """
    )
    assert found["told"]
    assert found["more"]
    assert found["faults"] == []


def test_short_lives_beyond_the_budget_are_counted_and_failures_are_told() -> None:
    found = run(
        """
        gevent.get_hub().NOT_ERROR = (Exception,)
        probe = GeventProbe(); probe.attach(); few(probe, 10); probe.drain()
        def maybe(number):
            if number % 50 == 0: raise ValueError(number)
        gevent.joinall([gevent.spawn(maybe, number) for number in range(200)])
        drained = probe.drain()
        answer(succeeded=kinds(drained.events).count("succeeded"), failed=kinds(drained.events).count("failed"),
            dropped=drained.dropped)
        """
    )
    assert found["succeeded"] == 10
    assert found["failed"] == 4
    assert found["dropped"] == {"spawned": 186, "started": 186, "succeeded": 186}


def test_of_a_crowd_told_or_not_a_tenth_as_many_may_be_told() -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach(); probe.drain()
        events, lane, allowed = probe._events, probe._registry.lanes[gevent.get_hub().thread_ident], []
        events._short_burst, events._short_rate, events._allowed_at, now = 1e9, 500, 0.0, 0.0
        for told, lives in ((0, 100), (0, 1100), (0, 1100), (0, 100), (500, 600), (50, 700)):
            for _ in range(lives): lane.shed.add()
            left, now = lane.left - told, now + 1.0
            lane.left = left
            dropped = events.drain(now).dropped
            allowed.append((dropped["succeeded"], lane.left - left))
        answer(allowed=allowed)
        """
    )
    assert found["allowed"] == [[100, 500], [1100, 50], [1100, 50], [100, 500], [600, 50], [700, 500]]


def test_life_that_is_noticed_while_it_is_shed_is_told_to_its_end() -> None:
    found = run(
        """
        from greenscope.app.backends import gevent_tracing
        probe = GeventProbe(); probe.attach(); few(probe, 0); probe.drain()
        successful, seen = gevent_tracing._successful, []
        def look_meanwhile(one):
            if not seen: seen.append(id_of(probe, one)); seen.extend(probe.drain().events)
            return successful(one)
        gevent_tracing._successful = look_meanwhile
        gevent.spawn(int); gevent.sleep(0.01); id, *events = seen; drained = probe.drain()
        answer(kinds=kinds([*events, *drained.events], id), dropped=drained.dropped, live=id in probe.live_ids(),
            kept=id in probe._registry._index, faults=probe.faults)
        """
    )
    assert found["kinds"] == ["spawned", "started", "succeeded"]
    assert found["dropped"] == {}
    assert not found["live"]
    assert not found["kept"]
    assert found["faults"] == []


def test_end_that_a_look_finds_while_it_is_shed_is_told_once() -> None:
    found = run(
        """
        from greenscope.app.backends import gevent_tracing
        probe = GeventProbe(); probe.attach(); few(probe, 0); probe.drain()
        lane = probe._registry.lanes[gevent.get_hub().thread_ident]; successful, seen = gevent_tracing._successful, []
        def look_meanwhile(one):
            if not seen:
                seen.append(id_of(probe, one)); lane.rested += 1.0  # so that a look may settle it
                probe._untraced.settle(lane, lane.entries[id(one)], one)
            return successful(one)
        gevent_tracing._successful = look_meanwhile
        gevent.spawn(int); gevent.sleep(0.01); drained = probe.drain()
        answer(kinds=kinds(drained.events, seen[0]), dropped=drained.dropped, live=seen[0] in probe.live_ids(),
            faults=probe.faults)
        """
    )
    told = found["kinds"].count("succeeded") + found["dropped"].get("succeeded", 0)
    assert told == 1
    assert not found["live"]
    assert found["faults"] == []


def test_newborn_in_the_middle_of_a_look_are_told_with_the_next() -> None:
    found = run(
        """
        import greenlet
        probe = GeventProbe(); probe.attach(); probe.drain(); hub = gevent.get_hub(); notice = probe._events._notice
        def parked(): gevent.sleep(60)
        born = []
        def notice_and_go_on(lane):
            found = notice(lane)
            if not born:
                plain = greenlet.greenlet(parked, hub)
                born.extend([gevent.spawn(parked), plain]); hub.loop.run_callback(plain.switch); gevent.sleep(0.01)
            return found
        probe._events._notice = notice_and_go_on; probe.drain(); probe.drain()
        last = gevent.spawn(parked); gevent.sleep(0.01); probe.drain()
        answer(told=[id_of(probe, one) in probe._registry._index for one in (*born, last)], faults=probe.faults)
        """
    )
    assert found["told"] == [True, True, True]
    assert found["faults"] == []


def test_killed_greenlet_that_goes_on_to_succeed_is_told() -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach(); few(probe, 0); probe.drain()
        def stubborn():
            try: gevent.sleep(60)
            except gevent.GreenletExit: return 5
        one, other = gevent.spawn(stubborn), gevent.spawn(gevent.sleep, 60); gevent.sleep(0)
        ids = [id_of(probe, one), id_of(probe, other)]; asked = [probe.kill(id, 5) for id in ids]; gevent.sleep(0.05)
        events = probe.drain().events
        answer(told=[sorted(kinds(events, id)) for id in ids], outcomes=[one.result().outcome for one in asked])
        """
    )
    assert found["told"] == [
        sorted(["spawned", "started", "kill_requested", "succeeded"]),
        sorted(["spawned", "started", "kill_requested", "killed"]),
    ]
    assert found["outcomes"] == ["done", "done"]


def test_shed_lives_that_were_looked_for_are_forgotten() -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach(); few(probe, 0); probe.drain()
        gone = [gevent.spawn(int) for _ in range(5)]; probe.sample(probe.live_ids()); kept = len(probe._registry._index)
        gevent.joinall(gone); probe._endings._swept = 0.0; dropped = probe.drain().dropped
        answer(kept=kept, left=len(probe._registry._index), dropped=dropped)
        """
    )
    assert found["kept"] == 6
    assert found["left"] == 1
    assert found["dropped"] == {"spawned": 5, "started": 5, "succeeded": 5}


def test_failure_that_is_written_down_slowly_is_told_once() -> None:
    found = run(
        """
        hub = gevent.get_hub(); hub.handle_error = lambda *error: gevent.sleep(0.01)
        probe = GeventProbe(); probe.attach(); probe.drain()
        def bad(): raise ValueError("bad")
        one = gevent.spawn(bad); id = id_of(probe, one); gevent.sleep(0.05); drained = probe.drain()
        answer(kinds=kinds(drained.events), same={event.greenlet for event in drained.events} == {id},
            live=len(probe.live_ids()), faults=probe.faults)
        """
    )
    assert found["kinds"] == ["spawned", "started", "failed"]
    assert found["same"]
    assert found["live"] == 1
    assert found["faults"] == []


def test_accounting_off_tells_or_counts_every_life_also_where_addresses_come_again() -> None:
    found = run(
        """
        probe = GeventProbe(accounting="off"); probe.attach(); few(probe, 10); probe.drain()
        gevent.get_hub().NOT_ERROR = (Exception,)
        def bad(): raise ValueError("bad")
        pool = Pool(5)
        for _ in range(20): gevent.joinall([gevent.spawn(int) for _ in range(10)] + [gevent.spawn(bad)])
        for _ in range(10): pool.spawn(int)
        pool.join(); gc.collect(); drained = probe.drain(); events = kinds(drained.events)
        id = str(probe.groups()[0].id); born = gevent.spawn(gevent.sleep, 60); gevent.sleep(0)
        answer(told={kind: events.count(kind) for kind in ("spawned", "started", "succeeded", "failed")},
            dropped=drained.dropped, unseen=drained.unseen[int(id)], next=kinds(probe.drain().events),
            open=len(probe._registry.lanes[gevent.get_hub().thread_ident].entries), faults=probe.faults)
        """
    )
    told, dropped = found["told"], found["dropped"]
    assert told["failed"] == 20
    assert told["succeeded"] == 10
    assert told["spawned"] == told["started"] == 30
    assert dropped == {"spawned": 200, "started": 200, "succeeded": 200}
    assert found["unseen"] == {"spawned": 10, "succeeded": 10}
    assert found["next"] == ["spawned", "started"]
    assert found["open"] == 3
    assert found["faults"] == []


def test_drain_says_until_when_it_has_told() -> None:
    found = run(
        """
        import time
        from greenscope.app.backends import gevent_events
        probe = GeventProbe(); probe.attach(); probe.drain()
        gevent_events.MOST_PER_DRAIN = 10
        tasks = [gevent.spawn(gevent.sleep, 60) for _ in range(35)]; gevent.sleep(0)
        noted, told, untils = time.monotonic(), 0, []
        while told < 35 and len(untils) < 20:
            drained = probe.drain()
            told += sum(event.kind == "spawned" for event in drained.events)
            untils.append([told, drained.until > noted])
        answer(untils=untils, at_last=probe.drain().until == float("inf"))
        """
    )
    assert len(found["untils"]) >= 4
    assert [told for told, until in found["untils"] if until and told < 35] == []
    assert found["at_last"]
