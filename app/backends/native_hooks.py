"""What a watched program pays for: the three hooks that run for every greenlet.

They are closures over the few things that they touch, since a closure's variable is
read faster than an attribute. Everything that can be done per tick instead of per event is
done in `NativeProbe.drain`.

A birth is kept at the greenlet itself, `_greenscope_born` and `_greenscope_origin`, until it is told or the greenlet
has ended:

    on_spawned   birth, alive --(a tick finds it alive)---> told, the birth is taken off
                       |
                       +--(it ends before)--> on_lived: counted, or one of the few that may be told
                                              on_killed, on_failed: always told, birth and end in one note

By far the most greenlets end before anybody could have looked at them. Those cost the dashboard's
thread nothing at all: they are counted here, a batch at a time, and their birth dies with them.

Of an origin there is one for all that are spawned in a row by the same line, to run the same
function or method (each look at a method makes another object): to make one for each would be
more work for the garbage collector than for us.

The other thread takes a birth off first, and looks then whether the greenlet is still in the
registry; whoever ends is taken out of the registry first, and its birth is looked at then. So of
the two at least one sees the other (`native_intake` says what it does then), without a lock.

What is noted, besides, in order:

    "ended", t, kind, ids, accounts, births    a list each, one note a batch; births None: all were told
    "asked", t, ids                            those to be killed, of which all was told
    "failed" or "killed", t, id, account, exc_info, birth
    "kill_requested", "grouped" or "ungrouped", t, id, group, birth
    "group_closed", t, None, group

A birth in a note is what tells it, of a greenlet of which nothing was told: ("spawned", t, id, hub, name, groups,
origin), one tuple, since of a crowd each one more is work for the collector. That one is to be killed is in `killing`:
whoever tells its birth looks there, and a note is made when that was told. Nothing here holds on to a greenlet but the
registry, and to what it runs no longer than until the next end. A member that ends leaves its groups: its end says so,
and only one that leaves alive needs a note.
"""

import os
import sys
import sysconfig
from collections.abc import Callable
from itertools import compress, repeat
from operator import is_not, not_
from time import monotonic
from types import MethodType
from typing import Any, NamedTuple

import greenscope.runtime
from greenscope.app.backends.frames import under
from greenscope.app.backends.short_lives import Allowance
from greenscope.runtime.accounting import kept_account
from greenscope.runtime.carriers import Carrier
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
#: what it runs, the id of who spawned it, and where: code and instruction
Origin = tuple[Any, int | None, Any, int]
#: a birth to tell: BORN, when that was, its id, hub, name and groups, and the origin
Untold = tuple[str, float, int, Any, str | None, tuple[int, ...] | None, Origin]
#: those of a batch: the hub, and a list each of names, groups, times, and origins
Births = tuple[Any, list[str | None], list[tuple[int, ...] | None], list[float], list[Origin | None]]
#: a birth, and an end without a kill or an error
BORN, LIVED = "spawned", "succeeded"
#: ends that make one note at most
BATCH = 500
#: what is popped when there is nothing
NONE = repeat(None)


class Hooks(NamedTuple):
    """The hooks over one registry."""

    on_spawned: Callable[[Any], None]
    on_adopted: Callable[[Any], None]
    on_lived: Callable[[list[Any]], None]
    on_killed: Callable[[list[Any]], None]
    on_failed: Callable[[list[Any]], None]
    on_kill_requested: Callable[[list[Any]], None]
    on_grouped: Callable[[Any, Any], None]
    on_ungrouped: Callable[[Any, Any], None]
    forget: Callable[[], None]
    given: Callable[[], int]


