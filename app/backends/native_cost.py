"""What the native hooks cost here and now: measured on twins of greenlets, in the dashboard's thread."""

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from greenscope.app.backends.native_hooks import make_hooks
from greenscope.app.backends.short_lives import Allowance
from greenscope.app.breath import breathe

#: greenlets that a measurement pretends to watch
MEASURED = 200


class _Twin:
    """Looks to the hooks like a greenlet."""

    hub = _name = _run = None
    _greenscope_groups = _greenscope_origin = None
    _greenscope_id = 0

    def spawning_greenlet(self) -> "_Twin":
        return self

    def start(self, hook: Callable[[Any], None], depth: int = 1) -> None:
        if depth:
            self.start(hook, depth - 1)
        else:
            hook(self)


def measure_hooks() -> float:
    """Return what spawn and end of a greenlet cost in hooks, seconds: the best of five, on a twin registry."""
    best = float("inf")
    for _ in range(5):
        breathe()
        hooks = make_hooks({}, [], MEASURED * 2, {}, {}, lambda _: 0, lambda *_: None, Allowance(0.0))
        twins = [_Twin() for _ in range(MEASURED)]
        begin = perf_counter_ns()
        for twin in twins:
            twin.start(hooks.on_spawned)
        hooks.on_lived(twins)
        best = min(best, (perf_counter_ns() - begin) * 1e-9 / MEASURED)
    return best
