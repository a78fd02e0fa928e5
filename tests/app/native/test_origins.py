"""The origin of a greenlet: what it runs, and where it was spawned; one for all that are alike and come in a row."""

from itertools import pairwise
from types import MethodType
from typing import Any

from greenscope.app.backends.native import NativeProbe
from greenscope.runtime import killall, sleep, spawn
from greenscope.runtime.thread import RuntimeThread


def test_methods_of_one_object_that_are_spawned_in_a_row_share_an_origin(
    thread: RuntimeThread, probe: NativeProbe
) -> None:
    class Worker:
        def work(self) -> None:
            sleep(60)

        def rest(self) -> None:
            sleep(60)

    class Equal:
        def __call__(self, of: object = None) -> None:
            sleep(60)

        def __eq__(self, other: object) -> bool:
            raise AssertionError("a callable of the program's own is not compared")

        __hash__ = None  # type: ignore[assignment]

    def spawn_all() -> list[Any]:
        first, second = Worker(), Worker()
        greenlets = [
            spawn(run)
            for run in (
                *(first.work, first.work, first.rest, second.rest, second.rest),
                *(Equal(), Equal(), MethodType(Equal(), first), MethodType(Equal(), first), first.work),
            )
        ]
        origins = [greenlet._greenscope_origin for greenlet in greenlets]
        killall(greenlets)
        return origins

    origins = thread.call(spawn_all)
    shared = [one is other for one, other in pairwise(origins)]
    assert shared == [True, False, False, True, False, False, False, False, False]
    assert not probe.faults
