"""A lane that is busy switching is traced a part of the time: what is told then, and what it is worth."""

import pytest

pytest.importorskip("gevent")

from tests.app.gevent_runs import run

#: a probe whose tracer rests when the test says so
MANUAL = """
probe = GeventProbe(); probe.attach(); probe.drain()
probe._watchdog._throttle = None; throttle = probe._throttle
lane = probe._registry.lanes[gevent.get_hub().thread_ident]
throttle.look(lane, time.monotonic())
"""


def test_looks_are_as_many_as_keep_the_share() -> None:
    found = run(
        """
        probe = GeventProbe(); looks = probe._throttle.looks
        from greenscope.app.backends import gevent_tracing as tracing, gevent_throttle as throttle
        most = throttle.SHARE / (tracing.measure(full=False) * 1e-9 * throttle.COLD)   # switches a second
        answer(looks=[looks(most * times) for times in (0, 0.5, 0.99, 1.5, 3.2, 1000)], most=throttle.MOST)
        """
    )
    assert found["looks"] == [1, 1, 1, 2, 4, found["most"]]


def test_program_that_switches_all_the_time_is_traced_in_part_and_a_quiet_one_always() -> None:
    found = run(
        """
        import greenlet
        probe = GeventProbe(); probe.attach(); probe.drain()
        lane = probe._registry.lanes[gevent.get_hub().thread_ident]
        def quiet():
            for _ in range(30): gevent.sleep(0.01)
        gevent.joinall([gevent.spawn(quiet) for _ in range(3)]); before = lane.rested
        stop = []
        def busy():
            while not stop: gevent.sleep(0)
        two = [gevent.spawn(busy) for _ in range(2)]; begun = time.monotonic()
        counted = lane.switches(begun); made = 0
        while time.monotonic() < begun + 2: gevent.sleep(0); made += 1
        took = time.monotonic() - begun; samples = [look(probe, one) for one in two]
        switches = lane.switches(time.monotonic()) - counted; traced = probe.cost()["traced"]; stop.append(1)
        gevent.joinall(two)
        rested, run = lane.rest_until(begun + took) / took, [one.run_time / took for one in samples]
        answer(before=before, rested=rested, traced=traced, run=run,
            own=[one.switches / made for one in samples], all=switches / made, faults=probe.faults)
        """
    )
    assert found["before"] == 0
    assert 0.3 < found["rested"] < 1
    assert 0 < found["traced"] < 0.8
    assert all(0.04 < share < 0.8 for share in found["run"])  # a third each
    assert all(0.2 < share < 2.5 for share in found["own"])
    assert 1.2 < found["all"] < 20  # three greenlets, and the hub between them
    assert found["faults"] == []


def test_lives_in_a_rest_are_told_when_they_last_or_fail_and_counted_otherwise() -> None:
    found = run(
        MANUAL
        + """
gevent.get_hub().NOT_ERROR = (Exception,)
def bad(): raise ValueError("bad")
def parent():
    child = gevent.spawn(gevent.sleep, 60); gevent.sleep(60)
few(probe, 0); probe.drain(); throttle.rest(lane); pool = Pool(3); begun = time.monotonic()
first = gevent.spawn(parent); gevent.sleep(0)
gevent.joinall([gevent.spawn(int) for _ in range(40)] + [gevent.spawn(bad)])
for _ in range(9): pool.spawn(int)
pool.join(); inside = pool.spawn(gevent.sleep, 60); gevent.sleep(0)
kept = gevent.spawn(int); killed = gevent.spawn(gevent.sleep, 60); gevent.sleep(0); killed.kill(); gc.collect()
traced = lane.traced; drained = probe.drain(); events = drained.events
told = {event.record.id: event.record for event in events if event.record}
(parent_id,) = [id for id, record in told.items() if record.function.endswith("parent")]
children = [record for record in told.values() if record.parent == parent_id]
ended = {event.greenlet: event.kind for event in events if event.kind in ("failed", "succeeded", "killed")}
answer(traced=traced, ended=sorted(ended.values()), dropped=drained.dropped, unseen=list(drained.unseen.values()),
    failed=[event.exception.message for event in events if event.exception], children=len(children),
    site=children[0].spawn_site.function, kinds=kinds(events, parent_id), state=look(probe, first).state,
    born=all(begun < record.created < time.monotonic() for record in told.values()),
    grouped=kinds(events, id_of(probe, inside)), live=len(probe.live_ids()), faults=probe.faults)
"""
    )
    assert not found["traced"]
    assert found["ended"] == ["failed", "killed"]
    assert found["failed"] == ["bad"]
    assert found["dropped"] == {"spawned": 50, "started": 50, "succeeded": 50}  # 40, 9 of the pool, the kept one
    assert found["unseen"] == [{"spawned": 9, "succeeded": 9}]
    assert found["children"] == 1
    assert found["site"] == "parent"
    assert found["kinds"] == ["spawned", "started"]
    assert found["state"] == "waiting"
    assert found["born"]
    assert found["grouped"] == ["spawned", "grouped", "started"]
    assert found["live"] == 4  # main, parent, child, the one in the pool
    assert found["faults"] == []


