"""Letting the observed program go on, in the midst of our own work.

Our thread and the program's share one interpreter. Who wants it asks for it, and gets it after the switch interval
(5 ms): so long the program could stand still for each long piece of our work. So long pieces call `breathe` as they
go, which lets go of the interpreter when they have had it for HOLD. It has to sleep for that: whoever lets go and asks
again at once, as sleep(0) does, has it back before the other has woken, which can take some tenths of a millisecond.

To get the interpreter back takes up to a switch interval, too, and both ways some time of the program's. So it is not
let go of where that is of no use: a loop that has waited calls `rested`, and its work has HOLD from there.
"""

from collections.abc import Iterator
from time import perf_counter
from typing import TypeVar

from greenscope.app.natives import native_sleep

#: seconds for which our work may keep the interpreter, and for which it then lets go of it
HOLD, PAUSE = 0.002, 0.0005

#: of what is looked at shortly, so many come between two breaths
PORTION = 256

_ItemT = TypeVar("_ItemT")
_since = 0.0


def breathe() -> None:
    """Let others have the interpreter if our work has had it for long. Blocks for PAUSE then, and until it is free."""
    if perf_counter() - _since > HOLD:
        native_sleep(PAUSE)
        rested()


def rested() -> None:
    """Note that our thread has waited without the interpreter, and has it as of now."""
    global _since
    _since = perf_counter()


def breathing(items: list[_ItemT]) -> Iterator[_ItemT]:
    """Give the items one by one, with a breath before each portion of them. Blocks as breathe() does."""
    for start in range(0, len(items), PORTION):
        breathe()
        yield from items[start : start + PORTION]
