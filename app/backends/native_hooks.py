"""What a watched program pays for: the three hooks that run for every greenlet.

They are closures over the few things that they touch, since a closure's variable is
read faster than an attribute. Everything that can be done per tick instead of per event is
done in `NativeProbe.drain`.

The buffer is one flat list, WIDTH entries a note: to extend it costs a third of making a
tuple that stays, and nothing more for the garbage collector to go through.

    on_adopted      what lived already, or is a raw greenlet: no place, no parent
    on_spawned      "spawned", t, id, hub, function, parent id, code, instruction
                    "joined", with (parent id, groups), for one that was put into groups before
    on_succeeded    "ended", t, None, ids, times of beginning, accounts: a list each, one note a batch
                    of those killed one note each, as of those that failed
    on_failed       kind, t, id, began, account, exc_info
    others          kind, t, id, group

A note that has less is filled up with None. None holds on to a greenlet: the program's
objects go when they would have gone. A member that ends leaves its groups: its end says so,
and only one that leaves alive needs a note.
"""

import os
import sys
import sysconfig
from collections.abc import Callable
from itertools import count, repeat
from operator import is_not
from time import monotonic, perf_counter_ns
from types import MethodType
from typing import Any, NamedTuple

import greenscope.runtime
from greenscope.app.backends.frames import under
from greenscope.runtime.exceptions import GreenletExit
from greenscope.runtime.instruments import STARTED, hooks
from greenscope.runtime.pool import Group, Pool

_RUNTIME = os.path.dirname(os.path.abspath(greenscope.runtime.__file__))
_FOLDERS = {_RUNTIME, os.path.realpath(_RUNTIME)}
#: tells whether a file is the runtime's own
hidden = under(_FOLDERS)
#: what stands between a spawn and the program's line: the runtime, and the library that it extends (Popen.communicate)
_BETWEEN = frozenset(
    os.path.join(folder, name)
    for folder in (*_FOLDERS, sysconfig.get_path("stdlib"))
    for name in os.listdir(folder)
    if name.endswith(".py")
)
#: how a Group and a Pool link themselves to the end of a member
_DISCARDS = (Group._discard, Pool._discard)
#: entries of the buffer that make one note
WIDTH = 8
#: ends that make one note at most
BATCH = 500
#: what values, or names, are when there are none
NONE = repeat(None)
#: greenlets that a measurement of the hooks pretends to watch
MEASURED = 200


class Hooks(NamedTuple):
    """The hooks over one registry."""

    on_spawned: Callable[[Any], None]
    on_adopted: Callable[[Any], None]
    on_succeeded: Callable[[list[Any]], None]
    on_failed: Callable[[list[Any]], None]
    on_grouped: Callable[[Any, Any], None]
    on_ungrouped: Callable[[Any, Any], None]


