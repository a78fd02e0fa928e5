"""park, resume, interrupt: one protocol, and what happens when they meet."""

import threading
from typing import Any

import greenlet
import pytest

from greenscope.runtime import get_hub, getcurrent, idle, joinall, sleep, spawn, spawn_raw, testing
from greenscope.runtime.exceptions import (
    BlockingSwitchOutError,
    InvalidSwitchError,
)
from greenscope.runtime.waiting import READY, Thrown, interrupt, park, park_until, resume, wake


class Shown:
    """What a test's greenlets are shown to wait for."""

    waits_as = "test"


def parked(log: list[Any], shown: Any) -> Any:
    """Start a raw greenlet that parks once and notes what came of it."""

    def body() -> None:
        try:
            park(shown)
            log.append("resumed")
        except BaseException as error:
            log.append(error)

    raw = spawn_raw(body)
    sleep(0)
    return raw


def test_parked_greenlet_shows_what_it_waits_for() -> None:
    shown, log = Shown(), []
    raw = parked(log, shown)
    assert raw.waiting_on is shown
    resume(raw)
    assert raw.waiting_on is READY
    sleep(0)
    assert log == ["resumed"]
    assert raw.waiting_on is None


def test_resume_twice_is_one_turn() -> None:
    log: list[Any] = []
    raw = parked(log, Shown())
    resume(raw)
    resume(raw)
    assert list(get_hub().ready).count(raw) == 1
    sleep(0)
    assert log == ["resumed"]


def test_interrupt_raises_instance_type_and_triple() -> None:
    instance = ValueError("instance")
    for error, expected in ((instance, instance), (KeyError, None), ((ValueError, instance, None), instance)):
        log: list[Any] = []
        interrupt(parked(log, Shown()), error)
        sleep(0)
        assert log[0] is expected if expected is not None else isinstance(log[0], KeyError)


def test_interrupt_with_a_triple_keeps_its_traceback_and_without_begins_a_new_one() -> None:
    try:
        raise ValueError("raised before")
    except ValueError as error:
        before = error
    tb: Any = before.__traceback__
    log: list[Any] = []
    interrupt(parked(log, Shown()), (ValueError, before, tb))
    sleep(0)
    assert any(frame is tb.tb_frame for frame in frames(log[0]))
    for _ in range(5):
        interrupt(parked(log, Shown()), before)
        sleep(0)
    assert len(frames(before)) < 6


def frames(error: BaseException) -> list[Any]:
    """Return the frames of an error's traceback."""
    found = []
    tb = error.__traceback__
    while tb is not None:
        found.append(tb.tb_frame)
        tb = tb.tb_next
    return found


def test_triples_in_every_form_that_throw_takes() -> None:
    instance = ValueError("x")
    for error in ((ValueError, None, None), (ValueError, "x", None), (instance, None, None)):
        log: list[Any] = []
        interrupt(parked(log, Shown()), error)
        sleep(0)
        assert isinstance(log[0], ValueError)


def test_interrupt_of_a_ready_greenlet_comes_with_its_turn() -> None:
    log: list[Any] = []
    raw = parked(log, Shown())
    resume(raw)
    interrupt(raw, KeyError("late"))
    assert isinstance(raw.waiting_on, Thrown)
    resume(raw)
    sleep(0)
    assert isinstance(log[0], KeyError)


def test_errors_are_raised_one_by_one_in_the_waits_that_follow() -> None:
    log: list[Any] = []

    def body() -> None:
        for _ in range(3):
            try:
                park(Shown())
            except LookupError as error:
                log.append(error.args[0])

    raw = spawn_raw(body)
    sleep(0)
    for n in range(3):
        interrupt(raw, KeyError(n))
    for _ in range(8):
        sleep(0)
    assert log == [0, 1, 2]
    assert raw.dead


def test_interrupt_of_the_running_greenlet_comes_with_its_next_wait() -> None:
    def body() -> str:
        interrupt(greenlet.getcurrent(), KeyError("mine"))
        try:
            sleep(0)
            sleep(0)
        except KeyError:
            return "raised in a wait"
        return "not raised"

    assert spawn(body).get() == "raised in a wait"


def test_interrupt_of_a_greenlet_parked_by_hand_is_thrown_by_the_hub() -> None:
    log: list[Any] = []

    def body() -> None:
        try:
            get_hub().switch()
        except KeyError:
            log.append(getcurrent())

    raw = spawn_raw(body)
    sleep(0)
    interrupt(raw, KeyError)
    sleep(0)
    assert log == [raw]


