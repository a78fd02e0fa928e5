"""What the gevent probe sees of greenlets: their lives and ends, those that exist already, their states and places."""

import pytest

from tests.app.gevent_runs import run

pytest.importorskip("gevent")


def test_life_is_told_in_order_with_its_account() -> None:
    found = run(
        """
        probe = GeventProbe(accounting="light"); probe.attach(); probe.drain()
        def fetch():
            gevent.sleep(0.03)
        one = gevent.spawn(fetch); id = id_of(probe, one); one.join()
        events = [event for event in probe.drain().events if event.greenlet == id]
        record, life = events[0].record, events[-1].sample
        answer(kinds=kinds(events), function=record.function, name=record.name, id=id, created=record.created,
            site=record.spawn_site.function, parent=record.parent, kind=record.kind, thread=record.thread,
            wait=life.wait_time, run=life.run_time, switches=life.switches, longest=life.longest_run,
            order=[event.t for event in events] == sorted(event.t for event in events), ready=life.ready_time,
            live=id in probe.live_ids(), faults=probe.faults)
        """
    )
    assert found["kinds"] == ["spawned", "started", "succeeded"]
    assert (found["function"], found["name"]) == ("fetch", f"fetch-{found['id']}")
    assert (found["site"], found["kind"], found["thread"]) == ("<module>", "greenlet", "main")
    assert found["parent"] == 1
    assert found["order"]
    assert found["wait"] >= 0.029
    assert 0 < found["longest"] <= found["run"] < 0.029
    assert found["switches"] == 2
    assert found["ready"] is None  # light accounting does not know
    assert not found["live"]
    assert found["faults"] == []


def test_ends_are_told_apart() -> None:
    found = run(
        """
        gevent.get_hub().NOT_ERROR = (Exception,)      # gevent prints nothing
        probe = GeventProbe(); probe.attach(); probe.drain()
        class Rude(Exception):
            def __str__(self): raise RuntimeError("no text")
        def bad(error): raise error
        def parked(): gevent.sleep(60)
        failed = gevent.spawn(bad, ValueError("bad value")); rude = gevent.spawn(bad, Rude("plain", object()))
        killed = gevent.spawn(parked); returned = gevent.spawn(lambda: gevent.GreenletExit)
        stillborn = gevent.spawn(parked); late = gevent.spawn_later(60, parked)
        ids = [id_of(probe, one) for one in (failed, rude, killed, returned, stillborn, late)]
        stillborn.kill(); late.kill(block=False); gevent.sleep(0.01); killed.kill(); gevent.sleep(0.01)
        probe._endings._swept = 0.0
        events = probe.drain().events
        ends = {event.greenlet: event for event in events if event.sample is not None}
        error, other = ends[ids[0]].exception, ends[ids[1]].exception
        answer(ends=[ends[id].kind for id in ids], stillborn=kinds(events, ids[4]),
            type=error.type, message=error.message, place=error.traceback[-1].function, rude=other.message,
            faults=probe.faults, pending=probe.count_states()["pending"])
        """
    )
    assert found["ends"] == ["failed", "failed", "killed", "succeeded", "killed", "killed"]
    assert found["stillborn"] == ["spawned", "killed"]
    assert (found["type"], found["message"], found["place"]) == ("ValueError", "bad value", "bad")
    assert found["rude"] == "plain"
    assert found["faults"] == []
    assert found["pending"] == 0


def test_attach_finds_what_exists() -> None:
    found = run(
        """
        from gevent import monkey
        def parked(): gevent.sleep(60)
        def parent():
            child = gevent.spawn(parked); gevent.sleep(60)
        def pending(): pass
        root = gevent.spawn(parent); pool = Pool(3)
        members = [pool.spawn(parked) for _ in range(2)]; raw = gevent.spawn_raw(parked)
        gevent.sleep(0.01)
        later = gevent.spawn_later(50, pending); unstarted = gevent.Greenlet(pending)
        probe = GeventProbe(); probe.attach()
        events = probe.drain().events
        records = {record.id: record for record in probe.records(probe.live_ids())}
        by = {}
        for record in records.values(): by.setdefault(record.function, []).append(record)
        sample = probe.groups()[0]
        answer(functions=sorted(record.function for record in records.values()),
            child_parent=records[by["parked"][0].parent or 0].function if by["parked"][0].parent in records else "",
            parents=sorted({records[r.parent].function for r in records.values() if r.parent}),
            group=[sample.kind, sample.size, sample.active, sample.free, len(sample.members)],
            grouped=kinds(events).count("grouped"), opened=kinds(events).index("group_opened")
                < kinds(events).index("grouped"),
            states=probe.count_states(), place=look(probe, root).place.function,
            waits=look(probe, root).waiting_on.kind,
            known=sorted(kinds(events, id_of(probe, root))), unstarted=id_of(probe, unstarted),
            stack=[site.function for site in probe.stack(id_of(probe, root)).frames], faults=probe.faults)
        """
    )
    assert found["functions"] == ["<main>", "parent", "parked", "parked", "parked", "parked", "pending"]
    assert found["parents"] == ["<main>", "parent"]
    assert found["group"] == ["pool", 3, 2, 1, 2]
    assert found["grouped"] == 2
    assert found["opened"]
    assert found["states"] == {"pending": 1, "ready": 0, "running": 1, "waiting": 5}
    assert (found["place"], found["waits"]) == ("parent", "sleep")
    assert found["known"] == ["spawned", "started"]
    assert found["unstarted"] is None
    assert found["stack"] == ["parent", "sleep"]
    assert found["faults"] == []


def test_place_without_a_line_of_the_program_is_where_it_was_spawned() -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach()
        def main():
            return gevent.spawn(gevent.sleep, 60)
        bare = main(); gevent.sleep(0.01); probe.drain()
        place = look(probe, bare).place
        answer(place=[place.file, place.function], line=place.line, faults=probe.faults)
        """
    )
    assert found["place"] == ["<string>", "sleep"]
    assert found["faults"] == []


def test_raw_greenlets_are_seen_when_they_park_and_link_callbacks_are_not() -> None:
    found = run(
        """
        import greenlet
        probe = GeventProbe(); probe.attach(); probe.drain()
        def parked(): gevent.sleep(60)
        def quick(): pass
        raw = gevent.spawn_raw(parked); brief = gevent.spawn_raw(quick)
        plain = greenlet.greenlet(parked, gevent.get_hub()); gevent.get_hub().loop.run_callback(plain.switch)
        linked = gevent.spawn(quick); linked.link(lambda source: None)
        gevent.sleep(0.01)
        events = probe.drain().events + probe.drain().events
        records = [event.record for event in events if event.kind == "spawned"]
        answer(functions=sorted(record.function for record in records if record.kind == "raw"),
            greenlets=[record.function for record in records if record.kind == "greenlet"],
            waits=look(probe, raw).waiting_on.kind, faults=probe.faults,
            ended=[event.kind for event in events if event.sample])
        """
    )
    assert found["functions"] == ["<raw greenlet>", "parked", "parked"]
    assert found["greenlets"] == ["quick"]
    assert found["waits"] == "sleep"
    assert found["ended"] == ["succeeded", "succeeded"]
    assert found["faults"] == []


def test_states_are_counted_and_sampled_alike() -> None:
    found = run(
        """
        probe = GeventProbe(); probe.attach()
        parked = gevent.spawn(gevent.sleep, 60); ready = gevent.spawn(gevent.sleep, 0)
        gevent.sleep(0)
        pending = gevent.spawn(gevent.sleep, 0); later = gevent.spawn_later(60, gevent.sleep)
        states = {}
        for sample in probe.sample(probe.live_ids()): states[sample.state] = states.get(sample.state, 0) + 1
        looks = [(one.id, one.state, one.switches) for one in probe.sample(probe.live_ids())]
        figures = [(id, state, switches) for id, state, _, _, _, switches, _ in probe.figures(probe.live_ids())]
        answer(states=states, counts={k: v for k, v in probe.count_states().items() if v}, alike=looks == figures,
            ready=look(probe, ready).state, parked=look(probe, parked).state)
        """
    )
    assert found["states"] == {"running": 1, "waiting": 1, "ready": 1, "pending": 2}
    assert found["counts"] == found["states"]
    assert found["alike"]
    assert (found["ready"], found["parked"]) == ("ready", "waiting")


def test_full_log_drops_and_counts_and_the_living_stay_known() -> None:
    found = run(
        """
        probe = GeventProbe(log_limit=50); probe.attach(); probe.drain()
        release = Event()
        all_ = [gevent.spawn(release.wait) for _ in range(1000)]
        gevent.sleep(0)
        drained = probe.drain()
        live = len(probe.live_ids()); records = len(probe.records(probe.live_ids()))
        release.set(); gevent.joinall(all_)
        ended = probe.drain()
        told = {kind: kinds(drained.events + ended.events).count(kind) for kind in ("spawned", "started", "succeeded")}
        lost = {kind: drained.dropped.get(kind, 0) + ended.dropped.get(kind, 0) for kind in told}
        answer(told=told, lost=lost, live=live, records=records, left=len(probe.live_ids()), faults=probe.faults)
        """
    )
    assert {kind: found["told"][kind] + found["lost"][kind] for kind in found["told"]} == {
        "spawned": 1000,
        "started": 1000,
        "succeeded": 1000,
    }
    assert found["lost"]["succeeded"] > 0
    assert found["live"] == found["records"] == 1001
    assert found["left"] == 1
    assert found["faults"] == []


def test_probe_that_another_thread_closes_can_be_drained_meanwhile() -> None:
    found = run(
        """
        import threading
        probe = GeventProbe(); probe.attach(); probe.drain()
        gevent.joinall([gevent.spawn(gevent.sleep, 0.01) for _ in range(3)])
        catch_up = probe._events._catch_up
        def close_first(item, events):
            closing = threading.Thread(target=probe.close); closing.start(); closing.join()
            catch_up(item, events)
        probe._events._catch_up = close_first
        drained = probe.drain()
        answer(events=len(drained.events), more=len(probe.drain().events), faults=probe.faults)
        """
    )
    assert found["events"] > 0
    assert (found["more"], found["faults"]) == (0, [])
