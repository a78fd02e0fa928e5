"""What a watched program pays for: the three hooks that run for every greenlet.

They are closures over the few things that they touch, since a closure's variable is
read faster than an attribute. Everything that can be done per tick instead of per event is
done in `NativeProbe.drain`.

The buffer is one flat list, WIDTH entries a note: to extend it costs a third of making a
tuple that stays, and nothing more for the garbage collector to go through.

    on_adopted      what lived already, or is a raw greenlet: no place, no parent
    on_spawned      "spawned", t, id, hub, function, parent id, code, instruction, groups
                    groups: numbers of those it was put into before, None for none
    on_lived        "ended", t, kind, ids, accounts: a list each, one note a batch
    on_killed       kind, t, id, account: for one that ends alone
    on_failed       kind, t, id, account, exc_info
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
from typing import Any, NamedTuple

import greenscope.runtime
from greenscope.app.backends.frames import under
from greenscope.app.breath import breathe
from greenscope.runtime.greenlet import Greenlet
from greenscope.runtime.instruments import STARTED, hooks, write
from greenscope.runtime.interruption import is_programs
from greenscope.runtime.joinable import NEW

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
#: entries of the buffer that make one note
WIDTH = 9
#: a birth, and an end without a kill or an error
BORN, LIVED = "spawned", "succeeded"
#: ends that make one note at most
BATCH = 500
#: what values, or names, are when there are none
NONE = repeat(None)
#: greenlets that a measurement of the hooks pretends to watch
MEASURED = 200


class Hooks(NamedTuple):
    """The hooks over one registry."""

    on_spawned: Callable[[Any], None]
    on_adopted: Callable[[Any], bool]
    on_lived: Callable[[list[Any]], None]
    on_killed: Callable[[list[Any]], None]
    on_failed: Callable[[list[Any]], None]
    on_renamed: Callable[[Any], None]
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

    `named` gets the names, by id, of those that were given one; `groups` holds references to the groups
    that are known, and `adopt_group` registers another one.
    """
    ids = count(1)
    note = buffer.extend
    limit *= WIDTH
    frame_at = sys._getframe
    clock = monotonic
    files = _BETWEEN
    forget = alive.pop
    #: a reference to who spawned last, and its id: most have many children in a row
    latest: Any = None
    latest_id: int | None = None
    #: what of the program spawned last
    own_code: Any = None

    def on_spawned(greenlet: Any) -> None:
        nonlocal latest, latest_id, own_code
        id = next(ids)
        try:
            greenlet._greenscope_id = id
        except Exception as error:  # a __setattr__ of the program's own
            write(greenlet, "_greenscope_id", id)
            if is_programs(error):
                raise
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
        if spawner is latest:
            parent = latest_id
        else:
            try:
                parent = spawner()._greenscope_id  # now: the parent may be gone when this is read
            except AttributeError:
                parent = None
            if parent is not None:
                latest, latest_id = spawner, parent  # no other thread comes in between: there is no call
        into = greenlet._greenscope_groups
        note((BORN, clock(), id, greenlet.hub, greenlet._run, parent, code, frame.f_lasti, into))
        if greenlet._name is not None:
            named[id] = greenlet._name

    def on_adopted(greenlet: Any) -> bool:
        """Register it; False when that could not be noted."""
        nonlocal latest
        latest = None  # it may have another id now
        id = greenlet._greenscope_id = next(ids)
        alive[id] = greenlet
        if len(buffer) >= limit:
            drop(BORN)
            return False
        hub = getattr(greenlet, "hub", None)
        note((BORN, clock(), id, hub, getattr(greenlet, "_run", None), None, None, 0, None))
        return True

    def on_lived(greenlets: list[Any]) -> None:
        if len(greenlets) > 1:
            end_all(LIVED, greenlets)
            return
        greenlet: Any = greenlets[0]
        id: Any = greenlet._greenscope_id
        found = forget(id, None)  # what take() and end() do, without the calls
        if found is not greenlet:
            if found is not None:
                alive[id] = found
        elif len(buffer) < limit:
            note((LIVED, clock(), id, greenlet._greenscope_account, None, None, None, None, None))
        else:
            lose(LIVED, id)

    def on_killed(greenlets: list[Any]) -> None:
        end_all("killed", greenlets)

    def end_all(kind: str, greenlets: list[Any]) -> None:
        """Note the ends of a batch, of those that are known."""
        if len(greenlets) > BATCH:
            for at in range(0, len(greenlets), BATCH):
                end_all(kind, greenlets[at : at + BATCH])
            return
        ended = [greenlet._greenscope_id for greenlet in greenlets]
        found = list(map(forget, ended, NONE))
        if any(map(is_not, found, greenlets)):  # some lived before we watched, were never started, or ended already
            alive.update((id, one) for id, one in zip(ended, found, strict=True) if one is not None)
            greenlets = [one for one in greenlets if take(one._greenscope_id, one)]
            ended = [greenlet._greenscope_id for greenlet in greenlets]
            if not ended:
                return
        if len(buffer) < limit:
            accounts = [greenlet._greenscope_account for greenlet in greenlets]
            note(("ended", clock(), kind, ended, accounts, None, None, None, None))
        else:
            for id in ended:
                lose(kind, id)

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
            note((kind, clock(), id, greenlet._greenscope_account, exc_info, None, None, None, None))
        else:
            lose(kind, id)

    def lose(kind: str, id: int) -> None:
        named.pop(id, None)
        drop(kind)

    def on_failed(greenlets: list[Any]) -> None:
        for greenlet in greenlets:
            id: Any = greenlet._greenscope_id
            if take(id, greenlet):
                end("killed" if id in killing else "failed", id, greenlet, greenlet._exc_info)

    def on_renamed(greenlet: Any) -> None:
        id: Any = greenlet._greenscope_id
        if lives(id, greenlet):
            named[id] = greenlet._name

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
            if isinstance(greenlet, Greenlet) and greenlet._state == NEW:  # its start will tell
                number = number_of(group)
                others = [one for one in greenlet._greenscope_groups or () if one != number and one in groups]
                into = tuple([*others, number] if kind == "grouped" else others) or None
                write(greenlet, "_greenscope_groups", into)
        elif len(buffer) < limit:
            note((kind, clock(), id, number_of(group), None, None, None, None, None))
        else:
            drop(kind)

    def number_of(group: Any) -> int:
        number: int = getattr(group, "_greenscope_id", 0)
        known = groups.get(number)
        return number if known is not None and known() is group else adopt_group(group)

    return Hooks(
        on_spawned,
        on_adopted,
        on_lived,
        on_killed,
        on_failed,
        on_renamed,
        on_kill_requested,
        on_grouped,
        on_ungrouped,
    )


class _Twin:
    """Looks to the hooks like a greenlet."""

    hub = _name = _run = None
    _greenscope_account = _greenscope_groups = None
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
        breathe()
        hooks = make_hooks({}, [], MEASURED * 2, {}, {}, {}, lambda _: 0, lambda _: None)
        twins = [_Twin() for _ in range(MEASURED)]
        begin = perf_counter_ns()
        for twin in twins:
            twin.start(hooks.on_spawned)
        hooks.on_lived(twins)
        best = min(best, (perf_counter_ns() - begin) * 1e-9 / MEASURED)
    return best
