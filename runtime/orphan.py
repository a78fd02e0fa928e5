"""A child that was forked inside a RuntimeThread: what it goes on with, and how it ends.

Of the parent's threads the child has the one that forked, and of that thread's greenlets
the one that forked. Nobody is left who could wait for its outcome or stop the thread. So
the child ends when there is nothing more to do in it, as a program of its own would:

    forked in                 ends when                          status
    the function of run()     the function has ended             0; 1 when it raised; that of its SystemExit
    any other greenlet        it and all it spawned have ended   the same, of that greenlet

Standard output and error are flushed; functions registered with `atexit` are the parent's
and don't run, as in the children of `multiprocessing`.
"""

import os
import sys
from typing import Any, NoReturn

from greenlet import GreenletExit

from greenscope.runtime.exceptions import LoopExit
from greenscope.runtime.greenlet import Greenlet

__all__ = ["end_orphan"]


def end_orphan(forker: Any, error: BaseException | None) -> NoReturn:
    """End this process. `error` is what came out of the main greenlet; `forker` the greenlet that forked, or None."""
    status = 0
    if isinstance(error, SystemExit):
        status = status_of(error)
    elif isinstance(forker, Greenlet):
        status = 0 if forker.successful() else 1  # its error was reported when it failed
    elif error is not None and not isinstance(error, GreenletExit | LoopExit):
        sys.excepthook(type(error), error, error.__traceback__)
        status = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # there is none, nobody reads it any more, or it is closed
    os._exit(status)


def status_of(error: SystemExit) -> int:
    """Return the exit status that a SystemExit asks for; a text goes to stderr, as the interpreter does."""
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1
