"""Faults: started and stopped a hundred times, forked, and an interpreter that exits with everything running."""

import gc
import os

import pytest

import greenscope
from greenscope.runtime import sleep, spawn
from greenscope.runtime.every import every
from greenscope.runtime.instruments import HOOKS, hooks
from greenscope.runtime.thread import RuntimeThread
from tests.app.faults.asking import ask, run_program
from tests.patience import wait_for


def test_watch_a_hundred_times_leaves_nothing(thread: RuntimeThread) -> None:
    def figures() -> tuple[int, int, int, int]:
        hooked = sum(len(getattr(hooks, name)) for name in HOOKS)
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), hooked, int(every.listening)

    def once() -> None:
        with greenscope.watch(port=0, backend="native") as monitor:
            assert ask(monitor, "/api/health")[0] == 200
            thread.call(spawn, sleep, 0)

    once()
    gc.collect()
    before, objects = figures(), 0
    for number in range(100):
        once()
        if number == 20:
            gc.collect()
            objects = len(gc.get_objects())
    gc.collect()
    wait_for(lambda: figures() == before)
    assert len(gc.get_objects()) < objects + 80 * 25, "each watch() leaves objects behind"


@pytest.mark.parametrize("how", ["pass", "import sys; sys.exit(0)", "raise SystemExit(0)"])
def test_interpreter_exit_with_everything_running_is_silent(how: str) -> None:
    done = run_program(
        f"""
        import http.client, threading, greenscope
        from greenscope.runtime import sleep, spawn
        from greenscope.runtime.pool import Pool
        from greenscope.runtime.thread import RuntimeThread
        monitor = greenscope.watch(port=0, control=True, token="t" * 32)
        second = RuntimeThread("second"); second.start()
        pool = Pool(5)
        def work():
            while True: sleep(0.001)
        for _ in range(50): second.call(spawn, work)
        here = [pool.spawn(work) for _ in range(5)]
        streams = []
        for _ in range(4):
            stream = http.client.HTTPConnection("127.0.0.1", monitor.server.port, timeout=10)
            stream.request("GET", "/events?view=greenlets", headers={{"Authorization": "Bearer " + "t" * 32}})
            assert stream.getresponse().status == 200
            streams.append(stream)
        sleep(0.3)
        print("up", flush=True)
        {how}
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "up\n", "")


def test_forked_child_has_a_new_epoch_and_the_parent_keeps_its_own() -> None:
    done = run_program(
        """
        import json, os, urllib.request, warnings, greenscope
        warnings.simplefilter("ignore", DeprecationWarning)
        def ask(monitor):
            request = urllib.request.Request(monitor.url.partition("#")[0] + "api/health",
                                             headers={"Authorization": "Bearer " + "t" * 32})
            return json.load(urllib.request.urlopen(request, timeout=10))
        monitor = greenscope.watch(port=0, token="t" * 32)
        first = ask(monitor)["epoch"]
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            assert monitor.closed
            with greenscope.watch(port=0, token="t" * 32) as own:
                os.write(writing, ask(own)["epoch"].encode())
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        second = os.read(reading, 100).decode()
        assert second and second != first and ask(monitor)["epoch"] == first
        monitor.close()
        print("right")
        """
    )
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr
