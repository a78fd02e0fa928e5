"""Accounts: whoever gives up control settles its own, by whatever way the next one gets its turn.

The clock of these tests goes on only when a greenlet works, so every figure is exact.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

import greenlet
import pytest

from greenscope.runtime import Greenlet, accounting, carriers, get_hub, joinall, sleep, spawn, spawn_raw, turns, waiting
from greenscope.runtime.event import Event
from greenscope.runtime.lock import Semaphore


class Work:
    """A clock that stands still but for work, and who did how much of it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.done: dict[Any, int] = {}

    def __call__(self, amount: int) -> None:
        raw = greenlet.getcurrent()
        assert get_hub().current is raw, "an observer would name somebody else"
        self.now += amount
        who = getattr(raw, "task", None) or raw
        self.done[who] = self.done.get(who, 0) + amount


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """Keep accounts of this thread's hub by the clock of a Work."""
    work = Work()
    for module in (accounting, carriers, turns, waiting):
        monkeypatch.setattr(module, "monotonic", lambda: work.now)
    hub = get_hub()
    hub.accounted = True
    sleep(0)
    yield work
    hub.accounted = False
    sleep(0)
    assert hub.now == 0.0


def whole_account_of(ended: Greenlet) -> accounting.Account:
    """Return the account of a greenlet that has ended."""
    kept = accounting.kept_account(ended)
    assert kept is not None
    return accounting.read_account(kept)


def account_of(ended: Greenlet) -> tuple[float, float, int, float]:
    """Return run, ready, switches and longest slice of a greenlet that has ended."""
    return whole_account_of(ended)[1:5]


def test_relays_are_accounted_for_like_switches_by_the_hub(work: Work) -> None:
    def spin(amount: int) -> None:
        for _ in range(3):
            work(amount)
            sleep(0)

    first, second = spawn(spin, 1), spawn(spin, 10)
    joinall([first, second])
    assert account_of(first) == (3.0, 30.0, 4, 1.0)
    assert account_of(second) == (30.0, 2.0, 4, 10.0)


def test_greenlets_relay_while_accounts_are_kept(work: Work) -> None:
    hub = get_hub()

    def spin() -> None:
        for _ in range(400):
            sleep(0)

    turns_before, switches = hub.turns, hub.switches
    joinall([spawn(spin) for _ in range(4)])
    assert hub.switches - switches >= 1600
    # without relays one turn for each four switches, with a timer of an earlier test in the heap for each twelve
    assert hub.turns - turns_before < 200


def test_waiting_is_what_is_neither_run_nor_ready(work: Work) -> None:
    flag = Event()

    def wait() -> None:
        work(2)
        flag.wait()
        work(3)

    def set_late() -> None:
        work(5)
        sleep(0)
        flag.set()
        work(7)  # whom it woke is ready for so long

    waiter, setter = spawn(wait), spawn(set_late)
    joinall([waiter, setter])
    assert account_of(waiter) == (5.0, 7.0, 2, 3.0)
    assert account_of(setter) == (12.0, 0.0, 2, 7.0)


def test_slice_that_ends_by_hand_is_not_billed_to_the_next_one(work: Work) -> None:
    def leave() -> None:
        work(4)
        get_hub().switch()
        work.now += 1

    leaver = spawn(leave)
    other = spawn(work, 2)
    joinall([other])
    assert account_of(other)[0] == 2.0
    get_hub().run_callback(leaver.switch)
    joinall([leaver])
    assert account_of(leaver)[0] == 5.0


def test_callback_of_the_hub_is_billed_to_nobody(work: Work) -> None:
    def late() -> None:
        work.now += 50

    def spin() -> None:
        sleep(0)
        work(1)

    spinner = spawn(spin)
    get_hub().run_callback(late)
    joinall([spinner])
    assert account_of(spinner) == (1.0, 50.0, 2, 1.0)


def test_link_callback_that_waited_leaves_a_clear_account_to_the_next_job(work: Work) -> None:
    def callback(_: Greenlet) -> None:
        sleep(0)
        work.now += 9
        sleep(0)

    ended = spawn(int)
    ended.link(callback)
    joinall([ended])
    for _ in range(4):
        sleep(0)
    nexts = [spawn(work, 1) for _ in range(3)]
    joinall(nexts)
    assert [account_of(one) for one in nexts] == [(1.0, 0.0, 1, 1.0)] * 3


