"""What a watched program pays for: the three hooks that run for every greenlet.

They are closures over the few things that they touch, since a closure's variable is
read faster than an attribute. Everything that can be done per tick instead of per event is
done in `NativeProbe.drain`.

The buffer is one flat list, WIDTH entries a note: to extend it costs a third of making a
tuple that stays, and nothing more for the garbage collector to go through.

    on_adopted      what lived already, or is a raw greenlet: no place, no parent
    on_spawned      "spawned", t, id, hub, function, parent id, code, instruction, groups
                    groups: numbers of those it was put into before, None for none
    on_succeeded    "ended", t, kind, ids, times of beginning, accounts: a list each, one note a batch,
                    another one for those of it that were killed
                    kind, t, id, began, account: for one that ends alone
    on_failed       kind, t, id, began, account, exc_info
    others          kind, t, id, group

A note that has less is filled up with None. None holds on to a greenlet, but until the next
drain to the function that it runs, and to the error with which it failed. A member that ends
leaves its groups: its end says so, and only one that leaves alive needs a note.
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
WIDTH = 9
#: a birth, and an end without a kill or an error
BORN, LIVED = "spawned", "succeeded"
#: ends that make one note at most
BATCH = 500
#: what values, or names, are when there are none
NONE = repeat(None)
builtin_id = id
#: greenlets that a measurement of the hooks pretends to watch
MEASURED = 200


class Hooks(NamedTuple):
    """The hooks over one registry."""

    on_spawned: Callable[[Any], None]
    on_adopted: Callable[[Any], bool]
    on_succeeded: Callable[[list[Any]], None]
    on_failed: Callable[[list[Any]], None]
    on_kill_requested: Callable[[Any], None]
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
    #: a reference to the group that was joined last, and its number, alone in a tuple
    latest_group: tuple[Callable[[], Any], tuple[int, ...]] = (lambda: None), ()
    next_id = count(1).__next__
    note = buffer.extend
    limit *= WIDTH
    frame_at = sys._getframe
    clock = monotonic
    files = _BETWEEN
    forget = alive.pop
    group_discard, pool_discard = _DISCARDS
    method = MethodType
    #: a reference to who spawned last, and its id: most have many children in a row
    latest: tuple[Any, int | None] = None, None
    #: what of the program spawned last
    own_code: Any = None

    def on_spawned(greenlet: Any) -> None:
        nonlocal latest, own_code
        id = next_id()
        greenlet._greenscope_id = id
        alive[id] = greenlet
        if len(buffer) >= limit:
            drop("spawned")
            return
        try:
            frame: Any = frame_at(hooks.depth)  # this, start(), spawn(); then the program, or a method of Group
        except ValueError:  # started by C alone, or a thread spawns while another one starts
            frame = frame_at(1)
        hooks.depth = STARTED
        code = frame.f_code
        while code is not own_code:
            if code.co_filename not in files:
                own_code = code
                break
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
                parent = spawner()._greenscope_id  # now: the parent may be gone when this is read
                if parent is not None:
                    latest = spawner, parent
            except AttributeError:
                parent = None
        into = None
        links = greenlet._links
        if links:
            link, last_in = links[0], latest_group
            if (
                link.__class__ is method
                and last_in[0]() is link.__self__
                and (link.__func__ is pool_discard or link.__func__ is group_discard)
                and len(links) == 1
            ):
                into = last_in[1]
            else:
                into = groups_of(links)
        note((BORN, clock(), id, greenlet.hub, greenlet._run, parent, code, frame.f_lasti, into))

    def groups_of(links: Any) -> tuple[int, ...] | None:
        """Return the groups of one that is started now: each has linked itself to its end."""
        into = []
        for link in links:
            if link.__class__ is method and (link.__func__ is pool_discard or link.__func__ is group_discard):
                into.append(number_of(link.__self__))
        return tuple(into) or None

    def number_of(group: Any) -> int:
        nonlocal latest_group
        number: int = getattr(group, "_greenscope_id", 0)
        known = groups.get(number)
        if known is None or known() is not group:
            number = adopt_group(group)
        latest_group = groups[number], (number,)
        return number

    def on_adopted(greenlet: Any) -> bool:
        """Register it; False when that could not be noted."""
        id = greenlet._greenscope_id = next_id()
        alive[id] = greenlet
        if len(buffer) >= limit:
            drop(BORN)
            return False
        hub = getattr(greenlet, "hub", None)
        note((BORN, clock(), id, hub, getattr(greenlet, "_run", None), None, None, 0, None))
        return True

    def on_succeeded(greenlets: list[Any]) -> None:
        if len(greenlets) == 1:
            greenlet: Any = greenlets[0]
            id: Any = getattr(greenlet, "_greenscope_id", None)
            if take(id, greenlet):
                value = greenlet.value
                if value is not None and issubclass(type(value), GreenletExit):
                    end("killed", id, greenlet)
                else:
                    end(LIVED, id, greenlet)
            return
        if len(greenlets) > BATCH:
            for at in range(0, len(greenlets), BATCH):
                on_succeeded(greenlets[at : at + BATCH])
            return
        values = [greenlet.value for greenlet in greenlets]
        if any(map(is_not, values, NONE)):
            kinds = {builtin_id(kind): kind for kind in map(type, values)}  # the program's metaclass may have no hash
            exits = {key for key, kind in kinds.items() if issubclass(kind, GreenletExit)}
            del kinds
            if exits:
                end_all("killed", [one for one in greenlets if builtin_id(type(one.value)) in exits])
                greenlets = [one for one in greenlets if builtin_id(type(one.value)) not in exits]
                if not greenlets:
                    return
        del values  # which are the program's
        end_all(LIVED, greenlets)

    def end_all(kind: str, greenlets: list[Any]) -> None:
        """Note the ends of a batch, of those that are known."""
        try:
            ids = [greenlet._greenscope_id for greenlet in greenlets]
            found = list(map(forget, ids, NONE))
            known = not any(map(is_not, found, greenlets))  # `!=` could be the program's code
            if not known:
                alive.update((id, one) for id, one in zip(ids, found, strict=True) if one is not None)
        except AttributeError:
            known = False
        if not known:  # some lived before we watched, were never started, or ended already
            greenlets = [one for one in greenlets if take(getattr(one, "_greenscope_id", None), one)]
            ids = [greenlet._greenscope_id for greenlet in greenlets]
            if not ids:
                return
        if len(buffer) >= limit:
            for _ in ids:
                drop(kind)
            return
        names = [greenlet._name for greenlet in greenlets]
        began = [greenlet._greenscope_began for greenlet in greenlets]
        accounts = [greenlet._greenscope_account for greenlet in greenlets]
        note(("ended", clock(), kind, ids, began, accounts, None, None, None))
        if any(map(is_not, names, NONE)):
            named.update((id, name) for id, name in zip(ids, names, strict=True) if name is not None)

    def lives(id: Any, greenlet: Any) -> bool:
        return alive.get(id) is greenlet

    def take(id: Any, greenlet: Any) -> bool:
        """Take a greenlet out of the registry, once; False when it is not there. Another thread may do the same."""
        found = forget(id, None)
        if found is not greenlet and found is not None:
            alive[id] = found
        return found is greenlet

    def end(kind: str, id: int, greenlet: Any, exc_info: Any = None) -> None:
        if len(buffer) < limit:
            note(
                (
                    kind,
                    clock(),
                    id,
                    greenlet._greenscope_began,
                    greenlet._greenscope_account,
                    exc_info,
                    None,
                    None,
                    None,
                )
            )
            if greenlet._name is not None:
                named[id] = greenlet._name
        else:
            drop(kind)

    def on_failed(greenlets: list[Any]) -> None:
        for greenlet in greenlets:
            id: Any = getattr(greenlet, "_greenscope_id", None)
            if take(id, greenlet):
                end("killed" if id in killing else "failed", id, greenlet, greenlet._exc_info)

    def on_kill_requested(greenlet: Any) -> None:
        id: Any = getattr(greenlet, "_greenscope_id", None)
        if alive.get(id, 0) is greenlet:
            now = killing[id] = clock()
            if len(buffer) < limit:
                note(("kill_requested", now, id, None, None, None, None, None, None))
            else:
                drop("kill_requested")

    def on_grouped(group: Any, greenlet: Any) -> None:
        change("grouped", group, greenlet)

    def on_ungrouped(group: Any, greenlet: Any) -> None:
        change("ungrouped", group, greenlet)

    def change(kind: str, group: Any, greenlet: Any) -> None:
        id: Any = getattr(greenlet, "_greenscope_id", None)
        if not lives(id, greenlet):
            return  # its start will tell
        if len(buffer) < limit:
            note((kind, clock(), id, number_of(group), None, None, None, None, None))
        else:
            drop(kind)

    return Hooks(on_spawned, on_adopted, on_succeeded, on_failed, on_kill_requested, on_grouped, on_ungrouped)


class _Twin:
    """Looks to the hooks like a greenlet."""

    value = hub = _name = None
    _greenscope_began = 0.0
    _greenscope_account = None
    _run = None
    _links = None
    _greenscope_id = 0

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
