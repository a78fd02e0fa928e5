"""Greenlet: states, results, arguments, joining."""


def fails():
    raise ValueError("failed")


def raises(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def case_new_greenlet_is_neither_started_nor_dead(rt):
    task = rt.Greenlet(lambda: 1)
    assert (task.started, task.dead, task.ready(), task.successful(), bool(task)) == (False,) * 5
    assert (task.value, task.exception) == (None, None)


def case_start_makes_it_started_and_a_second_start_is_nothing(rt):
    ran = []
    task = rt.Greenlet(ran.append, 1)
    task.start()
    task.start()
    assert (bool(task.started), bool(task), task.dead) == (True, True, False)
    task.join()
    assert ran == [1]
    task.start()
    rt.sleep(0)
    assert ran == [1]


def case_value_after_the_end(rt):
    task = rt.spawn(lambda: 5)
    assert task.value is None
    assert task.get() == 5
    assert (task.value, task.exception, task.dead, task.ready(), task.successful()) == (5, None, True, True, True)
    assert not task.started
    assert not task


def case_exception_after_a_failure(rt):
    task = rt.spawn(fails)
    task.join()
    assert isinstance(task.exception, ValueError)
    assert (task.value, task.ready(), task.successful()) == (None, True, False)
    assert task.exc_info[0] is ValueError
    assert task.exc_info[1] is task.exception
    assert raises(ValueError, task.get) is task.exception
    assert raises(ValueError, task.get) is task.exception


def case_exc_info_is_empty_without_a_failure(rt):
    task = rt.spawn(lambda: 5)
    assert not task.exc_info
    task.join()
    assert not any(task.exc_info or ())


def case_arguments_by_position_and_name(rt):
    task = rt.spawn(lambda *args, **kwargs: (args, kwargs), 1, 2, x=3)
    assert task.args == (1, 2)
    assert task.kwargs == {"x": 3}
    assert task.get() == ((1, 2), {"x": 3})
    assert task.args == ()
    assert task.kwargs == {}


def case_subclass_with_run(rt):
    class Own(rt.Greenlet):
        def __init__(self, n):
            rt.Greenlet.__init__(self)
            self.n = n

        def _run(self):
            return self.n * 2

    assert Own.spawn(4).get() == 8
    assert Own.spawn_later(0.001, 5).get() == 10
    task = Own(6)
    task.start()
    assert task.get() == 12


def case_run_argument_by_keyword(rt):
    task = rt.Greenlet(run=lambda: 5)
    task.start()
    assert task.get() == 5


def case_what_is_not_callable_is_refused(rt):
    raises(TypeError, rt.Greenlet, 5)
    raises(TypeError, rt.spawn, 5)
    raises(TypeError, rt.spawn_later, 0.001, 5)
    raises(TypeError, rt.spawn_later, 0.001)


def case_spawn_later_starts_later(rt):
    ran = []
    task = rt.spawn_later(0.005, ran.append, 1)
    rt.sleep(0)
    assert ran == []
    task.join()
    assert ran == [1]


def case_start_later(rt):
    task = rt.Greenlet(lambda: 5)
    task.start_later(0.001)
    assert task.started
    assert task.get() == 5


def case_order_of_start_is_order_of_spawn(rt):
    seen = []
    tasks = [rt.spawn(seen.append, n) for n in range(20)]
    rt.joinall(tasks)
    assert seen == list(range(20))


def case_spawn_does_not_run_at_once(rt):
    ran = []
    task = rt.spawn(ran.append, 1)
    assert ran == []
    task.join()


def case_getcurrent_is_the_greenlet(rt):
    task = rt.spawn(rt.getcurrent)
    assert task.get() is task


def case_join_returns_none_and_gives_up_in_time(rt):
    task = rt.spawn(rt.sleep, 10)
    assert task.join(timeout=0.001) is None
    assert not task.ready()
    task.kill()
    assert task.join() is None


def case_get_raises_timeout_in_time(rt):
    task = rt.spawn(rt.sleep, 10)
    raises(rt.Timeout, task.get, timeout=0.001)
    raises(rt.Timeout, task.get, block=False)
    assert task.has_links() == 0
    task.kill()


def case_join_with_a_timeout_object_returns(rt):
    task = rt.spawn(rt.sleep, 10)
    assert task.join(rt.Timeout(0.001)) is None
    raises(KeyError, task.join, rt.Timeout(0.001, KeyError))
    timeout = rt.Timeout(0.001)
    assert raises(rt.Timeout, task.get, timeout=timeout) is timeout
    task.kill()


def case_context_manager_joins(rt):
    with rt.spawn(lambda: (rt.sleep(0.001), 5)[1]) as task:
        assert not task.dead
    assert task.value == 5


def case_context_manager_kills_on_error(rt):
    def body():
        with rt.spawn(rt.sleep, 10) as task:
            tasks.append(task)
            rt.sleep(0)
            raise KeyError("out")

    tasks = []
    raises(KeyError, body)
    assert tasks[0].dead
    assert isinstance(tasks[0].exception, KeyError)


def case_parent_is_the_hub(rt):
    assert rt.spawn(lambda: 1).parent is rt.get_hub()
    assert rt.get_hub().parent is rt.getcurrent()


def case_names(rt):
    task = rt.Greenlet(lambda: 1)
    assert task.name == f"Greenlet-{task.minimal_ident}"
    task.name = "mine"
    assert task.name == "mine"
    assert '"mine"' in repr(task)


def case_repr_shows_function_and_arguments(rt):
    def function(*args, **kwargs):
        pass

    assert repr(rt.Greenlet(function)).endswith(": function>")
    assert repr(rt.Greenlet(function, 1, x="y")).endswith(": function(1, x='y')>")


def case_spawn_tree_locals(rt):
    def body():
        child = rt.spawn(lambda: rt.getcurrent().spawn_tree_locals)
        assert child.spawning_greenlet() is rt.getcurrent()
        return child.get() is rt.getcurrent().spawn_tree_locals, id(rt.getcurrent().spawn_tree_locals)

    one, other = rt.spawn(body), rt.spawn(body)
    assert one.get()[0]
    assert other.get()[0]
    assert one.get()[1] != other.get()[1]


def case_spawn_callbacks(rt):
    seen = []
    rt.Greenlet.add_spawn_callback(seen.append)
    task = rt.spawn(lambda: 1)
    rt.Greenlet.remove_spawn_callback(seen.append)
    rt.spawn(lambda: 1).join()
    assert seen == [task]


def case_system_exit_reaches_main(rt):
    def leave():
        raise SystemExit(3)

    rt.spawn(leave)
    error = raises(SystemExit, rt.sleep, 1)
    assert error.code == 3


def case_loop_exit_when_nothing_can_happen(rt):
    task = rt.spawn(lambda: rt.get_hub().switch())
    raises(rt.hub.LoopExit, task.join)


def case_spawn_raw_returns_a_greenlet_without_links(rt):
    import greenlet

    seen = []
    raw = rt.spawn_raw(lambda *args, **kwargs: seen.append((args, kwargs)), 1, x=2)
    assert isinstance(raw, greenlet.greenlet)
    assert not hasattr(raw, "rawlink")
    rt.sleep(0)
    assert seen == [((1,), {"x": 2})]
    assert raw.dead


def case_spawn_raw_is_current_and_can_sleep(rt):
    seen = []

    def body():
        rt.sleep(0.001)
        seen.append(rt.getcurrent())

    raw = rt.spawn_raw(body)
    rt.sleep(0.01)
    assert seen == [raw]


def case_spawn_raw_needs_a_callable(rt):
    raises(TypeError, rt.spawn_raw, 5)


def case_contextvars_are_fresh(rt):
    import contextvars

    variable = contextvars.ContextVar("variable", default="empty")
    variable.set("main")
    task = rt.spawn(lambda: (variable.get(), variable.set("task"))[0])
    assert task.get() == "empty"
    assert rt.spawn(variable.get).get() == "empty"
    assert variable.get() == "main"


def case_sleep_zero_is_fair(rt):
    seen = []

    def spin(name):
        for _ in range(3):
            seen.append(name)
            rt.sleep(0)

    rt.joinall([rt.spawn(spin, name) for name in "abc"])
    assert "".join(seen) == "abcabcabc"


def case_blocking_in_the_hub_is_refused(rt):
    errors = []

    def callback():
        try:
            rt.sleep(0.001)
        except AssertionError as error:
            errors.append(error)

    rt.get_hub().loop.run_callback(callback)
    rt.sleep(0.005)
    assert len(errors) == 1


def case_run_callback_can_be_stopped(rt):
    seen = []
    first = rt.get_hub().loop.run_callback(seen.append, 1)
    rt.get_hub().loop.run_callback(seen.append, 2)
    assert first.pending
    first.stop()
    assert not first.pending
    rt.sleep(0)
    rt.sleep(0)
    assert seen == [2]


def case_idle_waits_until_all_else_has_run(rt):
    seen = []

    def chain(n):
        seen.append(n)
        if n:
            rt.spawn(chain, n - 1)

    rt.spawn(chain, 3)
    rt.idle()
    assert seen == [3, 2, 1, 0]
