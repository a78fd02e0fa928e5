"""Somebody's program, run as Python itself would run it: a script, a module, with its own arguments.

`sys.argv`, `sys.path[0]` and `__main__` are the program's. What it raises is reported as
Python would report it, without our frames, and becomes the exit status.
"""

import os
import runpy
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

#: the status of a program that Ctrl-C ended, as shells know it
INTERRUPTED = 130


class NoProgram(Exception):
    """The program to run is not there; the message names it."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: the path of a script, or a module's name, and its arguments."""

    target: str
    arguments: tuple[str, ...] = ()
    module: bool = False

    @property
    def name(self) -> str:
        """What people call it."""
        return self.target if self.module else os.path.basename(self.target.rstrip("/"))

    def check(self) -> None:
        """Raise NoProgram for a script that is not there."""
        if not self.module and not Path(self.target).exists():
            raise NoProgram(f"SCRIPT: there is no file {self.target!r}")

    def run(self) -> None:
        """Run it in this thread, as `__main__`. Blocks; raises what it raises."""
        sys.argv = [self.target, *self.arguments]
        if self.module:
            sys.path.insert(0, os.getcwd())
            runpy.run_module(self.target, run_name="__main__", alter_sys=True)
        else:
            if os.path.isfile(self.target):
                sys.path.insert(0, os.path.dirname(os.path.abspath(self.target)))
            runpy.run_path(self.target, run_name="__main__")


def run_to_status(function: Callable[[], object]) -> int:
    """Call a program's main function; returns the exit status that Python would give it. Blocks."""
    try:
        function()
    except SystemExit as error:
        return exit_status(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException as error:
        report(error)
        return 1
    return 0


def exit_status(error: SystemExit) -> int:
    """Return the status that a SystemExit stands for, printing its text as Python does."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def report(error: BaseException) -> None:
    """Print a traceback that begins in the program, not in the machinery that runs it."""
    traceback.print_exception(type(error), error, own_frames(error.__traceback__))


def own_frames(tb: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the program's first frame on (all of it when none is the program's)."""
    machinery = {__file__, runpy.__file__, "<frozen runpy>"}
    own = tb
    while own is not None and own.tb_frame.f_code.co_filename in machinery:
        own = own.tb_next
    return own if own is not None else tb
