"""Whose an error is that comes out of an observer's callback.

Python runs a signal's handler between two lines of whatever its thread is at, be that an observer's. What the handler
raises, Ctrl-C's KeyboardInterrupt above all, is meant for the program: the callback has only been cut short. So has one
that finds the stack or the memory at its end.

A handler is called with the number of its signal and the frame that it interrupts, which is how it is known in a
traceback: which handlers are installed says little, since many a one puts another in its place first.
"""

from inspect import CO_VARARGS
from types import FrameType, TracebackType

#: the state of the program in which it called, and no fault of the callback
AT_THE_END = (RecursionError, MemoryError)


def is_programs(error: BaseException) -> bool:
    """Tell whether an error out of a callback is the program's: a signal's handler has raised it there."""
    if isinstance(error, KeyboardInterrupt):  # of Python's own handler, which is in no traceback
        return True
    tb: TracebackType | None = error.__traceback__
    while tb is not None and tb.tb_next is not None:
        if handles(tb.tb_next.tb_frame, tb.tb_frame):
            return True
        tb = tb.tb_next
    return False


def handles(frame: FrameType, interrupted: FrameType) -> bool:
    """Tell whether a frame is that of a signal's handler, called with the frame that it interrupts."""
    code = frame.f_code
    values = frame.f_locals
    given = [values.get(name) for name in code.co_varnames[: code.co_argcount]]
    if code.co_flags & CO_VARARGS:
        given += values.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount]) or ()
    return any(value is interrupted for value in given)
