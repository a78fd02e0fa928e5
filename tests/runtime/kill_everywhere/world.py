"""The greenlets of one run of a scenario, and the one moment at which one of them is interrupted."""

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from greenscope.runtime import Greenlet, GreenletExit, get_hub, joinall, killall, sleep
from greenscope.runtime.waiting import interrupt

#: more moments than any scenario here has: reaching it means that one never ends
MOST_MOMENTS = 3000


class Injected(Exception):
    """What is raised at the Nth moment, when it is no kill."""


class World:
    """The greenlets of one run of a scenario, and the one moment at which one of them is interrupted."""

    def __init__(self, moment: int, error: Any) -> None:
        self.tasks: list[Greenlet] = []
        self.checks: list[Callable[[], None]] = []
        self.stuck: list[Callable[[], bool]] = []
        self.fired = False
        self._left = moment
        self._error = error

    def spawn(self, function: Callable[..., Any], *args: Any) -> Greenlet:
        """Start a greenlet that may be interrupted."""
        task = Quiet(function, *args)
        task.start()
        self.tasks.append(task)
        return task

    def check(self, function: Callable[[], None]) -> None:
        """Have something asserted when all have ended."""
        self.checks.append(function)

    def never(self, function: Callable[[], bool]) -> None:
        """Have it denied, once nothing happens any more, that somebody waits for what is there to be had."""
        self.stuck.append(function)

    def begin_turn(self, ready: deque[Any]) -> None:
        """Count moments; called by the hub where a scheduler would shuffle."""
        if self.fired:
            return
        for task in self.tasks:
            if task.dead:
                continue
            self._left -= 1
            if self._left == 0:
                self.fired = True
                if task._carrier is None or self._error is GreenletExit:
                    task.kill(self._error, block=False)
                else:
                    interrupt(task._carrier, self._error)
                return


class Quiet(Greenlet):
    """A greenlet whose error is nobody's news."""

    def _report_error(self, error: BaseException, tb: Any) -> None:
        pass


@contextmanager
def moments(world: World) -> Iterator[None]:
    """Let a world count the turns of this thread's hub."""
    hub = get_hub()
    hub._shuffle = world.begin_turn
    try:
        yield
    finally:
        hub._shuffle = None


def run_once(scenario: Callable[[World], None], moment: int, error: Any) -> bool:
    """Run a scenario with an interrupt at one moment, and check what is left; False when the moment never came."""
    world = World(moment, error)
    hub = get_hub()
    with moments(world):
        scenario(world)
        joinall(world.tasks, timeout=1000)  # whoever waits for the victim in vain is let go afterwards
        assert not any(function() for function in world.stuck), "somebody waits for what is there"
    killall(world.tasks)
    for _ in range(3):
        sleep(0)
    for check in world.checks:
        check()
    assert [task for task in world.tasks if task.has_links()] == []
    assert len(hub.timers) == 0
    assert not hub.ready
    assert not hub.link_calls
    assert hub.holds == 0
    assert hub.poller.refs == 0
    return world.fired


def run_everywhere(scenario: Callable[[World], None], error: Any) -> int:
    """Run a scenario for N = 1, 2, 3, ... until the moment never comes; returns how many there were."""
    for moment in range(1, MOST_MOMENTS):
        try:
            if not run_once(scenario, moment, error):
                return moment - 1
        except BaseException:
            print(f"interrupted at moment {moment} with {error!r}", file=sys.stderr)
            raise
    raise AssertionError("the scenario does not end")


def none_missing(some: Counter[int], among: Counter[int]) -> None:
    """Assert that all of `some` are `among` the others, as often."""
    assert some - among == Counter()


def equal(*values: Any) -> None:
    """Assert that all are the same."""
    assert len(set(values)) == 1, values
