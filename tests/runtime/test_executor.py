# mypy: disable-error-code="func-returns-value"
"""The executor over native threads: futures that the runtime and the standard library wait for."""

import concurrent.futures
import threading
from collections.abc import Iterator
from concurrent.futures.thread import BrokenThreadPool
from typing import Any

import pytest

from greenscope.runtime import Timeout, sleep, spawn, wait
from greenscope.runtime.threadpool import ThreadPoolExecutor


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


def test_executor_futures_work_with_the_runtime_s_wait(executor: ThreadPoolExecutor) -> None:
    gate = threading.Event()
    future = executor.submit(lambda: (gate.wait(5), 42)[1])
    greenlet = spawn(lambda: (sleep(0), gate.set(), 2016)[2])
    assert wait([future, greenlet], timeout=5) == [greenlet, future]
    assert (future.result(), greenlet.value) == (42, 2016)
    assert wait(timeout=5)  # nothing holds the hub any more


def test_executor_result_parks_the_greenlet_only(executor: ThreadPoolExecutor) -> None:
    gate = threading.Event()
    opening = spawn(lambda: (sleep(0), gate.set()))
    assert executor.submit(gate.wait, 5).result(5)
    assert opening.ready()
    with pytest.raises(ZeroDivisionError):
        executor.submit(lambda: 1 // 0).result()
    assert isinstance(executor.submit(lambda: 1 // 0).exception(), ZeroDivisionError)
    gate.clear()
    slow = executor.submit(gate.wait, 5)
    with pytest.raises(concurrent.futures.TimeoutError):
        slow.result(timeout=0.001)
    gate.set()


def test_executor_map_keeps_the_order(executor: ThreadPoolExecutor) -> None:
    assert list(executor.map(pow, range(50), range(50))) == [n**n for n in range(50)]


def test_executor_is_used_from_other_threads(executor: ThreadPoolExecutor) -> None:
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(executor.submit(len, "abc").result()))
    thread.start()
    thread.join(5)
    assert results == [3]


def test_executor_futures_work_with_the_standard_library_s_wait(executor: ThreadPoolExecutor) -> None:
    futures = [executor.submit(len, "a" * n) for n in range(10)]
    assert concurrent.futures.wait(futures, timeout=5).not_done == set()
    assert sorted(f.result() for f in concurrent.futures.as_completed(futures)) == list(range(10))


def test_executor_callback_is_called(executor: ThreadPoolExecutor) -> None:
    done: list[Any] = []
    future = executor.submit(len, "abc")
    future.add_done_callback(done.append)
    wait([future])
    with Timeout(5):
        while not done:
            sleep(0)
    assert done == [future]


def test_executor_shutdown_cancels_what_has_not_begun() -> None:
    executor = ThreadPoolExecutor(1)
    gate = threading.Event()
    running, queued = executor.submit(gate.wait, 5), executor.submit(len, "a")
    with Timeout(5):
        while not running.running():
            sleep(0)
    executor.shutdown(wait=False, cancel_futures=True)
    assert queued.cancelled()
    gate.set()
    executor.shutdown()
    assert running.result()
    assert wait()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(len, "a")


def test_executor_whose_initializer_fails_says_so() -> None:
    executor = ThreadPoolExecutor(1, initializer=lambda: 1 // 0)
    future = executor.submit(len, "a")
    with pytest.raises(BrokenThreadPool, match="ZeroDivisionError"):
        future.result(5)
    with pytest.raises(BrokenThreadPool):
        executor.submit(len, "a")
    executor.kill()
    with pytest.raises(ValueError, match="max_workers"):
        ThreadPoolExecutor(0)


def test_executor_runs_its_initializer_once_per_thread() -> None:
    seen: list[int] = []
    with ThreadPoolExecutor(1, "named", seen.append, (7,)) as executor:
        assert executor.submit(lambda: threading.current_thread().name).result().startswith("named-")
        executor.submit(len, "a").result()
    assert seen == [7]
