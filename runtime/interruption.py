"""Whose an error is that comes out of an observer's callback.

Python runs a signal's handler between two lines of whatever its thread is at, be that an observer's. What the handler
raises, Ctrl-C's KeyboardInterrupt above all, is meant for the program and reaches it; the callback has only been cut
short. And one that finds the stack or the memory at its end was called where the program could not go on either.
"""

import signal
from functools import partial
from types import FunctionType, MethodType, TracebackType
from typing import Any

#: the state of the program in which it called, and no fault of the callback
AT_THE_END = (RecursionError, MemoryError)


def is_programs(error: BaseException) -> bool:
    """Tell whether an error out of a callback is the program's: a signal's handler has raised it there."""
    if isinstance(error, KeyboardInterrupt):  # of Python's own handler, which is in no traceback
        return True
    handlers = {code_of(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    tb: TracebackType | None = error.__traceback__
    while handlers and tb is not None:
        if tb.tb_frame.f_code in handlers:
            return True
        tb = tb.tb_next
    return False


def code_of(handler: Any) -> Any:
    """Return the code of a handler: a function, a method, a partial, an object that can be called; None without."""
    while isinstance(handler, partial):
        handler = handler.func
    if not isinstance(handler, FunctionType | MethodType):
        handler = type(handler).__call__ if callable(handler) else None
    return getattr(handler, "__code__", None)
