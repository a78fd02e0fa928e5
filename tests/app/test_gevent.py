"""What the gevent probe sees: each program runs real gevent in a process of its own, since patching is global."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gevent")

ROOT = Path(__file__).resolve().parents[2]
PRELUDE = """
import gc, json, sys, time
import gevent
from gevent.event import Event
from gevent.lock import RLock, Semaphore
from gevent.pool import Group, Pool
from gevent.queue import Queue
from greenscope.app.backends.gevent import GeventProbe

def answer(**values):
    print(json.dumps(values, default=str))

def kinds(events, id=None):
    return [event.kind for event in events if id is None or event.greenlet == id]

def id_of(probe, greenlet):
    return probe._registry.id_of(greenlet)

def look(probe, greenlet):
    return probe.sample([id_of(probe, greenlet)])[0]
"""


def run(body: str, timeout: float = 30) -> dict[str, Any]:
    """Run a gevent program to its end and return what it answered; what it writes to stderr must be nothing."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".dev"), "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(body)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


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


def test_waits_are_named_as_far_as_gevent_shows_them() -> None:
    found = run(
        """
        import socket
        from gevent import socket as green
        probe = GeventProbe(); probe.attach()
        event, queue, semaphore, lock = Event(), Queue(), Semaphore(0), RLock()
        left, right = green.socketpair()
        def holder():
            lock.acquire(); gevent.sleep(60)
        def on_lock():
            with lock: pass
        def on_semaphore():
            with semaphore: pass
        def on_queue(): queue.get()
        def on_socket(): left.recv(1)
        waits = {}
        held = gevent.spawn(holder); gevent.sleep(0)
        for function in (event.wait, on_queue, on_semaphore, on_lock, on_socket, held.join):
            waits[getattr(function, "__name__", "")] = gevent.spawn(function)
        gevent.sleep(0.01)
        seen = {name: look(probe, one).waiting_on for name, one in waits.items()}
        answer(kinds={name: wait.kind for name, wait in seen.items()}, since=all(w.since for w in seen.values()),
            owner=seen["on_lock"].owner == id_of(probe, held), target=seen["join"].target == id_of(probe, held),
            waiters=probe.waiters_of(id_of(probe, held)) ==
                sorted([id_of(probe, waits["on_lock"]), id_of(probe, waits["join"])]),
            owners=probe.missing("owners"), faults=probe.faults)
        """
    )
    assert found["kinds"] == {
        "wait": "event",
        "on_queue": "queue.get",
        "on_semaphore": "semaphore",
        "on_lock": "rlock",
        "on_socket": "socket.recv",
        "join": "join",
    }
    assert found["since"]
    assert found["owner"]
    assert found["target"]
    assert found["waiters"]
    assert "RLock" in found["owners"]
    assert found["faults"] == []


def test_wait_without_a_frame_is_told_by_the_programs_own_line(tmp_path: Path) -> None:
    script = tmp_path / "jobs.py"
    script.write_text("def worker(jobs):\n    return jobs.get(timeout=60)\n")
    found = run(
        f"""
        sys.path.insert(0, {str(tmp_path)!r})
        import jobs as module
        from greenscope.app.backends import gevent_waits
        gevent_waits.SCAN_BLOCKS = 0       # as in a program with a large heap
        probe = GeventProbe(); probe.attach()
        one = gevent.spawn(module.worker, Queue()); gevent.sleep(0.01)
        wait = look(probe, one).waiting_on
        answer(kind=wait.kind, name=wait.name, source=probe.stack(id_of(probe, one)).source)
        """
    )
    assert (found["kind"], found["name"]) == ("get", "jobs")
    assert found["source"] == ["return jobs.get(timeout=60)"]


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


def test_hub_of_another_thread_is_a_lane_of_its_own() -> None:
    found = run(
        """
        import threading
        probe = GeventProbe(); probe.attach(); probe.drain()
        go = threading.Event()
        def work():
            one = gevent.spawn(gevent.sleep, 0.05); one.name = "elsewhere"
            go.set(); one.join(); gevent.get_hub().destroy()
        thread = threading.Thread(target=work, name="second"); thread.start(); go.wait(5); time.sleep(0.02)
        hubs = [hub.thread for hub in probe.hubs()]
        events = probe.drain().events
        record = next(event.record for event in events if event.record and event.record.name == "elsewhere")
        running = probe.sample([record.id])[0]
        thread.join(5)
        ends = {event.greenlet: event.kind for event in probe.drain().events if event.sample}
        answer(hubs=hubs, thread=record.thread, state=running.state, end=ends[record.id], faults=probe.faults)
        """
    )
    assert found["hubs"] == ["main", "second"]
    assert (found["thread"], found["state"], found["end"]) == ("second", "waiting", "succeeded")
    assert found["faults"] == []


