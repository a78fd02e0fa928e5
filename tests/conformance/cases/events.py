"""Event and AsyncResult."""


def raises(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def case_event_wait_blocks_until_set(rt):
    event = rt.event.Event()
    assert not event.is_set()
    tasks = [rt.spawn(event.wait) for _ in range(3)]
    rt.sleep(0)
    assert event.linkcount() >= 1
    event.set()
    assert event.is_set()
    assert event.ready()
    rt.joinall(tasks)
    assert [task.value for task in tasks] == [True] * 3
    assert event.wait() is True


def case_event_wait_gives_up_in_time(rt):
    event = rt.event.Event()
    assert event.wait(timeout=0.001) is False
    assert event.wait(timeout=0) is False
    assert event.linkcount() == 0


def case_event_clear(rt):
    event = rt.event.Event()
    event.set()
    event.clear()
    assert not event.is_set()
    assert event.wait(0.001) is False


def case_event_set_then_clear_wakes_who_waited(rt):
    event = rt.event.Event()
    task = rt.spawn(event.wait)
    rt.sleep(0)
    event.set()
    event.clear()
    task.join(timeout=1)
    assert task.ready()


def case_event_killed_waiter_leaves(rt):
    event = rt.event.Event()
    task = rt.spawn(event.wait)
    rt.sleep(0)
    task.kill()
    assert event.linkcount() == 0


def case_event_rawlink_is_called(rt):
    event, seen = rt.event.Event(), []
    event.rawlink(seen.append)
    event.set()
    rt.sleep(0.001)
    assert seen == [event]


def case_event_unlink(rt):
    event, seen = rt.event.Event(), []
    event.rawlink(seen.append)
    event.unlink(seen.append)
    event.set()
    rt.sleep(0.001)
    assert seen == []


def case_event_wakes_in_order(rt):
    event, seen = rt.event.Event(), []
    tasks = [rt.spawn(lambda n=n: (event.wait(), seen.append(n))) for n in range(10)]
    rt.sleep(0)
    event.set()
    rt.joinall(tasks)
    assert seen == list(range(10))


def case_result_set_and_get(rt):
    result = rt.event.AsyncResult()
    assert not result.ready()
    task = rt.spawn(result.get)
    rt.sleep(0)
    result.set(5)
    assert task.get() == 5
    assert (result.ready(), result.successful(), result.value, result.exception) == (True, True, 5, None)
    assert result.get() == result.get_nowait() == result.wait() == 5


def case_result_set_exception(rt):
    result = rt.event.AsyncResult()
    error = KeyError("x")
    result.set_exception(error)
    assert raises(KeyError, result.get) is error
    assert result.wait() is None
    assert (result.ready(), result.successful(), result.exception) == (True, False, error)


def case_result_gives_up_in_time(rt):
    result = rt.event.AsyncResult()
    raises(rt.Timeout, result.get, timeout=0.001)
    raises(rt.Timeout, result.get, block=False)
    raises(rt.Timeout, result.get_nowait)
    assert result.wait(timeout=0.001) is None


def case_result_is_a_link(rt):
    result = rt.event.AsyncResult()
    rt.spawn(lambda: 5).link(result)
    assert result.get() == 5


def case_result_can_be_cancelled(rt):
    result = rt.event.AsyncResult()
    assert result.cancelled() is False
    assert result.done() is False
    result.set(1)
    assert result.done() is True
    assert result.result() == 1
