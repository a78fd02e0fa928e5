"""The observed program goes on as if nobody watched: output, exit, fork, other tracers, signals."""

import json
import signal
import time
from collections.abc import Callable

import pytest

pytest.importorskip("gevent")

from tests.app.gevent_programs import run, start

WATCH = 'probe = GeventProbe(accounting="light"); probe.attach()'
PROGRAMS = {
    "uncaught": "def bad(): raise ValueError('x')\ngevent.spawn(bad).join(); raise KeyError('end')",
    "exit": "gevent.spawn(sys.exit, 7).join(); gevent.sleep(1)",
    "loop exit": "from gevent.event import Event\nEvent().wait()",
    "raw failure": "def bad(): 1 / 0\ngevent.spawn_raw(bad); gevent.sleep(0.01)",
    "get": "def bad(): raise ValueError('x')\ntry: gevent.spawn(bad).get()\nexcept ValueError as e: print(e)",
    "parked": "[gevent.spawn(gevent.sleep, 60) for _ in range(5)]; gevent.sleep(0); print('end')",
    "links": "g = gevent.spawn(len, 'abc'); print(g.has_links(), g.minimal_ident, g.name, g); g.join(); print(g.value)",
    "recursion": "def deep(n):\n    return gevent.sleep(0) or deep(n + 1)\n"
    "try: gevent.spawn(deep, 0).get()\nexcept RecursionError as e: print('too deep')",
}


def without_addresses(text: str) -> str:
    """Make two runs comparable: no addresses, no dates, no line numbers of the program's own text."""
    import re

    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "DATE", text)
    text = re.sub(r"\[Previous line repeated.*", "", text)
    return re.sub(r'File "<string>", line \d+', 'File "<string>"', text)


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_program_ends_and_speaks_as_without_us(name: str) -> None:
    alone = run(PROGRAMS[name])
    watched = run(WATCH + "\n" + PROGRAMS[name])
    assert watched[0] == alone[0]
    assert without_addresses(watched[1]) == without_addresses(alone[1])
    errors = [without_addresses(run[2]) for run in (alone, watched)]
    if name == "recursion":  # at which of its own lines it meets the end of the stack is not the program's to say
        errors = [text.rstrip().rpartition("\n")[2] for text in errors]
    assert errors[1] == errors[0]


def test_close_leaves_nothing_behind() -> None:
    status, output, errors = run(
        """
        one = gevent.spawn(gevent.sleep, 60); gevent.sleep(0)
        for _ in range(50):
            probe = GeventProbe(); probe.attach(); gevent.sleep(0); probe.drain(); probe.close(); probe.close()
        time.sleep(0.2)
        answer(tracer=greenlet.gettrace() is None, threads=len(sys._current_frames()), links=one.has_links())
        """
    )
    assert (status, errors) == (0, "")
    assert json.loads(output) == {"tracer": True, "threads": 1, "links": 0}


def test_other_tracers_are_called_before_and_after_us() -> None:
    status, output, errors = run(
        """
        seen = []
        def theirs(event, args): seen.append(event)
        greenlet.settrace(theirs)
        probe = GeventProbe(); probe.attach()
        gevent.sleep(0); below = len(seen)
        chained = greenlet.settrace(None); calls = []
        def above(event, args): calls.append(event); chained(event, args)
        greenlet.settrace(above)
        one = gevent.spawn(gevent.sleep, 0.01); id = id_of(probe, one); one.join()
        probe.close(); told = len(calls), len(seen); gevent.sleep(0)
        answer(below=below, kinds=[event.kind for event in probe.drain().events], passed=len(seen) > told[1],
            ours=greenlet.gettrace() is above, faults=probe.faults)
        """
    )
    assert (status, errors) == (0, "")
    found = json.loads(output)
    assert found["below"] >= 2
    assert found["passed"]
    assert found["ours"]
    assert found["faults"] == []


def test_displaced_tracer_is_put_back_and_missed_ends_are_told() -> None:
    status, output, errors = run(
        """
        probe = GeventProbe(); probe.attach()
        one = gevent.spawn(gevent.sleep, 0.05); gevent.sleep(0); id = id_of(probe, one)
        greenlet.settrace(None)                       # as a profiler does that ends
        end = time.monotonic() + 5
        while greenlet.gettrace() is None and time.monotonic() < end: gevent.sleep(0.01)
        gevent.sleep(0.01)
        two = gevent.spawn(gevent.sleep, 0); other = id_of(probe, two); two.join()
        kinds = {}
        for event in probe.drain().events: kinds.setdefault(event.greenlet, []).append(event.kind)
        answer(back=greenlet.gettrace() is not None, one=kinds[id], two=kinds[other], faults=probe.faults)
        """
    )
    assert (status, errors) == (0, "")
    found = json.loads(output)
    assert found["back"]
    assert found["one"][-1] == "succeeded"
    assert found["two"] == ["spawned", "started", "succeeded"]
    assert found["faults"] == []


