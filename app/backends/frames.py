"""Frames turned into places: what every probe does the same way.

Frames are read from the dashboard's thread while their owners stand still or go on;
whatever is gone by then is left out. Source lines come from `linecache`, which keeps
them; a file is read once, and not at all when it is not a plain file of text.
"""

import linecache
import os
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from types import CodeType, FrameType, FunctionType
from typing import Any

from greenscope.app.model import Site, Stack

#: frames kept of one stack, from the innermost outwards
DEPTH = 60


def site_of(frame: FrameType) -> Site:
    """Return where a frame stands."""
    code = frame.f_code
    return Site(code.co_filename, frame.f_lineno or code.co_firstlineno, code.co_qualname)


def line_of(code: CodeType, lasti: int) -> int:
    """Return the line of an instruction offset in a code object (its first line when it has none)."""
    for start, end, line in code.co_lines():
        if start <= lasti < end and line is not None:
            return line
    return code.co_firstlineno


@lru_cache(maxsize=1000)
def site_at(code: CodeType, lasti: int) -> Site:
    """Return the place of an instruction: a frame remembered without keeping it alive. Remembers its answers."""
    return Site(code.co_filename, line_of(code, lasti), code.co_qualname)


def walk(frame: FrameType | None, hidden: Callable[[str], bool] = lambda _: False) -> tuple[Site, ...]:
    """Return the stack that ends in `frame`, outermost first, without frames of hidden files at its outer end.

    At most DEPTH frames, the inner ones.
    """
    sites: list[Site] = []
    while frame is not None and len(sites) < DEPTH:
        sites.append(site_of(frame))
        frame = frame.f_back
    while sites and hidden(sites[-1].file):
        sites.pop()
    sites.reverse()
    return tuple(sites)


def outside(frame: FrameType | None, ours: Callable[[str], bool]) -> FrameType | None:
    """Return the innermost frame that is not of our own files (None: all are).

    A thread can be seen inside a hook that it runs for us, at a moment's notice; that holds up nobody.
    """
    while frame is not None and ours(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def place_of(frame: FrameType | None, hidden: Callable[[str], bool]) -> Site | None:
    """Return the innermost place that is not in a hidden file (None: there is none)."""
    steps = 0
    while frame is not None and steps < DEPTH:
        if not hidden(frame.f_code.co_filename):
            return site_of(frame)
        frame = frame.f_back
        steps += 1
    return None


def with_source(frames: tuple[Site, ...]) -> Stack:
    """Add the line of source of each frame ("" where it cannot be read)."""
    return Stack(frames, tuple(source_line(site.file, site.line) for site in frames))


def source_line(file: str, line: int) -> str:
    """Return one line of a file without its indentation, cut at 200 characters; "" when it cannot be read."""
    if file.startswith("<") or not os.path.isabs(file):
        return ""
    try:
        return linecache.getline(file, line).strip()[:200]
    except Exception:
        return ""


def function_of(function: Any) -> tuple[str, str, int]:
    """Return (qualified name, file, line) of whatever a greenlet was told to run; never raises, never calls a repr."""
    for _ in range(10):
        if type(function) is FunctionType and "__wrapped__" not in function.__dict__:
            code = function.__code__
            return function.__qualname__, code.co_filename, code.co_firstlineno
        inner = attribute(function, "func") if type(function).__name__ == "partial" else None
        if inner is None:
            inner = attribute(function, "__func__")
        if inner is None:
            inner = attribute(function, "__wrapped__")
        if inner is None:
            break
        function = inner
    code = attribute(function, "__code__")
    if not isinstance(code, CodeType):
        code = attribute(attribute(type(function), "__call__"), "__code__")
    name = attribute(function, "__qualname__")
    if type(name) is not str:
        name = attribute(function, "__name__")
    if type(name) is not str:
        name = type(function).__qualname__
    if isinstance(code, CodeType):
        return name, code.co_filename, code.co_firstlineno
    return name, "", 0


def attribute(value: Any, name: str) -> Any:
    """Return an attribute of an object of the program, None when there is none or reading it raises anything."""
    try:
        return getattr(value, name, None)
    except BaseException:
        return None


def traceback_sites(tb: Any, hidden: Callable[[str], bool] = lambda _: False) -> tuple[Site, ...]:
    """Return the places of a traceback, outermost first, without hidden files at its outer end."""
    sites: list[Site] = []
    while tb is not None and len(sites) < 1000:
        code = tb.tb_frame.f_code
        sites.append(Site(code.co_filename, tb.tb_lineno or code.co_firstlineno, code.co_qualname))
        tb = tb.tb_next
    while len(sites) > 1 and hidden(sites[0].file):
        del sites[0]
    return tuple(sites[-DEPTH:])


def safe_text(value: Any, limit: int = 200) -> str:
    """Return str(value) cut at `limit` characters, or a placeholder when str() raises whatever it raises."""
    try:
        text = value if type(value) is str else str(value)
        return text if len(text) <= limit else text[: limit - 1] + "…"
    except BaseException:
        return f"<unprintable {type(value).__name__}>"


def current_frame(thread_ident: int) -> FrameType | None:
    """Return the frame that a thread executes now (None: it is gone)."""
    return sys._current_frames().get(thread_ident)


def under(directories: Iterable[str]) -> Callable[[str], bool]:
    """Return a test whether a file lies under one of the directories, remembering its answers."""
    prefixes = tuple(os.path.join(directory, "") for directory in directories)
    known: dict[str, bool] = {}

    def hidden(file: str) -> bool:
        answer = known.get(file)
        if answer is None:
            answer = known[file] = file.startswith(prefixes) or file.startswith("<frozen ")
        return answer

    return hidden
