"""Whose code a file is: the program's, a library's, the runtime's, or the dashboard's own.

A greenlet's place is the innermost line of the program itself: below it stand the runtime that parks it and the
standard library that it called, above it, in a main greenlet, what started the program. The demo is a program like any
other. A program that is all library (`-m http.server`) stands where the library does.
"""

import os
import sysconfig
from collections.abc import Callable
from types import FrameType

from greenscope.app.backends.frames import place_of, under
from greenscope.app.model import Site

_APP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_APPS = {_APP, os.path.realpath(_APP)}
_STANDARD = sysconfig.get_path("stdlib")
_PACKAGES = ("site-packages", "dist-packages")
_in_package = under({os.path.dirname(_APP), *_APPS})
_in_app = under(_APPS)
_in_demo = under({os.path.join(folder, "demo") for folder in _APPS})
_in_library = under({_STANDARD, os.path.realpath(_STANDARD)})
#: the command that started us is nobody's program
_COMMAND = os.path.join(sysconfig.get_path("scripts"), "greenscope")


def is_dashboard(file: str) -> bool:
    """Tell whether a file is the dashboard's own."""
    return (_in_package(file) and not _in_demo(file)) or file == _COMMAND


def is_observer(file: str) -> bool:
    """Tell whether a file is of the part that watches: hooks, tracers, control; some run in the program's threads."""
    return _in_app(file) and not _in_demo(file) and not file.startswith("<")


def is_library(file: str) -> bool:
    """Tell whether a file is the standard library's."""
    return _in_library(file) and not any(part in file for part in _PACKAGES)


class Whose:
    """Judges the frames of one runtime's greenlets; `hidden` tells the runtime's own files."""

    def __init__(self, hidden: Callable[[str], bool]) -> None:
        self._hidden = hidden
        self._foreign: dict[str, bool] = {}

    def machinery(self, file: str) -> bool:
        """Tell whether a file is the runtime's or the dashboard's."""
        return self._hidden(file) or is_dashboard(file)

    def foreign(self, file: str) -> bool:
        """Tell whether a file is none of the program's, remembering the answer."""
        answer = self._foreign.get(file)
        if answer is None:
            answer = self._foreign[file] = self.machinery(file) or is_library(file)
        return answer

    def place(self, frame: FrameType | None, birth: Callable[[], tuple[str, Site | None]]) -> Site | None:
        """Return where a greenlet stands in the program; `birth` tells what was spawned, and where.

        One that has no line of the program in it, as after spawn(sleep, 10), stands where it was spawned, under the
        name of what was spawned.
        """
        if frame is None:
            return None
        found = place_of(frame, self.foreign)
        if found is not None:
            return found
        function, spawned = birth()
        if spawned is not None:
            return Site(spawned.file, spawned.line, function)
        return place_of(frame, self.machinery)


def program_site(site: Site | None) -> tuple[Site | None, bool]:
    """Return a spawn site, none if it is the dashboard's own, and whether it was that."""
    return (None, True) if site is not None and is_dashboard(site.file) else (site, False)
