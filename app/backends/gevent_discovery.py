"""What exists already when watching begins, and what a greenlet is when it is first seen.

One pass over the collector's lists, inside gevent's own compiled function, finds every greenlet, with them all hubs;
one more inside `gc.get_referrers` finds the Groups and Pools. Both hold the GIL from beginning to end: a loop over
`gc.get_objects()` in Python would meet half-made tuples and break the program (gevent issue 1302), and an
`isinstance` in it would wake lazy proxies.

Nothing here calls the program's code: no repr, no name property, no `minimal_ident` (which hands out a number that
the program could see).
"""

import gc
import os
import sys
from collections.abc import Callable, Iterable
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any

import gevent
import greenlet
from gevent import Greenlet
from gevent._greenlet_primitives import TrackedRawGreenlet, get_reachable_greenlets
from gevent.hub import MAIN_THREAD_IDENT, Hub
from gevent.pool import Group

from greenscope.app.backends.frames import DEPTH, function_of, site_at, under
from greenscope.app.model import Site
from greenscope.app.natives import original

_GEVENT = os.path.dirname(os.path.abspath(gevent.__file__))
_OWN = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_in_runtime = under({_GEVENT, os.path.realpath(_GEVENT)})

#: whether the C-level greenlet runs or is parked: begun, and not ended
is_begun: Callable[[Any], bool] = greenlet.greenlet.__bool__
is_dead: Callable[[Any], bool] = greenlet.greenlet.dead.__get__


def hidden(file: str) -> bool:
    """Tell whether a file is gevent's own; compiled parts name theirs as they were built."""
    return _in_runtime(file) or file.startswith("src/gevent/")


def thread_ident() -> int:
    """Return the native thread that runs this, patched or not."""
    return _get_ident()


_get_ident: Callable[[], int] = original("_thread", "get_ident")
start_new_thread: Callable[..., int] = original("_thread", "start_new_thread")
allocate_lock: Callable[[], Any] = original("_thread", "allocate_lock")


def thread_name(ident: int, hub: Any) -> str:
    """Return a name for a hub's thread: `main`, the hub's own name, or the native thread's."""
    if ident == MAIN_THREAD_IDENT:
        return "main"
    name = hub.name
    if type(name) is str and name:
        return name
    threads = getattr(sys.modules.get("threading"), "_active", {})
    name = getattr(threads.get(ident), "_name", None)
    return name if type(name) is str else f"thread {ident:#x}"


def find_greenlets() -> list[Any]:
    """Return all greenlets of the process, of all threads. Holds the GIL for about 50 ns per object of the heap."""
    found: list[Any] = get_reachable_greenlets()
    return found


def find_groups() -> list[Any]:
    """Return all Groups and Pools of the process. Holds the GIL like `find_greenlets`."""
    classes = _with_subclasses(Group)
    return [found for found in gc.get_referrers(*classes) if type(found) in classes]


def _with_subclasses(cls: type) -> set[type]:
    found: set[type] = {cls}
    left: list[type] = [cls]
    while left:
        subclasses: list[type] = type.__subclasses__(left.pop())
        for sub in subclasses:
            if sub not in found:
                found.add(sub)
                left.append(sub)
    return found


def hub_of(found: Any) -> Any:
    """Return the hub above a greenlet (None: it has none, as a main greenlet)."""
    for _ in range(DEPTH):
        if found is None or issubclass(type(found), Hub):
            return found
        found = found.parent
    return None


def is_group(found: Any) -> bool:
    """Tell whether this is a Group or Pool, without asking the object itself."""
    return issubclass(type(found), Group)


def is_greenlet(found: Any) -> bool:
    """Tell whether this is one of gevent's Greenlets, not a raw one."""
    return issubclass(type(found), Greenlet)


def is_spawned_raw(found: Any) -> bool:
    """Tell whether this comes from `spawn_raw`, as far as its class says (it does while gevent tracks the tree)."""
    return type(found) is TrackedRawGreenlet


def groups_linked_to(links: Iterable[Any]) -> list[Any]:
    """Return the Groups whose `_discard` is among these links: those that the greenlet was added to."""
    return [
        link.__self__
        for link in links
        if type(link) is MethodType and is_group(link.__self__) and link.__func__.__name__ == "_discard"
    ]


def links_before_start(found: Any) -> list[Any]:
    """Return the links of a Greenlet that has not begun (one that has hides them from the collector)."""
    for referent in gc.get_referents(found):
        if type(referent) is list:
            return referent
    return []


def what_runs(run: Any) -> "CodeType | tuple[str, str, int]":
    """Return what a greenlet was told to run: its code, or (name, file, line). Keeps nothing of it alive."""
    kind = type(run)
    if kind is MethodType:
        run = run.__func__
        kind = type(run)
    if kind is FunctionType:
        code: CodeType = run.__code__
        if run.__qualname__ is code.co_qualname:
            return code
    return function_of(run)


def told(function: "CodeType | tuple[str, str, int] | None") -> tuple[str, str, int]:
    """Return (name, file, line) of what an entry runs."""
    if function is None:
        return "<raw greenlet>", "", 0
    if isinstance(function, CodeType):
        return function.co_qualname, function.co_filename, function.co_firstlineno
    return function


def outermost_code(frame: FrameType | None) -> CodeType | None:
    """Return the code in which a stack begins: what a raw greenlet was told to run."""
    code = None
    while frame is not None:
        code, frame = frame.f_code, frame.f_back
    return code


def site_of_origin(origin: Any) -> Site | None:
    """Return where a greenlet was spawned: the innermost place that is not gevent's."""
    if origin is None:
        return None
    if type(origin) is tuple:
        code, lasti = origin
        return site_at(code, lasti)
    first = origin
    for _ in range(DEPTH):
        if not _in_runtime(origin.f_code.co_filename):
            break
        if origin.f_back is None:
            origin = first
            break
        origin = origin.f_back
    code = origin.f_code
    return Site(code.co_filename, origin.f_lineno, code.co_qualname)


def caller_outside(depth: int) -> "tuple[CodeType, int] | None":
    """Return (code, instruction) of the innermost caller that is not gevent's."""
    frame: FrameType | None
    try:
        frame = sys._getframe(depth)
    except ValueError:
        return None
    while frame is not None and _in_runtime(frame.f_code.co_filename):
        frame = frame.f_back
    return None if frame is None else (frame.f_code, frame.f_lasti)
