"""What the gevent probe sees of threads: hubs of others, thread pools, look-ups."""

import pytest

from tests.app.gevent_runs import run

pytest.importorskip("gevent")


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
