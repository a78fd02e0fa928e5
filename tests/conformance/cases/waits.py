"""wait, iwait, joinall, Timeout, with_timeout."""


def raises(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def after(rt, seconds):
    return rt.spawn_later(seconds, lambda: seconds)


def case_wait_returns_in_order_of_ending(rt):
    slow, fast = after(rt, 0.01), after(rt, 0.001)
    assert rt.wait([slow, fast]) == [fast, slow]


def case_wait_for_some(rt):
    tasks = [after(rt, 0.001), after(rt, 10)]
    assert rt.wait(tasks, count=1) == tasks[:1]
    assert tasks[1].has_links() == 0
    assert rt.wait(tasks, timeout=0.001) == tasks[:1]
    assert tasks[1].has_links() == 0
    assert rt.wait(tasks, count=0) == []
    rt.killall(tasks)


def case_wait_for_events_and_locks(rt):
    event, semaphore, result = rt.event.Event(), rt.lock.Semaphore(0), rt.event.AsyncResult()
    rt.spawn_later(0.003, semaphore.release)
    rt.spawn_later(0.001, event.set)
    rt.spawn_later(0.006, result.set)
    assert rt.wait([semaphore, event, result]) == [event, semaphore, result]


def case_wait_without_objects_runs_the_loop_dry(rt):
    seen = []
    rt.spawn_later(0.002, seen.append, 1)
    assert rt.wait() is True
    assert seen == [1]
    task = rt.spawn(rt.sleep, 10)
    assert rt.wait(timeout=0.001) is False
    task.kill()


def case_wait_for_nothing(rt):
    assert rt.wait([]) == []
    assert list(rt.iwait([])) == []
    assert rt.joinall([]) == []


def case_wait_for_the_dead(rt):
    task = after(rt, 0)
    task.join()
    assert rt.wait([task, task]) == [task, task]


def case_iwait_yields_as_they_end(rt):
    tasks = [after(rt, 0.01), after(rt, 0.001), after(rt, 0.005)]
    assert list(rt.iwait(tasks)) == [tasks[1], tasks[2], tasks[0]]


def case_iwait_count_and_timeout(rt):
    tasks = [after(rt, 0.001), after(rt, 0.002), after(rt, 10)]
    assert list(rt.iwait(tasks, count=1)) == tasks[:1]
    assert list(rt.iwait(tasks, timeout=0.01)) == tasks[:2]
    assert tasks[2].has_links() == 0
    tasks[2].kill()


def case_iwait_as_context_manager_removes_links(rt):
    tasks = [after(rt, 0.001), after(rt, 10)]
    with rt.iwait(tasks) as ended:
        assert next(ended) is tasks[0]
        assert tasks[1].has_links()
    assert tasks[1].has_links() == 0
    tasks[1].kill()


def case_joinall_returns_those_in_time(rt):
    tasks = [after(rt, 0.001), after(rt, 10)]
    assert rt.joinall(tasks, timeout=0.01) == tasks[:1]
    assert rt.joinall(tasks, count=1) == tasks[:1]
    tasks[1].kill()


def case_joinall_raises_the_first_error(rt):
    tasks = [rt.spawn_later(0.001, int, "x"), after(rt, 10)]
    raises(ValueError, rt.joinall, tasks, raise_error=True)
    assert rt.joinall(tasks[:1]) == tasks[:1]
    tasks[1].kill()


def case_timeout_raises_itself(rt):
    timeout = rt.Timeout(0.001)

    def body():
        with timeout:
            assert timeout.pending
            rt.sleep(10)

    assert raises(rt.Timeout, body) is timeout
    assert not timeout.pending


def case_timeout_is_no_exception(rt):
    assert issubclass(rt.Timeout, BaseException)
    assert not issubclass(rt.Timeout, Exception)


def case_timeout_raises_what_it_was_given(rt):
    for exception in (KeyError, KeyError("x")):

        def body(exception=exception):
            with rt.Timeout(0.001, exception):
                rt.sleep(10)

        raises(KeyError, body)


def case_timeout_that_is_false_is_silent(rt):
    reached = []
    with rt.Timeout(0.001, False):
        rt.sleep(10)
        reached.append(1)
    assert reached == []


def case_timeout_false_lets_others_through(rt):
    def body():
        with rt.Timeout(0.001) as outer:
            outers.append(outer)
            with rt.Timeout(0.01, False):
                rt.sleep(10)

    outers = []
    assert raises(rt.Timeout, body) is outers[0]


def case_timeout_start_and_cancel(rt):
    timeout = rt.Timeout.start_new(0.001)
    assert timeout.pending
    raises(AssertionError, timeout.start)
    timeout.cancel()
    timeout.close()
    assert not timeout.pending
    rt.sleep(0.003)
    assert rt.Timeout.start_new(rt.Timeout(None)).seconds is None


def case_timeout_none_never_expires(rt):
    with rt.Timeout(None) as timeout:
        assert not timeout.pending
        rt.sleep(0.001)


def case_timeout_in_words(rt):
    assert str(rt.Timeout(1)) == "1 second"
    assert str(rt.Timeout(2)) == "2 seconds"
    assert str(rt.Timeout(None)) == ""
    assert str(rt.Timeout(1, False)) == "1 second (silent)"
    assert str(rt.Timeout(1, KeyError("x"))) == "1 second: 'x'"


def case_timeout_order(rt):
    assert rt.Timeout(1) < rt.Timeout(2)


def case_with_timeout(rt):
    assert rt.with_timeout(1, lambda x, y: x + y, 1, y=2) == 3
    assert rt.with_timeout(0.001, rt.sleep, 10, timeout_value="late") == "late"
    raises(rt.Timeout, rt.with_timeout, 0.001, rt.sleep, 10)
    assert rt.with_timeout(None, lambda: 5) == 5


def case_with_timeout_lets_others_through(rt):
    def body():
        with rt.Timeout(0.001):
            rt.with_timeout(1, rt.sleep, 10, timeout_value="late")

    raises(rt.Timeout, body)


def case_timeout_without_ref_does_not_keep_the_loop(rt):
    timeout = rt.Timeout.start_new(10, ref=False)
    assert rt.wait(timeout=1) is True
    timeout.cancel()


def case_sleep_without_ref_does_not_keep_the_loop(rt):
    task = rt.spawn(rt.sleep, 10, ref=False)
    assert rt.wait(timeout=1) is True
    task.kill()


def case_hub_waiter(rt):
    waiter = rt.hub.Waiter()
    rt.get_hub().loop.run_callback(waiter.switch, 5)
    assert waiter.get() == 5
    waiter = rt.hub.Waiter()
    waiter.throw(KeyError("x"))
    raises(KeyError, waiter.get)
