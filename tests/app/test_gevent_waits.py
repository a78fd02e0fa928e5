"""What the gevent probe tells of what greenlets wait for."""

from pathlib import Path

import pytest

from tests.app.gevent_runs import run

pytest.importorskip("gevent")


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
