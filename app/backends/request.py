"""One control request on its way from the dashboard's thread to a hub and back.

The hub answers what it saw; when the time is up before that, the control answers for it.
Whoever is first is heard.
"""

from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic

from greenscope.app.model import ControlResult

Answer = Future[ControlResult]


class Request:
    """One request on its way; `begun` once the hub has taken it up, `late` makes the answer of the time-out."""

    __slots__ = ("begun", "deadline", "future", "late")

    def __init__(self, timeout: float, late: Callable[[], ControlResult]) -> None:
        self.future: Answer = Future()
        self.deadline = monotonic() + timeout
        self.begun = False
        self.late = late

    def answer(self, result: ControlResult) -> None:
        """Resolve the future, the first time."""
        if not self.future.done():
            try:
                self.future.set_result(result)
            except Exception:
                pass  # the other thread was faster