def test_bug_in_the_observer_removes_the_hook_and_is_told() -> None:
    status, output, errors = run(
        """
        probe = GeventProbe(); probe.attach()
        class Broken(dict):
            def get(self, *args): raise AssertionError("a bug")
        lane = probe._registry.lanes[gevent_discovery.thread_ident()]
        lane.hub_entry.__class__                     # the lane is there
        import greenscope.app.backends.gevent_tracing as tracing
        tracing.finish = None                        # calling it is the bug
        one = gevent.spawn(len, "abc"); one.join()
        gevent.sleep(0.01)
        answer(value=one.value, tracer=greenlet.gettrace() is None, faults=probe.faults)
        """
    )
    assert (status, errors) == (0, "")
    found = json.loads(output)
    assert found["value"] == 3
    assert found["tracer"]
    assert found["faults"] == ["switch tracing: TypeError at end:" + found["faults"][0].rpartition(":")[2]]


def test_interrupt_reaches_the_program() -> None:
    process = start(WATCH + "\nprint('ready', flush=True)\nwhile True: gevent.sleep(0)")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_what_a_signal_handler_raises_is_the_programs_own() -> None:
    from greenscope.app.backends import gevent_tracing

    def caught(act: Callable[[], object]) -> BaseException:
        try:
            act()
        except BaseException as error:
            return error
        raise AssertionError("nothing was raised")

    def handler() -> None:
        raise TimeoutError

    def interrupted() -> None:
        raise KeyboardInterrupt

    bug = caught(lambda: gevent_tracing.make_tracer(None, None, None, False)("switch", ()))  # type: ignore[arg-type]
    assert gevent_tracing.is_ours(bug)
    assert not gevent_tracing.is_ours(caught(handler))
    assert not gevent_tracing.is_ours(caught(interrupted))


def test_fork_lets_go_in_the_child_and_goes_on_in_the_parent() -> None:
    status, output, errors = run(
        """
        probe = GeventProbe(); probe.attach(); gevent.sleep(0)
        sys.stdout.flush()
        pid = gevent.os.fork() if hasattr(gevent, "os") else os.fork()
        if pid == 0:
            clean = greenlet.gettrace() is None
            gevent.spawn(gevent.sleep, 0.01).join()
            again = GeventProbe(); again.attach(); one = gevent.spawn(gevent.sleep, 0); one.join()
            kinds = [event.kind for event in again.drain().events if event.record is None or event.record.id > 1]
            os._exit(0 if clean and "succeeded" in kinds and not again.faults else 1)
        child = os.waitpid(pid, 0)[1]
        gevent.spawn(gevent.sleep, 0).join()
        answer(child=child, traced=greenlet.gettrace() is not None,
            ended="succeeded" in [event.kind for event in probe.drain().events], faults=probe.faults)
        """,
        first="import gevent.os\n",
    )
    assert (status, errors) == (0, "")
    assert json.loads(output) == {"child": 0, "traced": True, "ended": True, "faults": []}


def test_nothing_is_kept_alive() -> None:
    status, output, errors = run(
        """
        import gc, weakref
        probe = GeventProbe(); probe.attach()
        class Thing: pass
        def bad(thing): raise ValueError(thing)
        gevent.get_hub().NOT_ERROR = (Exception,)
        thing = Thing(); refs = [weakref.ref(thing)]
        for function in (id, bad, lambda thing: gevent.sleep(0)):
            one = gevent.spawn(function, thing); refs.append(weakref.ref(one)); one.join(); del one
        stuck = gevent.spawn(gevent.sleep, 60); gevent.sleep(0)
        probe.sample(probe.live_ids())
        del thing, function; gc.collect()
        answer(left=[ref() is None for ref in refs])
        """
    )
    assert (status, errors) == (0, "")
    assert json.loads(output) == {"left": [True] * 4}


def test_watching_begun_before_patching_serves_on_in_development_mode() -> None:
    first = "import greenscope\nmonitor = greenscope.watch(port=0, backend='gevent', token='t' * 40)\n"
    body = """
        from gevent import monkey; monkey.patch_all()
        from urllib.request import Request, urlopen
        gevent.sleep(0.3)
        url = monitor.url.partition("#")[0] + "api/health"
        with urlopen(Request(url, headers={"Authorization": "Bearer " + "t" * 40}), timeout=10) as response:
            print(response.status, json.load(response)["faults"])
        monitor.close()
        """
    status, output, errors = run(body, first, more=("-X", "dev"))
    assert (status, output, errors) == (0, "200 0\n", "")