def test_account_of_one_that_lived_before_begins_when_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    flag = Event()
    waiter = spawn(flag.wait)
    raw = spawn_raw(flag.wait)
    sleep(0)
    sleep(0)
    clock = [1000.0]
    for module in (accounting, carriers, turns, waiting):
        monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    hub = get_hub()
    hub.accounted = True
    sleep(0)
    clock[0] += 5
    sleep(0)
    flag.set()
    joinall([waiter])
    assert account_of(waiter) == (0.0, 0.0, 1, 0.0)
    assert getattr(raw, "wait_time", None) == 0.0  # it parked when nobody looked
    hub.accounted = False
    sleep(0)


def test_accounts_are_opened_before_anything_is_billed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for in the middle of a turn, with somebody ready and a timer due: nobody's ready time begins at zero."""
    hub = get_hub()

    def spin() -> None:
        for _ in range(200):
            sleep(0)

    spinner = spawn(spin)
    sleep(0)
    hub.call_later(0, int)
    hub.accounted = True
    joinall([spinner])
    assert sum(account_of(spinner)[:2]) < 60
    hub.accounted = False
    sleep(0)


def test_relays_end_with_a_turn_that_has_lasted(work: Work) -> None:
    hub = get_hub()

    def spin() -> None:
        for _ in range(100):
            work(1)
            sleep(0)

    before = hub.turns
    joinall([spawn(spin) for _ in range(4)])
    assert hub.turns - before >= 100


@pytest.mark.parametrize("seed", range(20))
def test_accounts_of_any_program_add_up(work: Work, seed: int) -> None:
    chance = random.Random(seed)
    semaphore, flag = Semaphore(2), Event()
    begun: dict[Any, float] = {}
    lives: dict[Any, float] = {}

    def pause() -> None:
        sleep(0)

    def hold() -> None:
        with semaphore:
            work(chance.randrange(4))
            sleep(0)

    def await_flag() -> None:
        if chance.random() < 0.5:
            flag.set()
            flag.clear()
        else:
            spawn(flag.set)
            flag.wait()
            flag.clear()

    def live(steps: int) -> None:
        me = greenlet.getcurrent().task  # type: ignore[attr-defined]
        begun[me] = work.now
        for _ in range(steps):
            step: Callable[[], None] = chance.choice((pause, pause, hold, await_flag))
            work(chance.randrange(5))
            step()
        work(1)
        lives[me] = work.now - begun[me]

    def feed() -> None:
        while len(lives) < 12:
            flag.set()
            sleep(0)

    members = [spawn(live, chance.randrange(8)) for _ in range(12)]
    feeder = spawn(feed)
    joinall([*members, feeder])
    for member in members:
        run, ready, _, longest = account_of(member)
        assert run == work.done[member]
        assert longest <= run
        assert 0 <= ready <= lives[member] - run


def test_life_that_began_while_accounts_were_kept_and_ends_later_has_none(work: Work) -> None:
    hub = get_hub()

    def live() -> None:
        work(1)
        sleep(0)
        sleep(0)

    greenlet = spawn(live)
    sleep(0)
    hub.accounted = False
    joinall([greenlet])
    assert hub.now == 0.0
    assert accounting.kept_account(greenlet) is None
    hub.accounted = True
    sleep(0)


def test_what_a_raw_greenlet_waits_within_a_greenlets_slice_is_no_run_time(work: Work) -> None:
    def outer() -> None:
        work(1)
        greenlet.greenlet(sleep).switch(0)
        work(2)

    waits, other = spawn(outer), spawn(work, 10)
    joinall([waits, other])
    assert isinstance(waits._greenscope_account, tuple), "it was not one slice"
    assert account_of(waits)[0] <= 3.0


def test_one_whose_account_was_opened_while_it_waited_may_end_in_its_first_slice(work: Work) -> None:
    hub, flag = get_hub(), Event()
    hub.accounted = False
    sleep(0)
    waiter = spawn(flag.wait)
    sleep(0)
    hub.accounted = True
    sleep(0)
    work.now += 5
    sleep(0)
    busy = spawn(work, 20)
    flag.set()
    joinall([waiter, busy])
    assert account_of(waiter) == (0.0, 20.0, 1, 0.0), "ready as long as the other one had the turn"
    assert account_of(busy) == (20.0, 0.0, 1, 20.0)


def test_one_slice_is_a_life_without_a_wait(work: Work) -> None:
    task = spawn(work, 3)
    joinall([task])
    began, run, ready, switches, longest, ended = whole_account_of(task)
    assert (run, ready, switches, longest, ended - began) == (3.0, 0.0, 1, 3.0, 3.0)