def test_tracer_that_comes_back_knows_who_was_born_and_who_is_gone() -> None:
    found = run(
        MANUAL
        + """
import greenlet
def parked(): gevent.sleep(60)
def worker():
    while True: gevent.sleep(0)
old = gevent.spawn(parked); gevent.sleep(0); probe.drain()
throttle.rest(lane); lane.left = 0
without = greenlet.gettrace() is None; id = id_of(probe, old); old.kill(block=False); gevent.sleep(0); del old
new = [gevent.spawn(parked) for _ in range(5)]; gevent.sleep(0); gc.collect()
throttle.resume(lane); back = greenlet.gettrace() is lane.trace
busy = gevent.spawn(worker); gevent.sleep(0); gevent.sleep(0.02)
probe._endings._swept = 0; events = probe.drain().events
answer(without=without, back=back, ended=kinds(events, id), known=all(id_of(probe, one) for one in new),
    born=kinds(events).count("spawned"), states=[look(probe, one).state for one in new],
    counted=look(probe, busy).switches > 0, pending=lane.pending, waits=probe.count_states(), faults=probe.faults)
"""
    )
    assert found["without"]
    assert found["back"]
    assert found["ended"] == ["succeeded"]  # freed unseen: nobody can tell what ended it
    assert found["known"]
    assert found["born"] == 6
    assert found["states"] == ["waiting"] * 5
    assert found["counted"]
    assert found["pending"] == 0
    assert found["faults"] == []


def test_times_stand_for_the_whole_life_or_are_unknown() -> None:
    found = run(
        MANUAL
        + """
from greenscope.app.backends.gevent_accounts import account, seen_share
one = gevent.spawn(gevent.sleep, 60); gevent.sleep(0)
entry = lane.entries[id(one)]; entry.born = entry.started = 100.0; entry.rested = lane.rested
entry.run, entry.switches, entry.longest = 2.0, 10, 0.5
lane.rested += 75.0; half = account(entry, 200.0, False)
lane.rested += 24.0; unseen = account(entry, 200.0, False)
answer(share=seen_share(entry, 200.0), times=half, unknown=unseen)
"""
    )
    assert found["share"] == pytest.approx(0.01)
    assert found["times"] == [8.0, None, 92.0, 40, 0.5]  # run, ready and wait time, switches, longest run
    assert found["unknown"] == [None] * 5


def test_other_tracers_are_chained_to_and_never_taken_out() -> None:
    found = run(
        MANUAL
        + """
import greenlet
seen = []
def chaining(event, args): seen.append(event); ours(event, args)
ours = lane.trace; greenlet.settrace(chaining)
throttle.rest(lane); refused = lane.traced and not lane.resting and greenlet.gettrace() is chaining
greenlet.settrace(ours); throttle.rest(lane); calls = []
greenlet.settrace(lambda event, args: calls.append(event)); theirs = greenlet.gettrace()
throttle.resume(lane); gevent.sleep(0); chained = len(calls)
throttle.rest(lane); left = greenlet.gettrace() is theirs
answer(refused=refused, chained=chained, left=left, faults=probe.faults)
"""
    )
    assert found["refused"]
    assert found["chained"] >= 2
    assert found["left"]
    assert found["faults"] == []


def test_closing_in_a_rest_leaves_nothing_behind() -> None:
    found = run(
        MANUAL
        + """
import greenlet
throttle.rest(lane); hooked = "handle_error" in gevent.get_hub().__dict__
gevent.spawn(int); probe.close(); throttle.resume(lane); gevent.sleep(0)
answer(hooked=hooked, left="handle_error" in gevent.get_hub().__dict__, tracer=greenlet.gettrace() is not None)
"""
    )
    assert found == {"hooked": True, "left": False, "tracer": False}


