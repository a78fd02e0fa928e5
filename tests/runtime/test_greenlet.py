"""Greenlet: its life, its end, and what others may ask of it meanwhile."""

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from greenscope.runtime import (
    Greenlet,
    GreenletExit,
    Timeout,
    get_hub,
    getcurrent,
    joinall,
    kill,
    killall,
    sleep,
    spawn,
    spawn_later,
    spawn_raw,
    testing,
)
from greenscope.runtime.event import Event
from greenscope.runtime.exceptions import BlockingSwitchOutError


@pytest.fixture(autouse=True)
def clock() -> Iterator[testing.VirtualClock]:
    """Every test here is on a virtual clock, and leaves no timer behind."""
    with testing.virtual_clock() as clock:
        yield clock
        assert len(get_hub().timers) == 0


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


# -- kill


@pytest.mark.parametrize("later", [False, True])
def test_kill_before_the_start_means_never(later: bool) -> None:
    ran: list[int] = []
    linked: list[Any] = []
    task = spawn_later(5, ran.append, 1) if later else spawn(ran.append, 1)
    task.rawlink(linked.append)
    task.kill()
    assert task.dead
    assert isinstance(task.value, GreenletExit)
    task.start()
    sleep(10)
    assert ran == []
    assert linked == [task]


def test_kill_of_a_new_one_means_never() -> None:
    ran: list[int] = []
    task = Greenlet(ran.append, 1)
    task.kill()
    task.start()
    sleep(0)
    assert ran == []
    assert task.dead


@pytest.mark.parametrize("exception", [ValueError, ValueError("x"), (ValueError, None, None)])
def test_kill_before_the_start_with_an_error_is_a_failure(exception: Any, capsys: pytest.CaptureFixture[str]) -> None:
    task = spawn(sleep)
    task.kill(exception)
    assert isinstance(task.exception, ValueError)
    with pytest.raises(ValueError):
        task.get()


def test_kill_of_the_dead_is_nothing() -> None:
    task = spawn(lambda: 5)
    task.join()
    task.kill()
    task.throw(ValueError)
    assert task.get() == 5


@pytest.mark.parametrize("block", [True, False])
def test_kill_of_itself(block: bool) -> None:
    reached: list[str] = []

    def body() -> None:
        getcurrent().kill(block=block)
        reached.append("after kill")
        sleep(0)
        sleep(0)
        reached.append("after sleep")

    task = spawn(body)
    task.join()
    assert isinstance(task.value, GreenletExit)
    assert reached == ([] if block else ["after kill"])


@pytest.mark.parametrize("killer", [lambda task: task.kill(), kill, lambda task: killall([task])])
def test_kill_of_a_ready_one_comes_after_its_turn(killer: Any) -> None:
    reached: list[str] = []

    def body() -> None:
        event.wait()
        reached.append("ran on")
        sleep(0)
        reached.append("ran further")

    event = Event()
    task = spawn(body)
    sleep(0)
    event.set()
    killer(task)
    task.join()
    assert reached == ["ran on"]
    assert isinstance(task.value, GreenletExit)


def test_second_kill_reaches_the_cleanup() -> None:
    reached: list[str] = []

    def body() -> None:
        try:
            sleep(100)
        finally:
            try:
                sleep(100)
            except GreenletExit:
                reached.append("second")
                raise

    task = spawn(body)
    sleep(0)
    task.kill(block=False)
    sleep(1)
    assert not task.dead
    task.kill()
    assert reached == ["second"]
    assert task.dead


def test_two_kills_in_one_turn_are_raised_one_after_the_other() -> None:
    caught: list[type] = []

    def body() -> None:
        for _ in range(2):
            try:
                sleep(100)
            except (KeyError, IndexError) as error:
                caught.append(type(error))

    task = spawn(body)
    sleep(0)
    task.kill(KeyError, block=False)
    task.kill(IndexError, block=False)
    task.join()
    assert caught == [KeyError, IndexError]


def test_kill_with_a_triple_raises_that_instance() -> None:
    error = ValueError("mine")
    caught: list[BaseException] = []

    def body() -> None:
        try:
            sleep(100)
        except ValueError as found:
            caught.append(found)

    for exception in (error, (ValueError, error, None)):
        task = spawn(body)
        sleep(0)
        task.kill(exception)
    assert caught == [error, error]


def test_kill_of_one_that_does_not_die_returns_after_its_timeout(clock: testing.VirtualClock) -> None:
    def stubborn() -> str:
        while True:
            try:
                sleep(100)
                return "lived"
            except GreenletExit:
                pass

    task = spawn(stubborn)
    sleep(0)
    at = clock()
    task.kill(timeout=3)
    assert clock() - at == pytest.approx(3)
    assert not task.dead
    assert task.get() == "lived"


def test_kill_of_one_that_waits_for_another_leaves_no_link() -> None:
    target = spawn(sleep, 100)
    joiner, getter = spawn(target.join), spawn(target.get)
    sleep(0)
    assert target.has_links() == 2
    joiner.kill()
    getter.kill()
    assert target.has_links() == 0
    target.kill()


def test_kill_from_the_hub_must_not_block() -> None:
    task = spawn(sleep, 100)
    sleep(0)
    errors: list[BaseException] = []

    def callback() -> None:
        try:
            task.kill()
        except BlockingSwitchOutError as error:
            errors.append(error)

    get_hub().run_callback(callback)
    task.join()
    assert len(errors) == 1
    assert task.has_links() == 0


def test_kill_in_a_ring_ends_all() -> None:
    tasks: list[Greenlet] = []

    def body(n: int) -> None:
        try:
            sleep(100)
        finally:
            tasks[(n + 1) % 3].kill()

    tasks += [spawn(body, n) for n in range(3)]
    sleep(0)
    tasks[0].kill()
    joinall(tasks)
    assert [task.dead for task in tasks] == [True] * 3


def test_throw_from_the_hub_raises_at_once() -> None:
    caught: list[str] = []

    def body() -> None:
        try:
            sleep(100)
        except ValueError:
            caught.append("thrown")

    task = spawn(body)
    sleep(0)
    get_hub().run_callback(task.throw, ValueError)
    task.join()
    assert caught == ["thrown"]
    unstarted = spawn(body)
    unstarted.throw()
    assert isinstance(unstarted.value, GreenletExit)


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
