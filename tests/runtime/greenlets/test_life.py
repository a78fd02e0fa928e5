"""Greenlet: its life and end, who waits for it, and what it says of itself."""

import gc
import threading
import weakref
from typing import Any

import pytest

from greenscope.runtime import (
    Greenlet,
    GreenletExit,
    Timeout,
    get_hub,
    getcurrent,
    joinall,
    sleep,
    spawn,
    spawn_later,
    spawn_raw,
    testing,
)


def fail(message: str = "failed") -> None:
    """Raise a ValueError."""
    raise ValueError(message)


# -- life


def test_states_from_new_to_value() -> None:
    task = Greenlet(lambda: sleep(1))
    assert (task.started, task.dead, task.ready(), bool(task)) == (False, False, False, False)
    task.start()
    task.start()
    assert (task.started, task.dead, bool(task)) == (True, False, True)
    sleep(0)
    assert (task.started, task.dead) == (True, False)
    assert task.gr_frame is not None
    task.join()
    assert (task.started, task.dead, task.ready(), task.successful()) == (False, True, True, True)
    assert task.gr_frame is None


def test_value_exception_and_exc_info_after_each_end(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad, killed = spawn(lambda: 5), spawn(fail), spawn(sleep, 100)
    assert (good.value, good.exception, good.exc_info, good.successful()) == (None, None, None, False)
    sleep(0)
    killed.kill()
    assert (good.value, good.exception, good.exc_info, good.successful()) == (5, None, None, True)
    assert bad.exc_info is not None
    assert (bad.value, bad.exc_info[:2], bad.successful()) == (None, (ValueError, bad.exception), False)
    assert isinstance(killed.value, GreenletExit)
    assert (killed.exception, killed.successful()) == (None, True)


def test_run_gets_the_arguments_and_lets_them_go() -> None:
    class Argument:
        pass

    argument = Argument()
    task = spawn(lambda *args, **kwargs: (len(args), sorted(kwargs)), argument, 2, name="x")
    ref = weakref.ref(argument)
    assert (task.args, task.kwargs) == ((argument, 2), {"name": "x"})
    del argument
    assert task.get() == (2, ["name"])
    assert (task.args, task.kwargs) == ((), {})
    assert ref() is None


def test_kwargs_of_one_are_not_those_of_another() -> None:
    assert spawn(lambda: 1).kwargs == {}
    with pytest.raises(TypeError):
        Greenlet(lambda: 1).kwargs["x"] = 1  # type: ignore[index]


def test_subclass_runs_its_own_run() -> None:
    class Doubler(Greenlet):
        def __init__(self, n: int) -> None:
            Greenlet.__init__(self)
            self.n = n

        def _run(self) -> int:
            return 2 * self.n

    assert Doubler.spawn(21).get() == 42
    task = Doubler.spawn_later(5, 4)
    assert task.get() == 8


def test_run_must_be_callable() -> None:
    for make in (Greenlet, spawn, spawn_raw, lambda run: spawn_later(1, run)):
        with pytest.raises(TypeError, match="callable"):
            make(5)
    with pytest.raises(TypeError):
        spawn_later(1)


def test_later_start_waits_its_time(clock: testing.VirtualClock) -> None:
    at = clock()
    task = spawn_later(5, clock)
    assert task.started
    assert task.get() == pytest.approx(at + 5)


def test_current_greenlet_is_the_task() -> None:
    task = spawn(getcurrent)
    assert task.get() is task
    assert getcurrent() is get_hub().parent


def test_dead_greenlet_is_collected() -> None:
    refs = []
    for function in (lambda: 5, lambda: sleep(0)):
        task = spawn(function)
        refs.append(weakref.ref(task))
        task.join()
    del task
    sleep(0)
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_tree_locals_are_shared_below_a_root() -> None:
    trees: list[dict[str, Any]] = []

    def body() -> None:
        mine = getcurrent().spawn_tree_locals
        child = spawn(lambda: getcurrent().spawn_tree_locals)
        assert child.spawning_greenlet() is getcurrent()
        assert child.get() is mine
        trees.append(mine)

    joinall([spawn(body), spawn(body)])
    assert len(trees) == 2
    assert trees[0] is not trees[1]
    assert not hasattr(getcurrent(), "spawn_tree_locals")


def test_spawn_callbacks_see_every_start_until_removed() -> None:
    seen: list[Any] = []
    Greenlet.add_spawn_callback(seen.append)
    Greenlet.add_spawn_callback(seen.append)
    try:
        tasks = [spawn(lambda: None), spawn_later(1, lambda: None)]
    finally:
        Greenlet.remove_spawn_callback(seen.append)
        Greenlet.remove_spawn_callback(seen.append)
    tasks.append(spawn(lambda: None))
    joinall(tasks)
    assert seen == tasks[:2]


# -- join and get


def test_get_of_a_failure_raises_it(capsys: pytest.CaptureFixture[str]) -> None:
    task = spawn(fail, "mine")
    for _ in range(2):
        with pytest.raises(ValueError, match="mine"):
            task.get()


def test_get_gives_up_after_its_timeout_and_at_once_without_block() -> None:
    task = spawn(sleep, 100)
    with pytest.raises(Timeout):
        task.get(timeout=1)
    with pytest.raises(Timeout):
        task.get(block=False)
    assert task.join(timeout=1) is None  # type: ignore[func-returns-value]
    assert not task.dead
    assert task.has_links() == 0
    task.kill()


def test_many_join_one() -> None:
    task = spawn(lambda: (sleep(1), 5)[1])
    getters = [spawn(task.get) for _ in range(10)]
    joinall(getters)
    assert [getter.value for getter in getters] == [5] * 10


def test_join_of_itself_could_never_end_but_does_not_stop_others() -> None:
    task = spawn(lambda: getcurrent().join(timeout=1))
    other = spawn(lambda: 5)
    assert other.get() == 5
    task.join()
    assert task.successful()


def test_context_joins_or_kills() -> None:
    with spawn(lambda: (sleep(5), 5)[1]) as task:
        assert not task.dead
    assert task.value == 5
    started = spawn(sleep, 100)
    sleep(0)
    with pytest.raises(KeyError), started as task:
        raise KeyError
    assert isinstance(task.exception, KeyError)


def test_value_of_a_thread_of_its_own() -> None:
    values: list[Any] = []
    thread = threading.Thread(target=lambda: values.append(spawn(lambda: 5).get()))
    thread.start()
    thread.join(10)
    assert values == [5]


# -- words


def test_repr_names_the_function_and_the_arguments() -> None:
    def function() -> None:
        sleep(0)

    task = Greenlet(function)
    assert repr(task) == f"<Greenlet at {id(task):#x}: function>"
    with_args = Greenlet(function, 1, x="y")
    assert repr(with_args).endswith(": function(1, x='y')>")
    task.name = "worker"
    assert repr(task).startswith('<Greenlet "worker" at ')


def test_name_is_its_small_number_unless_set() -> None:
    task, other = Greenlet(sleep), Greenlet(sleep)
    assert task.name == f"Greenlet-{task.minimal_ident}"
    assert task.minimal_ident != other.minimal_ident
    task.name = "mine"
    assert task.name == "mine"


def test_numbers_are_used_again() -> None:
    first = Greenlet(sleep)
    number = first.minimal_ident
    del first
    gc.collect()
    assert Greenlet(sleep).minimal_ident <= number


@pytest.mark.parametrize("args", [[7], {7}, {7: 1}, iter([7]), range(7, 8), (7,)], ids=lambda args: type(args).__name__)
def test_arguments_may_be_set_by_hand_to_anything_that_can_be_iterated(args: Any) -> None:
    task = Greenlet(lambda *given: given)
    task.args = args
    task.start()
    assert task.get() == (7,)