def test_raw_greenlet_at_the_address_of_one_that_ended_in_a_rest_is_its_own() -> None:
    found = run(
        MANUAL
        + """
import greenlet
few(probe, 0); probe.drain(); kept = gevent.spawn(gevent.sleep, 0.01); gevent.sleep(0); old = lane.entries[id(kept)]
throttle.rest(lane); kept.join()                          # it has ended, and is kept: its entry is still there
raw = greenlet.greenlet(lambda: None, gevent.get_hub())
throttle.resume(lane); lane.entries[id(raw)] = lane.entries.pop(id(kept)); del kept; gc.collect(); lane.left = 0
gevent.get_hub().loop.run_callback(raw.switch); gevent.sleep(0.01)   # as if it had got the memory of the other
answer(stale=old() is None, ended=raw.dead, outcome=old.outcome, left=id(raw) in lane.entries, faults=probe.faults)
"""
    )
    assert found["stale"]
    assert found["ended"]
    assert found["outcome"] == "succeeded"
    assert not found["left"]
    assert found["faults"] == []


def test_rest_ends_although_something_of_the_program_raised_when_it_should_have() -> None:
    found = run(
        MANUAL
        + """
class Lazy:
    @property
    def __class__(self): raise RuntimeError("a proxy outside of its context")
few(probe, 0); probe.drain(); throttle.rest(lane); kept = gevent.spawn(Lazy); gevent.sleep(0); probe.drain()
begin, raised = throttle._begin, []
def interrupted(lane):
    if not raised: raised.append(1); raise KeyboardInterrupt    # as a signal handler would
    begin(lane)
throttle._begin = interrupted; pace = throttle._paces[lane.ident]; pace.asked = True
try: throttle.resume(lane)
except KeyboardInterrupt: pass
after = [lane.resting, lane.traced, pace.asked]
throttle.look(lane, time.monotonic() + 9); gevent.sleep(0.01)
answer(after=after, then=[lane.resting, lane.traced, pace.asked], faults=probe.faults)
"""
    )
    assert found["after"] == [True, False, False]
    assert found["then"] == [False, True, False]
    assert found["faults"] == []


def test_tracer_waits_for_a_look_that_is_under_way_and_for_more_arrivals_than_fit_into_a_moment() -> None:
    found = run(
        MANUAL
        + """
throttle.rest(lane); lane.left = 0; lane.looking = True
throttle.resume(lane); waited = lane.resting; lane.looking = False
kept = [gevent.spawn(gevent.sleep, 60) for _ in range(1500)]; gevent.sleep(0)
throttle.resume(lane); left = len(lane.arrivals); still = lane.resting
throttle.resume(lane); back = lane.traced and not lane.resting
answer(waited=waited, left=left, still=still, back=back, known=sum(id_of(probe, one) is not None for one in kept),
    told=kinds(probe.drain().events).count("spawned"), faults=probe.faults)
"""
    )
    assert found["waited"]
    assert found["left"] == 500
    assert found["still"]
    assert found["back"]
    assert found["known"] == found["told"] == 1500
    assert found["faults"] == []


def test_hub_that_follows_another_in_a_rest_is_taken_over() -> None:
    found = run(
        MANUAL
        + """
throttle.rest(lane); old = gevent.get_hub(); old.destroy(destroy_loop=True); new = gevent.get_hub()
sleeper = gevent.spawn(gevent.sleep, 60); gevent.sleep(0.01); lane.last = lane.since = 0.0; probe._endings._swept = 0.0
told = kinds(probe.drain().events); id = id_of(probe, sleeper); probe._endings._swept = 0.0
gevent.sleep(0.01); told += kinds(probe.drain().events)
throttle.resume(lane); state = look(probe, sleeper).state; breath = lane.breath.loop is new.loop; probe.close()
answer(taken=lane.hub() is new, told=[kind for kind in told if kind != "blocked"], state=state, breath=breath,
    left="handle_error" in new.__dict__, gone=lane.gone, faults=probe.faults)
"""
    )
    assert found["taken"]
    assert "killed" not in found["told"]
    assert found["told"].count("spawned") == 1
    assert found["state"] == "waiting"
    assert found["breath"]
    assert not found["left"]
    assert not found["gone"]
    assert found["faults"] == []


def test_native_thread_whose_number_comes_again_is_paced_anew() -> None:
    found = run(
        MANUAL
        + """
from greenscope.app.backends.gevent_lane import Lane
throttle.rest(lane); throttle._paces[lane.ident].asked = True       # its hub went before it could be answered
other = Lane(lane.ident, "other", gevent.get_hub(), lane.hub_entry, time.monotonic())
throttle.look(other, time.monotonic()); pace = throttle._paces[lane.ident]
answer(asked=pace.asked, own=pace.lane is other)
"""
    )
    assert found == {"asked": False, "own": True}
