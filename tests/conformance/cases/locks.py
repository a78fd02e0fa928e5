"""Semaphore, BoundedSemaphore, RLock."""


def raises(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def case_semaphore_counts(rt):
    semaphore = rt.lock.Semaphore(2)
    assert semaphore.acquire() is True
    assert semaphore.counter == 1
    assert not semaphore.locked()
    semaphore.acquire()
    assert semaphore.locked()
    assert semaphore.acquire(blocking=False) is False
    assert semaphore.acquire(timeout=0.001) is False
    semaphore.release()
    assert semaphore.counter == 1


def case_semaphore_wakes_in_order(rt):
    semaphore, seen = rt.lock.Semaphore(0), []
    tasks = [rt.spawn(lambda n=n: (semaphore.acquire(), seen.append(n))) for n in range(5)]
    rt.sleep(0)
    for _ in range(5):
        semaphore.release()
        rt.sleep(0)
        rt.sleep(0)
    rt.joinall(tasks)
    assert seen == list(range(5))


def case_semaphore_refuses_a_negative_value(rt):
    raises(ValueError, rt.lock.Semaphore, -1)


def case_semaphore_as_context_manager(rt):
    semaphore = rt.lock.Semaphore(1)
    with semaphore:
        assert semaphore.counter == 0
    assert semaphore.counter == 1


def case_semaphore_wait_takes_nothing(rt):
    semaphore = rt.lock.Semaphore(0)
    rt.spawn_later(0.001, semaphore.release)
    assert semaphore.wait(1) == 1
    assert semaphore.counter == 1


def case_semaphore_killed_waiter_loses_no_slot(rt):
    semaphore = rt.lock.Semaphore(0)
    first, second = rt.spawn(semaphore.acquire), rt.spawn(semaphore.acquire)
    rt.sleep(0)
    semaphore.release()
    first.kill()
    second.join(timeout=1)
    assert [first.value, second.value].count(True) + semaphore.counter == 1
    second.kill()
    assert semaphore.linkcount() == 0


def case_semaphore_rawlink(rt):
    semaphore, seen = rt.lock.Semaphore(0), []
    semaphore.rawlink(seen.append)
    semaphore.release()
    rt.sleep(0.001)
    assert seen == [semaphore]


def case_bounded_semaphore_refuses_one_too_many(rt):
    semaphore = rt.lock.BoundedSemaphore(1)
    raises(ValueError, semaphore.release)
    semaphore.acquire()
    semaphore.release()
    assert semaphore.counter == 1


def case_rlock_is_reentrant(rt):
    lock = rt.lock.RLock()
    with lock:
        assert lock.acquire(blocking=False)
        lock.release()
        task = rt.spawn(lock.acquire, False)
        assert not task.get()
    assert rt.spawn(lambda: (lock.acquire(), lock.release())[0]).get()


def case_rlock_belongs_to_its_owner(rt):
    lock = rt.lock.RLock()
    raises(RuntimeError, lock.release)
    lock.acquire()
    task = rt.spawn(lock.release)
    raises(RuntimeError, task.get)
    lock.release()


def case_semaphore_handoff(rt):
    semaphore, order = rt.lock.Semaphore(1), []

    def work(n):
        for _ in range(3):
            with semaphore:
                order.append(n)
                rt.sleep(0)

    rt.joinall([rt.spawn(work, n) for n in range(2)])
    assert sorted(order) == [0, 0, 0, 1, 1, 1]
    assert semaphore.counter == 1