def make_hooks(
    alive: dict[int, Any],
    buffer: list[Any],
    limit: int,
    killing: dict[int, float],
    named: dict[int, Any],
    groups: dict[int, Any],
    adopt_group: Callable[[Any], int],
    drop: Callable[[str], None],
) -> Hooks:
    """Return hooks that keep `alive` and note events in `buffer`, at most `limit` of them.

    `named` gets the names, by id, of those that end and were given one; `groups` holds references to the groups
    that are known, and `adopt_group` registers another one.
    """
    #: a reference to the group that was joined last, and its number
    latest_group: tuple[Callable[[], Any], int] = (lambda: None), 0
    next_id = count(1).__next__
    note = buffer.extend
    limit *= WIDTH
    frame_at = sys._getframe
    clock = monotonic
    files = _BETWEEN
    forget = alive.pop

    discards = _DISCARDS
    #: a reference to who spawned last, and its id: most have many children in a row
    latest: tuple[Any, int | None] = None, None

    def on_spawned(greenlet: Any) -> None:
        nonlocal latest
        id = next_id()
        greenlet.watch_id = id
        alive[id] = greenlet
        if len(buffer) >= limit:
            drop("spawned")
            return
        try:
            frame: Any = frame_at(hooks.depth)  # this, start(), spawn(); then the program, or a method of Group
        except ValueError:  # a thread spawns while another one starts
            frame = frame_at(STARTED)
        hooks.depth = STARTED
        code = frame.f_code
        while code.co_filename in files:
            back = frame.f_back
            if back is None:
                break
            frame = back
            code = frame.f_code
        spawner = greenlet.spawning_greenlet
        last = latest
        if spawner is last[0]:
            parent = last[1]
        else:
            try:
                parent = spawner().watch_id  # now: the parent may be gone when this is read
                latest = spawner, parent
            except AttributeError:
                parent = None
        if greenlet._links:
            into = groups_of(greenlet._links)
            if into:
                note(("joined", clock(), id, greenlet.hub, greenlet._run, (parent, into), code, frame.f_lasti))
                return
        note(("spawned", clock(), id, greenlet.hub, greenlet._run, parent, code, frame.f_lasti))

    def groups_of(links: Any) -> list[int]:
        """Return the groups of one that is started now: each has linked itself to its end."""
        into = []
        for link in links:
            if link.__class__ is MethodType and link.__func__ in discards:
                owner = link.__self__
                into.append(latest_group[1] if latest_group[0]() is owner else number_of(owner))
        return into

    def number_of(group: Any) -> int:
        nonlocal latest_group
        number: int = getattr(group, "watch_id", 0)
        known = groups.get(number)
        if known is None or known() is not group:
            number = adopt_group(group)
        latest_group = groups[number], number
        return number

    def on_adopted(greenlet: Any) -> None:
        id = greenlet.watch_id = next_id()
        alive[id] = greenlet
        hub = getattr(greenlet, "hub", None)
        note(("spawned", clock(), id, hub, getattr(greenlet, "_run", None), None, None, 0))

    def on_succeeded(greenlets: list[Any]) -> None:
        if len(greenlets) > BATCH:
            for at in range(0, len(greenlets), BATCH):
                on_succeeded(greenlets[at : at + BATCH])
            return
        values = [greenlet.value for greenlet in greenlets]
        try:
            ids = [greenlet.watch_id for greenlet in greenlets]
            known = not any(map(is_not, values, NONE)) or not any(
                issubclass(one, GreenletExit) for one in set(map(type, values))
            )
        except AttributeError:
            known = False
        if known:
            found = list(map(forget, ids, NONE))
            if any(map(is_not, found, greenlets)):  # `!=` could be the program's code
                alive.update((id, one) for id, one in zip(ids, found, strict=True) if one is not None)
                known = False
        if not known:
            greenlets, ids = one_by_one(greenlets)
        del values  # which are the program's
        names = [greenlet._name for greenlet in greenlets]
        if len(buffer) >= limit:
            for _ in ids:
                drop("succeeded")
            return
        began = [greenlet._began for greenlet in greenlets]
        note(("ended", clock(), None, ids, began, [greenlet._account for greenlet in greenlets], None, None))
        if any(map(is_not, names, NONE)):
            named.update((id, name) for id, name in zip(ids, names, strict=True) if name is not None)

    def one_by_one(greenlets: list[Any]) -> tuple[list[Any], list[int]]:
        """Note those that were killed; return the others that are known, with their ids."""
        left, ids = [], []
        for greenlet in greenlets:
            id: Any = getattr(greenlet, "watch_id", None)
            if not lives(id, greenlet):
                continue  # it lived before we watched, was never started, or ended already
            del alive[id]
            if isinstance(greenlet.value, GreenletExit):
                end("killed", id, greenlet, None)
            else:
                left.append(greenlet)
                ids.append(id)
        return left, ids

    def lives(id: Any, greenlet: Any) -> bool:
        return alive.get(id) is greenlet

    def end(kind: str, id: int, greenlet: Any, exc_info: Any) -> None:
        if len(buffer) < limit:
            note((kind, clock(), id, greenlet._began, greenlet._account, exc_info, None, None))
            if greenlet._name is not None:
                named[id] = greenlet._name
        else:
            drop(kind)

    def on_failed(greenlets: list[Any]) -> None:
        for greenlet in greenlets:
            id: Any = getattr(greenlet, "watch_id", None)
            if lives(id, greenlet):
                del alive[id]
                end("killed" if id in killing else "failed", id, greenlet, greenlet._exc_info)

    def on_grouped(group: Any, greenlet: Any) -> None:
        change("grouped", group, greenlet)

    def on_ungrouped(group: Any, greenlet: Any) -> None:
        change("ungrouped", group, greenlet)

    def change(kind: str, group: Any, greenlet: Any) -> None:
        id: Any = getattr(greenlet, "watch_id", None)
        if not lives(id, greenlet):
            return  # its start will tell
        if len(buffer) < limit:
            note((kind, clock(), id, number_of(group), None, None, None, None))
        else:
            drop(kind)

    return Hooks(on_spawned, on_adopted, on_succeeded, on_failed, on_grouped, on_ungrouped)


class _Twin:
    """Looks to the hooks like a greenlet."""

    value = hub = _name = None
    _began = 0.0
    _account = None
    _run = None
    _links = None
    watch_id = 0

    def spawning_greenlet(self) -> "_Twin":
        return self

    def start(self, hook: Callable[[Any], None], depth: int = 1) -> None:
        if depth:
            self.start(hook, depth - 1)
        else:
            hook(self)


def measure_hooks() -> float:
    """Return what spawn and end of a greenlet cost in hooks, seconds: the best of five, on a twin registry."""
    best = float("inf")
    for _ in range(5):
        hooks = make_hooks({}, [], MEASURED * 2, {}, {}, {}, lambda _: 0, lambda _: None)
        twins = [_Twin() for _ in range(MEASURED)]
        begin = perf_counter_ns()
        for twin in twins:
            twin.start(hooks.on_spawned)
        hooks.on_succeeded(twins)
        best = min(best, (perf_counter_ns() - begin) * 1e-9 / MEASURED)
    return best
