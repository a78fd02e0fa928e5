"""What lives in a hub, and what would not die there: found, killed and described when somebody stops it.

No list of greenlets is kept for this rare question. The hub knows its carriers, and the
collector knows what else has the hub as its parent.
"""

import gc
import os
import sys
import threading
from dataclasses import dataclass
from time import monotonic
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from greenscope.runtime.carriers import Carrier
from greenscope.runtime.greenlet import Greenlet
from greenscope.runtime.hub import Hub
from greenscope.runtime.waiting import park_until
from greenscope.runtime.waits import kill, wait

__all__ = ["SurvivorRecord", "end_greenlets", "end_running", "running_survivor"]

#: seconds between two looks at a greenlet that does not yield, when the interpreter ends
LOOK = 0.01

_RUNTIME_FILES = os.path.dirname(os.path.abspath(__file__)) + os.sep


@dataclass(frozen=True, slots=True)
class SurvivorRecord:
    """What stop() could not end: `kind` is "greenlet", "main" or "thread", `place` is file:line in function."""

    kind: str
    name: str
    place: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} at {self.place}"


def living_greenlets(hub: Hub) -> list[Any]:
    """Return the Greenlets and raw greenlets of a hub that have not ended; in its thread.

    Whatever runs has the hub as its parent, so the collector knows it: no list has to be kept for this rare question.
    (gc.get_objects() would break tuples that other threads are just making.)
    """
    found: dict[int, Any] = {}
    for raw in gc.get_referrers(hub):
        if isinstance(raw, Carrier):
            if raw.task is not None and not raw.task.dead:
                found[id(raw.task)] = raw.task
            elif raw.waiting_on is not None:  # in the callback of a link
                found[id(raw)] = raw
        elif isinstance(raw, greenlet) and raw.parent is hub and raw and raw is not getcurrent():
            found[id(raw)] = raw
    for entry in list(hub.ready):
        if isinstance(entry, Greenlet) and not entry.dead:
            found[id(entry)] = entry
    for _deadline, _serial, timer in list(hub.timers.heap):
        for arg in timer.args if timer.pending else ():
            if isinstance(arg, Greenlet) and not arg.dead:
                found[id(arg)] = arg
    return list(found.values())


def end_greenlets(hub: Hub, deadline: float) -> list[SurvivorRecord]:
    """Kill whatever lives in a hub until nothing does or it is `deadline` (monotonic); returns what lives on. Blocks.

    In its thread's main greenlet. Whatever survives the first kill gets a second one after half of the time.
    """
    begin = monotonic()
    half = begin + (deadline - begin) / 2
    killed: set[int] = set()
    again = False
    living = living_greenlets(hub)
    while living:
        now = monotonic()
        if now >= deadline:
            break
        if now >= half and not again:
            again = True
            killed.clear()
        for one in living:
            if id(one) not in killed:
                killed.add(id(one))
                kill(one)
        wait_some(living, (deadline if again else half) - now)
        living = living_greenlets(hub)
    survivors = [survivor(one) for one in living]
    pool = hub._threadpool
    if pool is not None:
        survivors += [SurvivorRecord("thread", name, place) for name, place in pool.stop(deadline)]
    return survivors


def wait_some(living: list[Any], seconds: float) -> None:
    """Wait until all are dead, or `seconds`; raw greenlets, which have no links, for a moment. Blocks; never raises."""
    tasks = [one for one in living if isinstance(one, Greenlet)]
    try:
        if tasks:
            wait(tasks, max(0.0, seconds))
        else:  # raw greenlets have no links
            park_until(living, min(0.01, max(0.0, seconds)))
    except BaseException:
        pass  # what a dying greenlet raises into the main greenlet changes nothing: we are ending


def survivor(one: Any) -> SurvivorRecord:
    """Describe a greenlet that lives; in its hub's thread."""
    name = one.name if isinstance(one, Greenlet) else f"raw greenlet {id(one):#x}"
    return SurvivorRecord("greenlet", str(name)[:200], place_of(one.gr_frame))


def running_survivor(hub: Hub) -> SurvivorRecord:
    """Describe what keeps a hub's thread busy; from another thread."""
    frame = sys._current_frames().get(hub.thread_ident)
    running = None if hub.current is hub else hub.current
    task = getattr(running, "task", None) or running
    while frame is not None and frame.f_back is not None and frame.f_back.f_code is not Carrier.run.__code__:
        if frame.f_code.co_filename.startswith(_RUNTIME_FILES) is False:
            break
        frame = frame.f_back
    kind = "greenlet" if task is not None else "thread"
    name = getattr(task, "_name", None) or getattr(task, "__name__", None) or "running greenlet"
    return SurvivorRecord(kind, str(name)[:200], place_of(frame))


def place_of(frame: Any) -> str:
    """Return `file:line in function` of the innermost frame outside of the runtime."""
    innermost = frame
    while frame is not None and frame.f_code.co_filename.startswith(_RUNTIME_FILES):
        frame = frame.f_back
    frame = frame or innermost
    if frame is None:
        return "unknown place"
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


def end_running(thread: threading.Thread, hub: Hub, seconds: float) -> None:
    """Get a thread out of a greenlet that does not yield, before the interpreter ends; from another thread. Blocks.

    A thread that asks for the interpreter's lock while that goes down is ended where it stands: the system unwinds its
    stack. A greenlet's cannot be unwound: the frames below it belong to others, and lie in the heap by now. That ends
    in a crash. So GreenletExit is raised wherever the thread is, as often as it is swallowed, for at most `seconds`: a
    call into C can't be interrupted.
    """
    try:
        from ctypes import c_ulong, py_object, pythonapi
    except ImportError:
        return
    begin = monotonic()
    interval = sys.getswitchinterval()
    try:
        while thread.is_alive() and (elapsed := monotonic() - begin) < seconds:
            look = LOOK
            if elapsed > seconds / 2:  # it is swallowed: raise the next one while the last is being handled
                look = 0.0
                sys.setswitchinterval(1e-6)
            turns = hub.turns
            thread.join(look)
            if hub.turns == turns and thread.is_alive() and runs_program(sys._current_frames().get(thread.ident or 0)):
                pythonapi.PyThreadState_SetAsyncExc(c_ulong(thread.ident or 0), py_object(GreenletExit))
    finally:
        sys.setswitchinterval(interval)


def runs_program(frame: Any) -> bool:
    """Return True when a thread that stands in this frame runs a function of the program in a greenlet."""
    found = False
    while frame is not None:
        if frame.f_code in _CALLERS:
            return found
        found = found or not frame.f_code.co_filename.startswith(_RUNTIME_FILES)
        outermost, frame = frame, frame.f_back
    return found and outermost.f_code.co_filename != threading.__file__  # else in a raw greenlet


#: what calls the functions of the program
_CALLERS = (Carrier.run.__code__, Carrier.run_links.__code__)
