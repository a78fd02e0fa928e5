"""link, link_value, link_exception, rawlink, unlink."""


def fails():
    raise ValueError("failed")


def settle(rt):
    for _ in range(4):
        rt.sleep(0)


def case_link_is_called_with_the_greenlet(rt):
    seen = []
    task = rt.spawn(lambda: 5)
    task.link(seen.append)
    task.join()
    settle(rt)
    assert seen == [task]


def case_link_runs_in_a_greenlet_of_its_own_and_may_block(rt):
    seen = []

    def callback(source):
        rt.sleep(0.001)
        seen.append(rt.getcurrent())

    task = rt.spawn(lambda: 5)
    task.link(callback)
    rt.sleep(0.01)
    assert seen[0] not in (task, rt.get_hub(), rt.getcurrent())


def case_rawlink_runs_in_the_hub(rt):
    seen = []
    task = rt.spawn(lambda: 5)
    task.rawlink(lambda source: seen.append((source, rt.getcurrent())))
    task.join()
    settle(rt)
    assert seen == [(task, rt.get_hub())]


def case_link_after_the_end_is_called(rt):
    seen = []
    task = rt.spawn(lambda: 5)
    task.join()
    for link in (task.link, task.rawlink, task.link_value):
        link(seen.append)
    task.link_exception(lambda source: seen.append("wrong"))
    settle(rt)
    assert seen == [task] * 3


def case_link_value_only_for_success(rt):
    seen = []
    for function in (fails, lambda: 5):
        task = rt.spawn(function)
        task.link_value(seen.append)
        task.join()
    settle(rt)
    assert seen == [task]


def case_link_exception_only_for_failure(rt):
    seen = []
    for function in (lambda: 5, fails):
        task = rt.spawn(function)
        task.link_exception(seen.append)
        task.join()
    settle(rt)
    assert seen == [task]


def case_greenlet_exit_counts_as_success(rt):
    seen = []
    task = rt.spawn(rt.sleep, 10)
    task.link_value(seen.append)
    task.link_exception(lambda source: seen.append("wrong"))
    rt.sleep(0)
    task.kill()
    settle(rt)
    assert seen == [task]


def case_links_are_called_in_order(rt):
    seen = []
    task = rt.spawn(lambda: 5)
    for n in range(20):
        task.rawlink(lambda source, n=n: seen.append(n))
    task.join()
    settle(rt)
    assert seen == list(range(20))
    spawned = []
    task = rt.spawn(lambda: 5)
    for n in range(20):
        task.link(lambda source, n=n: spawned.append(n))
    task.join()
    settle(rt)
    assert spawned == list(range(20))


def case_failing_callbacks_stop_no_other(rt):
    seen = []

    def failing(source):
        raise KeyError("callback")

    task = rt.spawn(lambda: 5)
    for link in (task.link, task.rawlink):
        link(failing)
        link(lambda source: seen.append(1))
    task.join()
    settle(rt)
    assert seen == [1, 1]


def case_unlink(rt):
    seen = []
    task = rt.spawn(lambda: 5)
    task.link(seen.append)
    task.rawlink(seen.extend)
    assert task.has_links()
    task.unlink(seen.append)
    task.unlink(seen.extend)
    task.unlink(seen.extend)
    assert task.has_links() == 0
    task.join()
    settle(rt)
    assert seen == []


def case_unlink_all(rt):
    seen = []
    task = rt.spawn(lambda: 5)
    task.link(seen.append)
    task.rawlink(seen.append)
    task.unlink_all()
    task.join()
    settle(rt)
    assert seen == []


def case_early_link_may_remove_a_later_one(rt):
    for kind in ("link", "rawlink"):
        seen = []
        task = rt.spawn(lambda: 5)

        def second(source, seen=seen):
            seen.append("second")

        def first(source, seen=seen, second=second):
            source.unlink(second)
            seen.append("first")

        getattr(task, kind)(first)
        getattr(task, kind)(second)
        task.join()
        settle(rt)
        assert seen == ["first"], kind


def case_early_link_may_add_a_later_one(rt):
    seen = []
    task = rt.spawn(lambda: 5)
    task.rawlink(lambda source: source.rawlink(seen.append))
    task.join()
    settle(rt)
    assert seen == [task]


def case_link_needs_a_callable(rt):
    task = rt.spawn(lambda: 5)
    for link in (task.link, task.rawlink, task.link_value, task.link_exception):
        try:
            link(5)
        except TypeError:
            continue
        raise AssertionError(link)


def case_link_to_an_async_result(rt):
    for function, error in ((lambda: 5, None), (fails, ValueError)):
        result = rt.event.AsyncResult()
        task = rt.spawn(function)
        task.link(result)
        if error is None:
            assert result.get() == 5
        else:
            try:
                result.get()
            except error:
                continue
            raise AssertionError


def case_link_to_a_queue(rt):
    queue = rt.queue.Queue()
    task = rt.spawn(lambda: 5)
    task.link(queue.put)
    assert queue.get() is task


def case_killed_before_start_links_are_called(rt):
    seen = []
    task = rt.spawn(lambda: 5)
    task.rawlink(seen.append)
    task.kill()
    settle(rt)
    assert seen == [task]
