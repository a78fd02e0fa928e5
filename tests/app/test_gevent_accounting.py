"""What the gevent probe tells, and leaves alone, by how much accounting it was asked for."""

import pytest

from tests.app.gevent_runs import run

pytest.importorskip("gevent")


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


def test_unknown_accounting_is_refused() -> None:
    from greenscope.app.backends.gevent import GeventProbe

    with pytest.raises(ValueError, match="accounting: 'much' is none of"):
        GeventProbe(accounting="much")
