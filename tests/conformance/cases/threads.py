"""Native threads: the pool for calls that block, and what is used in several threads."""

import threading
import time


def raises(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def case_pool_runs_calls_in_other_threads(rt):
    pool = rt.threadpool.ThreadPool(2)
    here = threading.get_ident()
    there = pool.apply(threading.get_ident)
    assert there != here
    result = pool.spawn(lambda: 5)
    assert result.get(timeout=2) == 5
    pool.join()
    assert len(pool) == 0
    pool.kill()


def case_greenlets_go_on_beside_a_call(rt):
    pool = rt.threadpool.ThreadPool(1)
    turns = []
    ticking = rt.spawn(lambda: [(turns.append(1), rt.sleep(0.002)) for _ in range(1000)])
    pool.apply(time.sleep, (0.05,))
    ticking.kill()
    assert len(turns) > 2
    pool.kill()


def case_pool_brings_errors(rt):
    pool = rt.threadpool.ThreadPool(1)
    raises(ZeroDivisionError, pool.apply, lambda: 1 // 0)
    result = pool.spawn(lambda: 1 // 0)
    assert isinstance(raises(ZeroDivisionError, result.get), ZeroDivisionError)
    assert not result.successful()
    pool.kill()


def case_pool_maps(rt):
    pool = rt.threadpool.ThreadPool(3)
    assert pool.map(lambda n: n * n, range(10)) == [n * n for n in range(10)]
    assert list(pool.imap(lambda n: n * n, range(10))) == [n * n for n in range(10)]
    assert sorted(pool.imap_unordered(lambda n: n * n, range(10), maxsize=2)) == [n * n for n in range(10)]
    got = []
    assert pool.apply_async(lambda: 3, callback=got.append).get(timeout=2) == 3
    rt.sleep(0.01)
    assert got == [3]
    pool.kill()


def case_pool_has_a_size(rt):
    pool = rt.threadpool.ThreadPool(2)
    assert (pool.maxsize, len(pool)) == (2, 0)
    gate = threading.Event()
    results = [pool.spawn(gate.wait) for _ in range(3)]
    blocked = rt.spawn(pool.spawn, int)
    rt.sleep(0.01)
    assert not blocked.ready()
    assert pool.size == 2
    gate.set()
    assert [result.get(timeout=2) for result in results] == [True] * 3
    assert blocked.get(timeout=2).get(timeout=2) == 0
    raises(ValueError, rt.threadpool.ThreadPool, -1)
    pool.kill()


def case_results_are_waited_for_beside_greenlets(rt):
    pool = rt.threadpool.ThreadPool(1)
    result = pool.spawn(int)
    task = rt.spawn(lambda: 1)
    assert set(rt.wait([result, task], timeout=2)) == {result, task}
    pool.kill()


def case_executor(rt):
    executor = rt.threadpool.ThreadPoolExecutor(2)
    future = executor.submit(pow, 2, 3)
    assert future.result(timeout=2) == 8
    assert list(executor.map(abs, [-1, -2])) == [1, 2]
    raises(ZeroDivisionError, executor.submit(lambda: 1 // 0).result, timeout=2)
    seen = []
    executor.submit(int).add_done_callback(seen.append)
    rt.sleep(0.05)
    assert len(seen) == 1
    executor.shutdown()
    raises(RuntimeError, executor.submit, int)


def in_thread(function):
    """Run a function in a native thread; returns the thread, and a list that gets the outcome."""
    outcome = []

    def run():
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


def join(rt, thread):
    """Wait for a thread while greenlets go on."""
    deadline = time.monotonic() + 4
    while thread.is_alive() and time.monotonic() < deadline:
        rt.sleep(0.002)
    assert not thread.is_alive()


def case_event_is_set_in_another_thread(rt):
    event = rt.event.Event()
    waiting = rt.spawn(event.wait, 4)
    rt.sleep(0)
    thread, _outcome = in_thread(event.set)
    assert waiting.get(timeout=4) is True
    join(rt, thread)


def case_result_is_set_in_another_thread(rt):
    result = rt.event.AsyncResult()
    waiting = rt.spawn(result.get, timeout=4)
    rt.sleep(0)
    thread, _outcome = in_thread(lambda: result.set(7))
    assert waiting.get(timeout=4) == 7
    join(rt, thread)


def case_semaphore_excludes_across_threads(rt):
    semaphore = rt.lock.Semaphore(1)
    counts = [0, 0]

    def work():
        for _ in range(50):
            with semaphore:
                counts[0] += 1
                counts[1] = max(counts[0], counts[1])
                rt.sleep(0.0001)
                counts[0] -= 1
        return True

    thread, outcome = in_thread(work)
    task = rt.spawn(work)
    assert task.get(timeout=16) is True
    join(rt, thread)
    assert outcome == [True]
    assert counts == [0, 1]


def case_callback_from_another_thread(rt):
    done = rt.event.Event()
    loop = rt.get_hub().loop
    thread, _outcome = in_thread(lambda: loop.run_callback_threadsafe(done.set))
    assert done.wait(4)
    join(rt, thread)


def case_each_thread_has_a_hub(rt):
    thread, outcome = in_thread(lambda: (rt.get_hub(), rt.spawn(lambda: rt.get_hub()).get()))
    join(rt, thread)
    first, second = outcome[0]
    assert first is second
    assert first is not rt.get_hub()


def case_locals_of_greenlets(rt):
    data = rt.local.local()
    data.number = 1

    def set_and_read(number):
        had = hasattr(data, "number")
        data.number = number
        rt.sleep(0)
        return had, data.number

    tasks = [rt.spawn(set_and_read, number) for number in range(5)]
    assert [task.get() for task in tasks] == [(False, number) for number in range(5)]
    assert data.number == 1
