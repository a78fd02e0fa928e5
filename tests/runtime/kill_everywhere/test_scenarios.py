"""Each scenario, interrupted at each of its moments, and with its turns in any order."""

from collections.abc import Callable
from typing import Any

import pytest

from greenscope.runtime import GreenletExit, Timeout, get_hub, joinall, killall, sleep, testing
from tests.runtime.kill_everywhere.scenarios import SCENARIOS
from tests.runtime.kill_everywhere.world import MOST_MOMENTS, Injected, World, run_everywhere


@pytest.mark.parametrize("error", [GreenletExit, Injected("here"), Timeout(5)], ids=["kill", "error", "timeout"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_nothing_is_left_over(scenario: Callable[[World], None], error: Any) -> None:
    with testing.virtual_clock():
        assert run_everywhere(scenario, error) > 3


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_any_order_of_turns_ends_the_same(scenario: Callable[[World], None]) -> None:
    for seed in range(20):
        with testing.seeded_scheduler(seed), testing.virtual_clock():
            world = World(MOST_MOMENTS, None)
            scenario(world)
            joinall(world.tasks, timeout=1000)
            killall(world.tasks)
            for _ in range(3):
                sleep(0)
            for check in world.checks:
                check()
            assert len(get_hub().timers) == 0