def make_hooks(
    alive: dict[int, Any],
    buffer: list[Any],
    limit: int,
    killing: dict[int, float],
    groups: dict[int, Any],
    adopt_group: Callable[[Any], int],
    drop: Callable[[str, int], None],
    allowance: Allowance,
) -> Hooks:
    """Return hooks that keep `alive` and note events in `buffer`, at most `limit` of them.

    `groups` holds references to the groups that are known, and `adopt_group` registers another one; `drop` counts
    what could not be noted, `allowance` the short lives.
    """
    #: the latest id
    given_last = 0
    note = buffer.append
    frame_at = sys._getframe
    clock = monotonic
    files = _BETWEEN
    carried = Carrier.run.__code__
    method = MethodType
    find: Callable[[Any], Any] = alive.get
    forget = alive.pop
    #: a reference to who spawned last, and its id: most have many children in a row
    latest: Any = None
    latest_id: int | None = None
    #: what of the program spawned last
    own_code: Any = None
    #: the latest origin, forgotten at the next end, and what tells that another one is the same
    origin: Origin | None = None
    origin_at: int = 0
    origin_code: Any = None
    origin_spawner: Any = None

    def on_spawned(greenlet: Any) -> None:
        nonlocal given_last, latest, latest_id, own_code, origin, origin_at, origin_code, origin_spawner
        given_last = id = given_last + 1  # no thread comes in between
        try:
            greenlet._greenscope_id = id
        except Exception as error:  # a __setattr__ of the program's own
            write(greenlet, "_greenscope_id", id)
            if is_programs(error):
                raise
        alive[id] = greenlet  # at once: who is cut short by a signal is known at least to live
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
                if code is carried:  # nothing ever stands before that
                    own_code = code
                break
            frame = back
            code = frame.f_code
        at = frame.f_lasti
        spawner = greenlet.spawning_greenlet
        function = greenlet._run
        own = origin  # what follows is not divided as long as it fits: there is no call
        if (
            own is None
            or at != origin_at
            or code is not origin_code
            or spawner is not origin_spawner
            or not (
                (kept := own[0]) is function
                or (type(kept) is type(function) is method and kept.__func__ is function.__func__ and kept == function)
            )
        ):
            if spawner is latest:
                parent = latest_id
            else:
                try:
                    parent = spawner()._greenscope_id  # now: the parent may be gone when this is read
                except AttributeError:
                    parent = None
                if parent is not None:
                    latest, latest_id = spawner, parent  # no other thread comes in between: there is no call
            own = function, parent, code, at
            was = origin_code  # what is freed in the midst may have a finaliser that spawns, too; one of `origin` may
            fits = None if parent is None else own  # who is not known yet may be by the next time
            origin_at, origin_code, origin_spawner, origin = at, code, spawner, fits
            del was
        try:
            greenlet._greenscope_born = clock()
            greenlet._greenscope_origin = own
        except Exception as error:  # as above
            write(greenlet, "_greenscope_born", clock())
            write(greenlet, "_greenscope_origin", own)
            if is_programs(error):
                raise

    def on_adopted(greenlet: Any) -> None:
        nonlocal given_last, latest, origin
        given_last = id = given_last + 1
        write(greenlet, "_greenscope_id", id)
        latest = origin = None  # it may have had another id
        write(greenlet, "_greenscope_groups", None)  # another probe's
        write(greenlet, "_greenscope_born", clock())
        write(greenlet, "_greenscope_origin", (getattr(greenlet, "_run", None), None, None, 0))
        alive[id] = greenlet

    def on_lived(greenlets: list[Any]) -> None:
        nonlocal origin
        origin = None
        if len(greenlets) > 1:
            end_all(LIVED, greenlets)
            return
        greenlet: Any = greenlets[0]
        id: Any = greenlet._greenscope_id
        found = forget(id, None)
        if found is not greenlet:
            if found is not None:
                alive[id] = found
        elif greenlet._greenscope_origin is None or allowance.left >= 1.0 or (killing and id in killing):
            note_ends(LIVED, [id], greenlets)
        else:  # as shed() does, without the calls
            allowance.shed += 1
            if groups and greenlet._greenscope_groups:
                allowance.count_members([greenlet._greenscope_groups])
            try:
                greenlet._greenscope_origin = None
            except Exception as error:
                write(greenlet, "_greenscope_origin", None)
                if is_programs(error):
                    raise

    def on_killed(greenlets: list[Any]) -> None:
        end_all("killed", greenlets)

    def end_all(kind: str, greenlets: list[Any]) -> None:
        """Note the ends of a batch, of those that are known."""
        nonlocal origin
        origin = None
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
        if kind != LIVED:
            note_ends(kind, ended, greenlets)
            return
        fresh: list[Any] = [greenlet._greenscope_origin for greenlet in greenlets]
        if killing:  # who survives that is told as well
            fresh = [None if id in killing else one for id, one in zip(ended, fresh, strict=True)]
        if not all(fresh):
            known = list(map(not_, fresh))
            note_ends(kind, list(compress(ended, known)), list(compress(greenlets, known)))
            ended, greenlets = list(compress(ended, fresh)), list(compress(greenlets, fresh))
        few = int(allowance.left)
        if few > 0:
            note_ends(kind, ended[:few], greenlets[:few])
            greenlets = greenlets[few:]
        if greenlets:
            shed(greenlets)

    def shed(greenlets: list[Any]) -> None:
        """Count what has lived and ended unseen."""
        count = len(greenlets)
        allowance.shed += count
        if groups:
            into = [greenlet._greenscope_groups for greenlet in greenlets]
            if any(into):
                allowance.count_members(into)
        take_off(greenlets)

    def take_off(greenlets: list[Any]) -> None:
        """Let go of the births of those that have ended."""
        try:
            for greenlet in greenlets:
                greenlet._greenscope_origin = None
        except Exception as error:  # as above
            for greenlet in greenlets:
                write(greenlet, "_greenscope_origin", None)
            if is_programs(error):
                raise

    def note_ends(kind: str, ended: list[int], greenlets: list[Any]) -> None:
        if not ended:
            return
        accounts = [  # as kept_account() does, without the call where it says so
            kept if type(kept := greenlet._greenscope_account) is tuple else kept_account(greenlet)
            for greenlet in greenlets
        ]
        origins = [greenlet._greenscope_origin for greenlet in greenlets]
        births: Births | None = None
        fresh = len(list(filter(None, origins)))  # count() would compare each
        if fresh:
            births = (
                greenlets[0].hub,  # that of all that end together
                [greenlet._name for greenlet in greenlets],
                [greenlet._greenscope_groups for greenlet in greenlets] if groups else [None] * len(greenlets),
                [greenlet._greenscope_born for greenlet in greenlets],
                origins,
            )
            if kind == LIVED:
                allowance.left -= fresh
            take_off(greenlets)
        put(("ended", clock(), kind, ended, accounts, births), kind, len(ended), fresh)

    def put(noted: tuple[Any, ...], kind: str, count: int, births: int) -> None:
        """Note so many events of a kind, with so many births; count them as dropped where there is no room."""
        if len(buffer) < limit:
            note(noted)
            return
        drop(kind, count)
        if births:
            drop(BORN, births)

    def birth_of(id: int, greenlet: Any) -> Untold | None:
        """Return what a note has to tell of one of which nothing was told, None of others."""
        origin = getattr(greenlet, "_greenscope_origin", None)
        return None if origin is None else untold(greenlet, id, origin)

    def take(id: Any, greenlet: Any) -> bool:
        """Take a greenlet out of the registry, once; False when it is not there. Another thread may do the same."""
        found = forget(id, None)
        if found is not greenlet and found is not None:
            alive[id] = found
        return found is greenlet

    def on_failed(greenlets: list[Any]) -> None:
        nonlocal origin
        origin = None
        for greenlet in greenlets:
            id: Any = greenlet._greenscope_id
            if not take(id, greenlet):
                continue
            kind = "killed" if id in killing else "failed"
            birth = birth_of(id, greenlet)
            if birth is not None:
                take_off([greenlet])
            noted = kind, clock(), id, kept_account(greenlet), greenlet._exc_info, birth
            put(noted, kind, 1, birth is not None)

    def note_of(kind: str, t: float, id: int, greenlet: Any, group: int | None, birth: Untold | None) -> None:
        """Note what happens to one that lives, with its birth when that was not told (None: it was)."""
        if birth is not None:
            take_off([greenlet])
        put((kind, t, id, group, birth), kind, 1, birth is not None)

    def on_kill_requested(greenlets: list[Any]) -> None:
        now = clock()
        told: list[int] = []
        for greenlet in greenlets:
            try:
                id: Any = greenlet._greenscope_id
            except AttributeError:
                continue
            if find(id) is not greenlet:
                continue
            if id in killing and greenlet._greenscope_origin is not None:
                note_of("kill_requested", now, id, greenlet, None, birth_of(id, greenlet))
                continue
            killing[id] = now  # its birth will tell
            if greenlet._greenscope_origin is None:  # looked at last: it may be told by now
                told.append(id)
        if told:
            put(("asked", now, told), "kill_requested", len(told), 0)

    def on_grouped(group: Any, greenlet: Any) -> None:
        change("grouped", group, greenlet)

    def on_ungrouped(group: Any, greenlet: Any) -> None:
        change("ungrouped", group, greenlet)

    def change(kind: str, group: Any, greenlet: Any) -> None:
        id: Any = getattr(greenlet, "_greenscope_id", None)
        is_known = alive.get(id) is greenlet
        if not is_known and not (isinstance(greenlet, Greenlet) and greenlet._state == NEW):
            return
        number = number_of(group)
        fresh = is_known and getattr(greenlet, "_greenscope_origin", None) is not None
        if not is_known or (fresh and kind == "grouped"):  # its birth will tell
            others = [one for one in getattr(greenlet, "_greenscope_groups", None) or () if one != number]
            into = [one for one in others if one in groups] + [number] * (kind == "grouped")
            write(greenlet, "_greenscope_groups", tuple(into) or None)
            if not is_known or getattr(greenlet, "_greenscope_origin", None) is not None:  # as above
                return
        note_of(kind, clock(), id, greenlet, number, birth_of(id, greenlet) if fresh else None)

    def number_of(group: Any) -> int:
        number: int = getattr(group, "_greenscope_id", 0)
        known = groups.get(number)
        return number if known is not None and known() is group else adopt_group(group)

    def forget_latest() -> None:
        """Let go of what was spawned last."""
        nonlocal latest, origin
        latest = origin = None

    def given() -> int:
        """Return the greatest id that was given so far: whoever has a smaller one did exist."""
        return given_last

    return Hooks(
        on_spawned,
        on_adopted,
        on_lived,
        on_killed,
        on_failed,
        on_kill_requested,
        on_grouped,
        on_ungrouped,
        forget_latest,
        given,
    )


def untold(greenlet: Any, id: int, origin: Origin) -> Untold:
    """Return what is to be told of the birth of a greenlet, or of a raw one."""
    hub, name = getattr(greenlet, "hub", None), getattr(greenlet, "_name", None)
    return BORN, greenlet._greenscope_born, id, hub, name, getattr(greenlet, "_greenscope_groups", None), origin