def test_interrupt_from_another_thread_is_left_to_the_hub() -> None:
    log: list[Any] = []
    raw = parked(log, Shown())
    thread = threading.Thread(target=interrupt, args=(raw, KeyError("elsewhere")))
    thread.start()
    thread.join()
    assert raw.waiting_on.waits_as == "test"
    sleep(0)
    sleep(0)
    assert isinstance(log[0], KeyError)


def test_wake_from_another_thread_reaches_only_who_still_waits() -> None:
    shown, log = Shown(), []
    raw = parked(log, shown)
    for target in (Shown(), shown):
        thread = threading.Thread(target=wake, args=(raw, target))
        thread.start()
        thread.join()
        sleep(0)
        sleep(0)
        assert log == (["resumed"] if target is shown else [])


def test_throw_by_hand_into_a_ready_greenlet_keeps_the_other_errors() -> None:
    log: list[Any] = []

    def body() -> None:
        for _ in range(2):
            try:
                park(Shown())
            except LookupError as error:
                log.append(type(error))

    raw: Any = spawn_raw(body)
    sleep(0)
    interrupt(raw, KeyError)
    get_hub().ready.remove(raw)  # the hub's turn comes after the throw
    get_hub().run_callback(raw.throw, IndexError)
    get_hub().ready.append(raw)
    for _ in range(4):
        sleep(0)
    assert log == [IndexError, KeyError]
    assert raw.dead


def test_switch_by_hand_into_a_parked_greenlet_is_an_error() -> None:
    log: list[Any] = []
    raw = parked(log, Shown())
    get_hub().run_callback(raw.switch)
    sleep(0)
    assert isinstance(log[0], InvalidSwitchError)


def test_park_until_tells_whether_the_time_ran_out() -> None:
    def body(shown: Shown) -> bool:
        return park_until(shown, 5)

    with testing.virtual_clock():
        late = spawn(body, Shown())
        resumed = spawn(body, Shown())
        sleep(1)
        resume(resumed._carrier)
        assert resumed.get() is True
        assert late.get() is False
        assert len(get_hub().timers) == 0


def test_park_until_with_no_time_left_lets_others_run_first() -> None:
    ran: list[int] = []
    spawn(ran.append, 1)
    assert park_until(Shown(), 0) is False
    assert ran == [1]


def test_hub_may_not_park(capsys: pytest.CaptureFixture[str]) -> None:
    errors: list[BaseException] = []

    def callback() -> None:
        for blocking in (lambda: park(Shown()), lambda: park_until(Shown(), 1), lambda: sleep(0), lambda: sleep(1)):
            try:
                blocking()
            except BlockingSwitchOutError as error:
                errors.append(error)

    get_hub().run_callback(callback)
    sleep(0)
    assert len(errors) == 4
    assert len(get_hub().timers) == 0


def test_sleep_zero_is_fair() -> None:
    order: list[str] = []

    def spin(name: str) -> None:
        for _ in range(3):
            order.append(name)
            sleep(0)

    tasks = [spawn(spin, name) for name in "abc"]
    for task in tasks:
        task.join()
    assert "".join(order) == "abc" * 3


def test_negative_sleep_is_a_turn() -> None:
    ran: list[int] = []
    spawn(ran.append, 1)
    sleep(-5)
    assert ran == [1]


def test_idle_lets_everything_ready_run_first() -> None:
    ran: list[int] = []

    def chain(n: int) -> None:
        ran.append(n)
        if n:
            spawn(chain, n - 1)

    spawn(chain, 5)
    idle()
    assert ran == [5, 4, 3, 2, 1, 0]


def test_several_that_are_idle_go_on_in_order_when_all_else_has_run() -> None:
    log: list[Any] = []

    def rest(name: str) -> None:
        idle()
        log.append(name)

    def work() -> None:
        for n in range(3):
            sleep(0)
            log.append(n)

    resting = [spawn(rest, name) for name in "abc"]
    joinall([*resting, spawn(work)], timeout=5)
    assert log == [0, 1, 2, "a", "b", "c"]


def test_idle_ends_also_where_a_fork_has_forgotten_who_is_idle() -> None:
    spawn(lambda: get_hub().idlers.clear())  # as in a forked child
    idle()
    idle()
    assert not get_hub().idlers
