# mypy: disable-error-code="func-returns-value"
"""Calls in native threads: slots, sizes, errors, kills, forks."""

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from greenscope.runtime import Timeout, get_hub, sleep, spawn, wait
from greenscope.runtime.exceptions import BlockingSwitchOutError, InvalidThreadUseError
from greenscope.runtime.thread import RuntimeThread
from greenscope.runtime.threadpool import ThreadPool


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    made = ThreadPool(3)
    yield made
    made.kill()


def test_apply_runs_in_another_thread_while_greenlets_go_on(pool: ThreadPool) -> None:
    gate = threading.Event()
    opening = spawn(lambda: (sleep(0), gate.set()))
    assert pool.apply(lambda a, b: (gate.wait(5), a + b, threading.get_ident()), (1,), {"b": 2})[:2] == (True, 3)
    assert opening.ready()
    assert pool.apply(threading.get_ident) != threading.get_ident()


def test_apply_raises_in_the_caller_only(pool: ThreadPool, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        pool.apply(lambda: 1 // 0)
    assert capfd.readouterr().err == ""


def test_spawn_reports_an_error_and_keeps_it(pool: ThreadPool, capfd: pytest.CaptureFixture[str]) -> None:
    result = pool.spawn(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        result.get(timeout=5)
    assert capfd.readouterr().err.count("ZeroDivisionError") == 2  # the traceback, and whose it was


def test_spawn_counts_and_join_waits(pool: ThreadPool) -> None:
    gate = threading.Event()
    results = [pool.spawn(gate.wait, 5) for _ in range(4)]
    assert (len(pool), pool.size) == (4, 3)
    spawn(gate.set)
    pool.join()
    assert (len(pool), pool.size) == (0, 3)
    assert [result.get(block=False) for result in results] == [True] * 4


def test_spawn_blocks_when_all_slots_are_taken_until_maxsize_grows() -> None:
    pool = ThreadPool(0)
    done: list[int] = []
    spawn(pool.spawn, done.append, 1)
    second = spawn(pool.spawn, done.append, 2)
    sleep(0)
    sleep(0)
    assert done == []
    assert not second.ready()
    pool.maxsize = 1
    second.join(5)
    pool.join()
    assert done == [1, 2]
    pool.kill()


def test_size_is_set_within_its_bounds() -> None:
    pool = ThreadPool(2)
    assert pool.size == 0
    for size in (1, 2, 1, 0, 2, 0):
        pool.size = size
        assert pool.size == size
    for bad in (-1, 3):
        with pytest.raises(ValueError, match="Size of the pool cannot be"):
            pool.size = bad
    with pytest.raises(ValueError, match="negative"):
        ThreadPool(-1)
    with pytest.raises(TypeError, match="integer"):
        ThreadPool("2")  # type: ignore[arg-type]


def test_maxsize_of_less_ends_threads_when_their_jobs_are_done(pool: ThreadPool) -> None:
    gate = threading.Event()
    for _ in range(3):
        pool.spawn(gate.wait, 5)
    pool.maxsize = 1
    gate.set()
    pool.join()
    pool.size = 1
    assert pool.size == 1
    assert pool.apply(len, ("abc",)) == 3
    assert len([t for t in threading.enumerate() if t in pool._workers.threads]) == 1


def test_kill_lets_queued_jobs_finish_and_the_pool_serves_again(pool: ThreadPool) -> None:
    done: list[int] = []
    for n in range(4):
        pool.spawn(done.append, n)
    pool.kill()
    assert sorted(done) == [0, 1, 2, 3]
    assert pool.size == 0
    assert pool.apply(len, ("ab",)) == 2


def test_idle_threads_end_after_their_timeout() -> None:
    pool = ThreadPool(2, idle_task_timeout=0.01)
    assert pool.apply(len, ("ab",)) == 2
    with Timeout(5):
        while pool.size:
            sleep(0.005)
    assert pool.apply(len, ("abc",)) == 3
    pool.kill()


def test_killed_waiter_abandons_its_job(pool: ThreadPool) -> None:
    gate = threading.Event()
    done: list[int] = []
    waiter = spawn(pool.apply, lambda: (gate.wait(5), done.append(1)))
    sleep(0)
    waiter.kill()
    assert waiter.dead
    assert len(pool) == 1
    gate.set()
    pool.join()
    assert (done, len(pool), get_hub().holds) == ([1], 0, 0)


def test_killed_waiter_for_a_slot_takes_none() -> None:
    pool = ThreadPool(1)
    gate = threading.Event()
    for _ in range(2):
        pool.spawn(gate.wait, 5)
    waiter = spawn(pool.spawn, len, "a")
    sleep(0)
    waiter.kill()
    gate.set()
    pool.join()
    assert pool._slots.counter == 2
    pool.kill()


def test_jobs_keep_the_loop_alive(pool: ThreadPool) -> None:
    done: list[int] = []
    pool.spawn(lambda: (time.sleep(0.01), done.append(1)))
    assert wait()
    assert done == [1]


def test_jobs_may_use_the_runtime_and_their_thread_gives_its_hub_back(pool: ThreadPool) -> None:
    hubs: list[Any] = []

    def job() -> str:
        sleep(0)
        sleep(0.001)
        hubs.append(weakref.ref(get_hub()))
        return str(spawn(lambda: "B").get(timeout=5))

    assert pool.apply(job) == "B"
    assert pool.apply(lambda: pool.apply(job)) == "B"  # where waiting could be for ever it runs at once
    pool.kill()
    with Timeout(5):
        while any(hub() is not None for hub in hubs):
            gc.collect()
            sleep(0.001)
    assert len(hubs) == 2


def test_another_thread_may_not_spawn(pool: ThreadPool) -> None:
    other = ThreadPool(1)
    with pytest.raises(InvalidThreadUseError, match="its hub"):
        other.apply(lambda: pool.spawn(len, "a"))
    other.kill()


def test_apply_in_the_hub_is_refused(pool: ThreadPool) -> None:
    errors: list[BaseException] = []

    def callback() -> None:
        try:
            pool.apply(len, ("a",))
        except BaseException as error:
            errors.append(error)

    get_hub().run_callback(callback)
    sleep(0)
    assert isinstance(errors[0], BlockingSwitchOutError)
    pool.join()


def test_nothing_of_a_job_is_kept(pool: ThreadPool) -> None:
    class Thing:
        pass

    refs: list[Any] = []

    def job(argument: Thing, *, keyword: Thing) -> Thing:
        made = Thing()
        refs.extend(map(weakref.ref, (argument, keyword, made)))
        return made

    gc.disable()
    try:
        assert isinstance(pool.apply(job, (Thing(),), {"keyword": Thing()}), Thing)
        with Timeout(5):
            while any(ref() is not None for ref in refs):
                sleep(0.001)
    finally:
        gc.enable()
    assert len(refs) == 3


def test_profile_and_trace_functions_are_on_during_jobs_only(pool: ThreadPool) -> None:
    def profile(frame: Any, event: str, arg: Any) -> None:
        pass

    assert pool.apply(sys.getprofile) is None
    threading.setprofile(profile)
    try:
        assert pool.apply(lambda: sys.getprofile()) is profile
    finally:
        threading.setprofile(None)
    assert pool.apply(sys.getprofile) is None


def test_profile_function_that_a_job_sets_is_gone_afterwards() -> None:
    pool = ThreadPool(1)
    pool.apply(sys.setprofile, (lambda *args: None,))
    assert pool.apply(sys.getprofile) is None
    pool.kill()


def test_stop_of_a_runtime_thread_reports_busy_workers() -> None:
    gate = threading.Event()
    thread = RuntimeThread().start()
    future = thread.submit(lambda: get_hub().threadpool.apply(gate.wait, (5,)))
    with Timeout(5):
        while not thread.call(lambda: len(get_hub().threadpool)):
            sleep(0.001)
    (survivor,) = thread.stop(timeout=0.4)
    assert (survivor.kind, thread.alive, future.done()) == ("thread", False, True)
    assert "wait" in survivor.name
    gate.set()


def test_mapping_methods_run_in_threads_and_keep_the_order_that_they_promise(pool: ThreadPool) -> None:
    squares = [n * n for n in range(100)]

    def square(n: int) -> int:
        assert threading.current_thread() is not threading.main_thread()
        return n * n

    assert pool.map(square, range(100)) == squares
    assert pool.map_async(square, range(100)).get(timeout=5) == squares
    assert list(pool.imap(square, range(100))) == squares
    assert sorted(pool.imap_unordered(square, range(100))) == squares
    assert list(pool.imap(pow, [2, 3], [3, 2], maxsize=1)) == [8, 9]
    results: list[int] = []
    assert pool.apply_async(square, (3,), callback=results.append).get(timeout=5) == 9
    assert results == [9]


def test_imap_unordered_yields_what_ends_first(pool: ThreadPool) -> None:
    gates = [threading.Event() for _ in range(3)]

    def job(n: int) -> int:
        gates[n].wait(5)
        return n

    results = pool.imap_unordered(job, range(3))
    for n in (1, 2, 0):
        gates[n].set()
        assert next(results) == n
    with pytest.raises(StopIteration):
        next(results)


def test_error_in_an_iterable_reaches_the_reader(pool: ThreadPool) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("broken")

    with pytest.raises(KeyError):
        pool.map(str, broken())
    with pytest.raises(KeyError):
        list(pool.imap_unordered(str, broken()))


FORK = """
import os, threading, warnings
warnings.simplefilter("ignore")
from greenscope.runtime import get_hub
from greenscope.runtime.threadpool import ThreadPool
pool = ThreadPool(2)
own = get_hub().threadpool
gate = threading.Event()
result = pool.spawn(gate.wait, 10)
assert own.apply(len, ("abc",)) == 3
pid = os.fork()
if pid == 0:
    os._exit(pool.apply(len, ("abc",)) + get_hub().threadpool.apply(len, ("abcd",)) + len(pool))
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
gate.set()
assert result.get(timeout=5)
print("fine")
"""


def test_forked_child_gets_fresh_threads() -> None:
    ended = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "fine\n", "")


EXIT = """
import threading, time
from greenscope.runtime import get_hub, sleep
from greenscope.runtime.threadpool import ThreadPool, ThreadPoolExecutor
pool, executor = ThreadPool(2), ThreadPoolExecutor(2)
started = threading.Semaphore(0)
def job(seconds):
    started.release()
    time.sleep(seconds)
pool.spawn(job, 30)
executor.submit(job, 30)
executor.submit(sleep, 30)
get_hub().threadpool.apply(len, ("a",))
for _ in range(2):
    started.acquire()
print("done")
"""


def test_interpreter_exit_with_jobs_running_is_quiet_and_fast() -> None:
    ended = subprocess.run([sys.executable, "-c", EXIT], capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")