def test_thread_pool_and_look_ups_are_counted_and_not_made_by_looking() -> None:
    found = run(
        """
        import socket, threading
        from gevent.monkey import get_original
        from gevent import socket as green
        probe = GeventProbe(); probe.attach(); probe.drain(); hub = gevent.get_hub()
        none = probe.hubs()[0]; untouched = hub._threadpool is None and hub._resolver is None
        go = threading.Event()
        def native(): go.wait(20)
        hub.threadpool.maxsize = 2
        tasks = [hub.threadpool.spawn(native) for _ in range(2)]
        asking = [gevent.spawn(green.getaddrinfo, "127.0.0.1", port) for port in range(3)]
        gevent.sleep(0.05)
        full = probe.hubs()[0]; go.set(); gevent.joinall(asking, timeout=20); gevent.wait(tasks, timeout=20)
        end = time.monotonic() + 10
        while probe.hubs()[0].threadpool.busy and time.monotonic() < end: gevent.sleep(0.01)
        idle = probe.hubs()[0]
        answer(none=[none.threadpool, none.resolver, none.lookups], untouched=untouched,
            full=[full.threadpool.size, full.threadpool.most, full.threadpool.busy, full.threadpool.queued,
                full.resolver, full.lookups],
            idle=[idle.threadpool.busy, idle.threadpool.queued, idle.lookups], faults=probe.faults)
        """
    )
    assert found["none"] == [None, "", None]
    assert found["untouched"]
    assert found["full"] == [2, 2, 2, 3, "thread", 3]
    assert found["idle"] == [0, 0, 0]
    assert found["faults"] == []


def test_a_look_up_that_runs_is_told_by_its_worker() -> None:
    found = run(
        """
        import _socket, threading
        from greenscope.app.backends import gevent_threads
        probe = GeventProbe(); probe.attach(); hub = gevent.get_hub()
        gate = threading.Lock(); gate.acquire()
        _socket.getaddrinfo = gate.acquire         # a compiled function that lasts, in the place of the resolver's
        asking = gevent.spawn(hub.resolver.getaddrinfo); gevent.sleep(0.05)
        seen = probe.hubs()[0]; gate.release(); asking.join(20)
        answer(seen=[seen.threadpool.busy, seen.threadpool.queued, seen.lookups], faults=probe.faults)
        """
    )
    assert found["seen"] == [1, 0, 1]
    assert found["faults"] == []


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


def test_accounting_off_tells_lives_and_no_times() -> None:
    found = run(
        """
        import greenlet
        gevent.get_hub().NOT_ERROR = (Exception,)
        probe = GeventProbe(accounting="off"); probe.attach(); probe.drain()
        def bad(): raise ValueError("bad")
        def parked(): gevent.sleep(60)
        one, two, three = gevent.spawn(gevent.sleep, 0.01), gevent.spawn(bad), gevent.spawn(parked)
        waiting = gevent.spawn(parked)
        ids = [id_of(probe, greenlet_) for greenlet_ in (one, two, three)]
        gevent.sleep(0.02); three.kill(); gevent.sleep(0.01)
        events = probe.drain().events
        state = look(probe, waiting)
        probe.close()
        answer(tracer=greenlet.gettrace() is None, lives=[kinds(events, id) for id in ids],
            run=[event.sample.run_time for event in events if event.sample], state=state.state,
            links=waiting.has_links(), missing=probe.missing("accounting"),
            has="accounting" in probe.capabilities, faults=probe.faults)
        """
    )
    assert found["tracer"]
    assert found["lives"] == [
        ["spawned", "started", "succeeded"],
        ["spawned", "started", "failed"],
        ["spawned", "started", "killed"],
    ]
    assert found["run"] == [None, None, None]
    assert found["state"] == "waiting"
    assert not found["links"]
    assert not found["has"]
    assert "off" in found["missing"]
    assert found["faults"] == []


