"""Whose an error is that comes out of an observer's callback.

Python runs a signal's handler between two lines of whatever its thread is at, be that an observer's. What the handler
raises, Ctrl-C's KeyboardInterrupt above all, is meant for the program: the callback has only been cut short. So has one
that finds the stack or the memory at its end.

A handler is known in a traceback by its code, or by its call: with the number of its signal and the frame that it
interrupts. One that has put another in its place since is not installed any more, and one may drop its arguments.
"""

import signal
from functools import partial
from inspect import CO_VARARGS
from itertools import pairwise
from types import FrameType, FunctionType, MethodType, TracebackType
from typing import Any

#: the state of the program in which it called, and no fault of the callback
AT_THE_END = (RecursionError, MemoryError)


def is_programs(error: BaseException) -> bool:
    """Tell whether an error out of a callback is the program's: a signal's handler has raised it there."""
    if isinstance(error, KeyboardInterrupt):  # of Python's own handler, which is in no traceback
        return True
    signals = signal.valid_signals()
    installed = {code_of(signal.getsignal(number)) for number in signals}
    tb: TracebackType | None = error.__traceback__
    while tb is not None and tb.tb_next is not None:
        frame = tb.tb_next.tb_frame
        if frame.f_code in installed or handles(frame, tb.tb_frame, signals):
            return True
        tb = tb.tb_next
    return False


def handles(frame: FrameType, interrupted: FrameType, signals: set[Any]) -> bool:
    """Tell whether a frame was called as a signal's handler is: (number, interrupted frame)."""
    code = frame.f_code
    values = frame.f_locals
    given = [values.get(name) for name in code.co_varnames[: code.co_argcount]]
    if code.co_flags & CO_VARARGS:
        rest = values.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount])
        if type(rest) is tuple:
            given += rest
    return any(
        second is interrupted and type(first) in (int, signal.Signals) and first in signals
        for first, second in pairwise(given)
    )


def code_of(handler: Any) -> Any:
    """Return the code of a handler: a function, a method, a partial, an object that can be called; None without."""
    while isinstance(handler, partial):
        handler = handler.func
    if not isinstance(handler, FunctionType | MethodType):
        handler = type(handler).__call__ if callable(handler) else None
    return getattr(handler, "__code__", None)
