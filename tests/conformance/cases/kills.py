"""kill, killall, GreenletExit, throw."""


def raises(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def case_kill_ends_a_sleeper_with_greenlet_exit(rt):
    task = rt.spawn(rt.sleep, 10)
    rt.sleep(0)
    assert task.kill() is None
    assert task.dead
    assert isinstance(task.value, rt.GreenletExit)
    assert isinstance(task.get(), rt.GreenletExit)
    assert task.exception is None
    assert task.successful()


def case_kill_without_block_comes_later(rt):
    task = rt.spawn(rt.sleep, 10)
    rt.sleep(0)
    task.kill(block=False)
    assert not task.dead
    rt.sleep(0.001)
    assert task.dead


def case_kill_before_start_never_runs(rt):
    ran = []
    for make in (lambda: rt.spawn(ran.append, 1), lambda: rt.spawn_later(0.001, ran.append, 1)):
        task = make()
        task.kill()
        assert task.dead
        assert isinstance(task.value, rt.GreenletExit)
    rt.sleep(0.005)
    assert ran == []


def case_kill_of_a_new_one_makes_start_a_no_op(rt):
    ran = []
    task = rt.Greenlet(ran.append, 1)
    task.kill()
    task.start()
    rt.sleep(0.001)
    assert ran == []
    assert task.dead


def case_kill_with_another_exception_is_a_failure(rt):
    task = rt.spawn(rt.sleep, 10)
    rt.sleep(0)
    task.kill(ValueError("why"))
    assert str(raises(ValueError, task.get)) == "why"
    assert not task.successful()


def case_kill_with_an_exc_info_triple(rt):
    error = ValueError("why")
    task = rt.spawn(rt.sleep, 10)
    rt.sleep(0)
    task.kill((ValueError, error, None))
    assert task.exception is error


def case_kill_before_start_with_an_error(rt):
    task = rt.spawn(rt.sleep, 10)
    task.kill(ValueError)
    assert isinstance(task.exception, ValueError)


def case_kill_of_the_dead_is_nothing(rt):
    task = rt.spawn(lambda: 5)
    task.join()
    task.kill()
    rt.kill(task)
    assert task.value == 5


def case_kill_of_one_that_lives_on_gives_up_in_time(rt):
    def stubborn():
        try:
            rt.sleep(10)
        except rt.GreenletExit:
            rt.sleep(0.02)
        return "lived"

    task = rt.spawn(stubborn)
    rt.sleep(0)
    task.kill(timeout=0.001)
    assert not task.dead
    assert task.get() == "lived"


def case_kill_of_itself(rt):
    def body():
        rt.getcurrent().kill()
        raise AssertionError("lived on")

    task = rt.spawn(body)
    task.join()
    assert isinstance(task.value, rt.GreenletExit)


def case_kill_of_itself_without_block_comes_with_the_next_wait(rt):
    seen = []

    def body():
        rt.getcurrent().kill(block=False)
        seen.append("after")
        rt.sleep(0.01)
        seen.append("slept")

    task = rt.spawn(body)
    task.join()
    assert seen == ["after"]


def case_late_kill_of_itself_spares_others(rt):
    def body():
        rt.getcurrent().kill(block=False)

    tasks = [rt.spawn(body), *[rt.spawn(lambda: (rt.sleep(0), rt.sleep(0.001), 5)[2]) for _ in range(3)]]
    rt.joinall(tasks)
    assert [task.value for task in tasks[1:]] == [5, 5, 5]


def case_forgotten_timeout_spares_others(rt):
    rt.spawn(lambda: rt.Timeout.start_new(0.002)).join()
    assert rt.spawn(lambda: (rt.sleep(0.006), 5)[1]).get() == 5


def case_kill_function_is_kill_without_block(rt):
    task, raw = rt.spawn(rt.sleep, 10), rt.spawn_raw(rt.sleep, 10)
    rt.sleep(0)
    rt.kill(task)
    rt.kill(raw)
    assert not task.dead
    rt.sleep(0.001)
    assert task.dead
    assert raw.dead


def case_killall_waits_for_all(rt):
    tasks = [rt.spawn(rt.sleep, 10) for _ in range(5)]
    rt.sleep(0)
    tasks.append(rt.spawn(rt.sleep, 10))
    rt.killall(tasks)
    assert all(isinstance(task.value, rt.GreenletExit) for task in tasks)


def case_killall_without_block(rt):
    tasks = [rt.spawn(rt.sleep, 10) for _ in range(3)]
    rt.sleep(0)
    rt.killall(tasks, block=False)
    assert not any(task.dead for task in tasks)
    rt.joinall(tasks)


def case_killall_raises_timeout(rt):
    def stubborn():
        try:
            rt.sleep(10)
        except rt.GreenletExit:
            rt.sleep(0.02)

    tasks = [rt.spawn(stubborn), rt.spawn(rt.sleep, 10)]
    rt.sleep(0)
    raises(rt.Timeout, rt.killall, tasks, timeout=0.001)
    assert [task.dead for task in tasks] == [False, True]
    rt.joinall(tasks)


def case_killall_takes_raw_greenlets_iterators_and_nothing(rt):
    raw = rt.spawn_raw(rt.sleep, 10)
    rt.sleep(0)
    rt.killall(iter([raw]))
    assert raw.dead
    rt.killall([])


def case_killall_with_another_exception(rt):
    tasks = [rt.spawn(rt.sleep, 10) for _ in range(2)]
    rt.sleep(0)
    rt.killall(tasks, KeyError)
    assert all(isinstance(task.exception, KeyError) for task in tasks)


def case_finally_may_block_while_dying(rt):
    seen = []

    def body():
        try:
            rt.sleep(10)
        finally:
            rt.sleep(0.001)
            seen.append("cleaned")

    task = rt.spawn(body)
    rt.sleep(0)
    task.kill()
    assert seen == ["cleaned"]


def case_throw_before_start_ends_it(rt):
    task = rt.spawn(rt.sleep, 10)
    task.throw(ValueError("why"))
    assert isinstance(task.exception, ValueError)
    other = rt.spawn(rt.sleep, 10)
    other.throw()
    assert isinstance(other.value, rt.GreenletExit)


def case_throw_from_the_hub(rt):
    task = rt.spawn(rt.sleep, 10)
    rt.sleep(0)
    rt.get_hub().loop.run_callback(task.throw, ValueError("why"))
    task.join()
    assert str(task.exception) == "why"


def case_kill_of_a_joiner_leaves_no_link(rt):
    target = rt.spawn(rt.sleep, 10)
    joiner = rt.spawn(target.join)
    rt.sleep(0)
    assert target.has_links()
    joiner.kill()
    assert target.has_links() == 0
    target.kill()


def case_returned_greenlet_exit_is_a_value(rt):
    task = rt.spawn(lambda: rt.GreenletExit("value"))
    assert isinstance(task.get(), rt.GreenletExit)
    assert task.successful()


def case_kill_of_a_ready_one_lets_it_have_its_turn(rt):
    for kill in (lambda task: task.kill(), rt.kill, lambda task: rt.killall([task])):
        event = rt.event.Event()
        reached = []

        def body(event=event, reached=reached):
            reached.append(event.wait())
            rt.sleep(0)
            reached.append("ran on")

        task = rt.spawn(body)
        rt.sleep(0)
        event.set()
        kill(task)
        task.join()
        assert reached == [True]
        assert isinstance(task.value, rt.GreenletExit)


def case_kill_of_a_ready_one_that_ends_leaves_its_value(rt):
    task = rt.spawn(lambda: (rt.sleep(0), 5)[1])
    rt.sleep(0)
    task.kill()
    assert task.value == 5


def case_kill_of_one_that_gives_way_again_and_again(rt):
    turns = []

    def body():
        while True:
            turns.append(1)
            rt.sleep(0)

    task = rt.spawn(body)
    rt.sleep(0)
    before = len(turns)
    task.kill()
    assert task.dead
    assert len(turns) <= before + 2


def case_kill_then_set_is_a_kill(rt):
    event = rt.event.Event()
    task = rt.spawn(event.wait)
    rt.sleep(0)
    task.kill(block=False)
    event.set()
    task.join()
    assert isinstance(task.value, rt.GreenletExit)
