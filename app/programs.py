"""Somebody's program, run as Python itself would run it: a script, a module, with its own arguments.

`sys.argv`, `sys.path[0]` and `__main__` are the program's. What it raises is reported as
Python would report it, without our frames, and becomes the exit status. runpy is used for modules only: of a script
it would tell the path as it was typed, which is wrong once the program changes its folder, and it takes `__main__`
away when the script has ended, from the threads and exit handlers that go on.
"""

import builtins
import os
import pkgutil
import runpy
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

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
        """Raise NoProgram for a script that is not there, or a module without a name."""
        if self.module and not self.target:
            raise NoProgram("-m: give a module's name, as package.module")
        if not self.module and (not self.target or not Path(self.target).exists()):
            raise NoProgram(f"SCRIPT: there is no file {self.target!r}")

    def run(self) -> None:
        """Run it in this thread, as `__main__`. Blocks; raises what it raises."""
        sys.argv = [self.target, *self.arguments]
        if self.module:
            sys.path.insert(0, os.getcwd())
            runpy.run_module(self.target, run_name="__main__", alter_sys=True)
            return
        path = os.path.join(os.getcwd(), self.target)
        if os.path.isfile(path) and pkgutil.get_importer(path) is None:
            run_file(path)
        else:
            run_folder(path)


def run_file(path: str) -> None:
    """Run one file of source or bytecode. Blocks."""
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    loader: SourceFileLoader | SourcelessFileLoader
    if path.endswith(".pyc"):
        loader = SourcelessFileLoader("__main__", path)
        code = loader.get_code("__main__")
    else:
        loader = SourceFileLoader("__main__", path)
        code = loader.source_to_code(loader.get_data(path), path)  # not get_code: a script leaves no bytecode behind
    execute(code, {"__file__": path, "__cached__": None, "__package__": None, "__spec__": None, "__loader__": loader})


def run_folder(path: str) -> None:
    """Run the `__main__` of a folder or of a zip archive. Blocks; raises ImportError when it has none."""
    sys.path.insert(0, path)
    importer: Any = pkgutil.get_importer(path)
    spec: Any = importer.find_spec("__main__") if importer is not None else None
    if spec is None:
        raise ImportError(f"can't find '__main__' module in {path!r}")
    own = {"__file__": spec.origin, "__cached__": spec.cached, "__package__": "", "__spec__": spec}
    execute(spec.loader.get_code("__main__"), {**own, "__loader__": spec.loader})


def execute(code: Any, own: dict[str, Any]) -> None:
    """Run code as the module `__main__`, which stays: what the program leaves behind may still look for it."""
    module = ModuleType("__main__")
    module.__dict__.update({"__doc__": None, "__builtins__": builtins, "__annotations__": {}, **own})
    sys.modules["__main__"] = module
    exec(code, module.__dict__)


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
        return error.code & 0xFF if -sys.maxsize - 1 <= error.code <= sys.maxsize else 0xFF
    tell(str(error.code))
    return 1


def report(error: BaseException) -> None:
    """Show what the program died of as Python does: by the program's excepthook, beginning in the program."""
    own = own_frames(error.__traceback__)
    if own is None and isinstance(error, ImportError):
        tell(f"{sys.executable}: {error}")  # it was never found, so nothing of it has run
        return
    error.__traceback__ = own
    try:
        sys.excepthook(type(error), error, own)
    except BaseException as failure:
        tell("Error in sys.excepthook:\n" + "".join(traceback.format_exception(failure)))
        tell("\nOriginal exception was:\n" + "".join(traceback.format_exception(error)))


def tell(text: str) -> None:
    """Write a line to stderr, unless the program has closed it."""
    try:
        sys.stderr.write(text.removesuffix("\n") + "\n")
    except (AttributeError, OSError, ValueError):
        pass


def own_frames(tb: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the program's first frame on (None: there is no frame of the program in it)."""
    machinery = (__file__, runpy.__file__, "<frozen runpy>", "<frozen importlib._bootstrap", "<frozen zipimport>")
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(machinery):
        tb = tb.tb_next
    return tb
