"""The seeded scheduler and the virtual clock."""

import time

import pytest

from greenscope.runtime import Greenlet, Timeout, get_hub, joinall, sleep, spawn, spawn_later, testing


def order_of_turns(seed: int) -> list[int]:
    seen: list[int] = []

    def task(n: int) -> None:
        for _ in range(3):
            seen.append(n)
            sleep(0)

    with testing.seeded_scheduler(seed):
        joinall([spawn(task, n) for n in range(6)])
    return seen


def test_scheduler_repeats_a_seed_and_differs_between_seeds() -> None:
    assert order_of_turns(1) == order_of_turns(1)
    assert len({tuple(order_of_turns(seed)) for seed in range(8)}) > 4


def test_scheduler_leaves_callbacks_in_order() -> None:
    seen: list[int] = []
    with testing.seeded_scheduler(3):
        for n in range(20):
            get_hub().run_callback(seen.append, n)
            spawn(lambda: None)
        sleep(0)
        sleep(0)
    assert seen == list(range(20))


def test_scheduler_prints_its_seed_when_the_block_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), testing.seeded_scheduler(42):
        _ = 1 / 0
    assert "seed 42" in capsys.readouterr().err
    assert get_hub()._shuffle is None


def test_clock_jumps_over_sleeps_in_order() -> None:
    woke: list[tuple[str, float]] = []
    began = time.monotonic()
    with testing.virtual_clock(start=100.0) as clock:

        def nap(name: str, seconds: float) -> None:
            sleep(seconds)
            woke.append((name, clock()))

        joinall([spawn(nap, "day", 86400), spawn(nap, "hour", 3600), spawn(nap, "second", 1)])
    assert woke == [("second", 101.0), ("hour", 3700.0), ("day", 86500.0)]
    assert clock.jumps == 3
    assert time.monotonic() - began < 1


def test_clock_stands_still_while_something_is_ready() -> None:
    with testing.virtual_clock() as clock:
        at = clock()
        for _ in range(50):
            sleep(0)
        assert clock() == at


def test_clock_advances_by_hand_but_never_back() -> None:
    with testing.virtual_clock() as clock:
        fired: list[int] = []
        later = spawn_later(5, fired.append, 1)
        clock.advance(5)
        sleep(0)
        later.join()
        assert fired == [1]
        assert clock.jumps == 0
        with pytest.raises(ValueError, match="negative"):
            clock.advance(-1)


def test_clock_moves_the_timers_that_it_finds_and_leaves() -> None:
    hub = get_hub()
    before = spawn_later(30, lambda: None)
    with testing.virtual_clock(start=1e9) as clock:
        within = spawn_later(60, lambda: None)
        before.join()
        assert clock() == pytest.approx(1e9 + 30, abs=0.5)
    deadline = hub.timers.next_deadline()
    assert deadline is not None
    assert deadline - hub.clock() == pytest.approx(30, abs=0.5)
    within.kill()


def test_clock_lets_time_outs_expire_at_once() -> None:
    with testing.virtual_clock() as clock:
        at = clock()
        with pytest.raises(Timeout), Timeout(600):
            sleep(3600)
        assert clock() - at == pytest.approx(600)


def test_clock_within_a_clock_gives_way_again() -> None:
    with testing.virtual_clock(start=0.0) as outer:
        with testing.virtual_clock(start=1000.0) as inner:
            sleep(5)
            assert inner() == 1005.0
        sleep(7)
        assert outer() == 7.0


def test_run_returns_the_value_and_leaves_the_hub_as_it_was() -> None:
    hub = get_hub()

    def task(n: int, *, factor: int) -> int:
        sleep(1000)
        return n * factor

    assert testing.run(task, 6, factor=7) == 42
    assert hub._shuffle is None
    assert hub.clock is time.monotonic
    assert "_sleep" not in vars(hub)


def test_run_raises_what_the_function_raises_and_prints_the_seed_only(capfd: pytest.CaptureFixture[str]) -> None:
    def task() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        testing.run(task, seed=7)
    stderr = capfd.readouterr().err
    assert "seed 7" in stderr
    assert "Traceback" not in stderr


def test_run_takes_the_real_clock_and_refuses_others() -> None:
    assert testing.run(lambda: get_hub().clock is time.monotonic, clock="real")
    with pytest.raises(ValueError, match="virtual"):
        testing.run(lambda: None, clock="lunar")


def test_run_finds_a_race_within_a_few_seeds() -> None:
    def lost_update() -> int:
        total = [0]

        def add() -> None:
            seen = total[0]
            sleep(0)
            total[0] = seen + 1

        def once(previous: Greenlet | None) -> None:
            if previous is not None and previous.started:
                sleep(0)
            add()

        first = spawn(once, None)
        joinall([first, spawn(once, first)])
        return total[0]

    assert {testing.run(lost_update, seed=seed) for seed in range(20)} == {1, 2}