def test_accounting_off_links_nothing_and_tells_ends_that_leave_nothing_behind() -> None:
    found = run(
        """
        hub = gevent.get_hub(); printed = []
        hub.print_exception = lambda context, *exc_info: printed.append(exc_info[1].args[0])
        probe = GeventProbe(accounting="off"); probe.attach(); probe.drain()
        def bad(): raise ValueError("bad")
        links = [gevent.spawn(bad).has_links(), gevent.spawn(int).has_links()]
        gevent.sleep(0.01); gc.collect()                # freed: nobody has kept them
        kept = gevent.spawn(bad); kept.join()
        dropped = gevent.spawn(gevent.sleep, 60); gevent.sleep(0); id = id_of(probe, dropped)
        asked = probe.kill(id, 5); gevent.sleep(0.01); del dropped; gc.collect(); events = probe.drain().events
        answer(links=links, kinds=sorted(kinds(events)), printed=printed, killed=kinds(events, id),
            messages=[event.exception.message for event in events if event.exception],
            entries=len(probe._registry.lanes[hub.thread_ident].entries), faults=probe.faults)
        """
    )
    assert found["links"] == [0, 0]
    assert found["kinds"] == sorted(
        ["failed"] * 2 + ["spawned"] * 4 + ["started"] * 3 + ["succeeded", "kill_requested", "killed"]
    )
    assert found["killed"][-1] == "killed"
    assert found["messages"] == ["bad", "bad"]
    assert found["printed"] == ["bad", "bad"]
    assert found["entries"] == 2  # the hub and main
    assert found["faults"] == []


def test_accounting_off_leaves_a_programs_own_handling_of_errors_as_it_is() -> None:
    found = run(
        """
        hub = gevent.get_hub(); printed = []; hub.print_exception = lambda *error: printed.append("gevent's")
        def bad(): raise ValueError("bad")
        def mine(*error): printed.append("mine")
        def fail():
            gevent.spawn(bad); gevent.sleep(0.01); gc.collect(); probe._endings._swept = other._endings._swept = 0.0
            told = [kinds(one.drain().events)[-1] for one in (probe, other)]; gevent.sleep(0.01)
            return [*told, printed.pop(), len(printed)]
        probe, other = GeventProbe(accounting="off"), GeventProbe(accounting="off")
        probe.attach(); other.attach(); probe.drain(); other.drain()
        seen = [fail()]; ours = hub.handle_error
        hub.handle_error = mine; probe._endings._swept = other._endings._swept = 0.0
        probe.drain(); other.drain(); gevent.sleep(0.01); seen.append(fail())       # put over the program's
        hub.handle_error = ours; seen.append(fail()); same = hub.handle_error is ours   # as a test puts it back
        hub.handle_error = mine; probe.drain(); other.drain(); fail(); gevent.sleep(0.01)
        probe.close(); other.close(); restored = hub.handle_error is mine
        third = GeventProbe(accounting="off"); third.attach(); del hub.handle_error; third.close()
        fourth = GeventProbe(accounting="off"); fourth.attach(); fourth.close()
        answer(seen=seen, same=same, restored=restored, gone="handle_error" not in hub.__dict__,
            faults=probe.faults + other.faults)
        """
    )
    assert found["seen"] == [
        ["failed", "failed", "gevent's", 0],
        ["failed", "failed", "mine", 0],
        ["failed"] * 2 + ["gevent's", 0],
    ]
    assert found["same"]
    assert found["restored"]
    assert found["gone"]
    assert found["faults"] == []


def test_full_accounting_estimates_ready_time() -> None:
    found = run(
        """
        probe = GeventProbe(accounting="full"); probe.attach(); probe.drain()
        def hog():
            gevent.sleep(0.01); end = time.monotonic() + 0.05
            while time.monotonic() < end: pass
        ones = [gevent.spawn(hog) for _ in range(3)]; gevent.joinall(ones)
        lives = [event.sample for event in probe.drain().events if event.sample]
        answer(ready=sorted(life.ready_time for life in lives), wait=min(life.wait_time for life in lives))
        """
    )
    assert found["ready"][0] < 0.04
    assert found["ready"][2] >= 0.09
    assert found["wait"] >= 0


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


def test_unknown_accounting_is_refused() -> None:
    from greenscope.app.backends.gevent import GeventProbe

    with pytest.raises(ValueError, match="accounting: 'much' is none of"):
        GeventProbe(accounting="much")


def test_records_made_fast_are_the_models_own() -> None:
    from greenscope.app.backends import gevent_records as make
    from greenscope.app.model import Event, GreenletRecord, GreenletSample, Site

    site = Site("a.py", 1, "f")
    record = GreenletRecord(1, "n", "f", "a.py", 1, 2.0, None, site, "main", "raw", True)
    sample = GreenletSample(1, "waiting", site, None, 1.0, None, 2.0, 3, 0.5, None)
    assert make.record(1, "n", "f", "a.py", 1, 2.0, None, site, "main", "raw", True) == record
    assert make.sample(1, "waiting", site, None, 1.0, None, 2.0, 3, 0.5) == sample
    made = make.event("spawned", 2.0, 1, None, record, None, sample)
    assert made == Event("spawned", 2.0, greenlet=1, record=record, sample=sample)
    assert type(made) is Event
    with pytest.raises(AttributeError):
        made.t = 3.0  # type: ignore[misc]
