"""What of the native probe's notes is told in a tick, in order.

    alive, newest first --(births that are not told)--+
    buffer --(ends, kills, failures, groups)----------+--by time--> at most TAKEN of them --> told
    allowance --(short lives that were counted)------------------> dropped, unseen

The hooks tell of whoever ends; of whoever lives, this takes the birth off the greenlet. Of a crowd, by far the most
that live are about to end: those just born wait for the next tick, unless somebody waits for them.

Both threads may want the same birth. Here it is taken off first, and then it is looked whether the greenlet is still
registered. If it is not, it has ended meanwhile: either it was counted as a short life, or its end was noted by
somebody who saw the birth gone. Such births are kept for a moment, for ends that may come without (`find_missed`).
"""

from math import inf
from operator import itemgetter
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenscope.app.backends.native_hooks import BORN, LIVED, Origin, Untold, untold
from greenscope.app.backends.native_newborn import Newborn, has_birth
from greenscope.app.backends.short_lives import CROWD, SHORT_BURST, SHORT_RATE, crowd_of, short_lives
from greenscope.app.breath import breathe
from greenscope.runtime.carriers import PENDING, VALUE
from greenscope.runtime.greenlet import Greenlet
from greenscope.runtime.instruments import write

if TYPE_CHECKING:
    from greenscope.app.backends.native import NativeProbe

#: seconds for which one of a crowd may be about to end, and for which one may that has not begun, or whose end is due
HELD_BACK, HELD_UNBEGUN = 0.02, 1.0
#: so many are held back at most; while there are, nobody who was born later is looked at
HELD_MOST = 2_000
#: seconds for which a birth is kept whose end may be noted without it
MISSED = 1.0
#: what is told per drain, where each greenlet of a batch counts
TAKEN = 20_000

#: notes of one greenlet that end with its birth, None when that was told
_WITH_BIRTH = frozenset({LIVED, "killed", "failed", "kill_requested", "grouped", "ungrouped"})

_TIME = itemgetter(1)


class NativeIntake:
    """Takes births off the living, and notes off a NativeProbe's buffer."""

    def __init__(self, probe: "NativeProbe") -> None:
        self.probe = probe
        self.newborn = Newborn(probe.alive)
        #: everything that has happened so far, told or counted
        self.count = 0
        #: when the oldest thing happened that is not told, in monotonic seconds
        self.until = inf
        #: what was only counted since the last take: by kind, and by group and kind
        self.dropped: dict[str, int] = {}
        self.unseen: dict[int, dict[str, int]] = {}
        self._shed = 0
        #: the greatest id at the last take, and how many a second were born before it, as the ids tell
        self._known = 0
        self._births = 0.0
        self._taken_at = monotonic()
        #: births of those that ended while they were taken, and when that was
        self._missed: dict[int, tuple[float, Untold]] = {}
        #: whether the last take has left notes for the next one
        self._behind = False

    def take(self, prompt: bool = False) -> list[tuple[Any, ...]]:
        """Return what is to be told, in order: each birth, and each end, in a tuple of its own.

        A birth is as the hooks note it (Untold), an end (kind, t, id, account, exc_info). With `prompt` no birth is
        left for the next time but what is too much for one.
        """
        self.dropped, self.unseen, self.until = {}, {}, inf
        now = monotonic()
        if not self._behind:
            self._forget_missed(self._taken_at - MISSED)
        newborn, limit, known = self.newborn, self.probe.buffer_limit, self._known
        waiting = newborn.find(self._taken_at, TAKEN, limit)
        passed, self._taken_at = now - self._taken_at, now
        shed = self._count_shed()
        if len(waiting) + newborn.more > limit:
            waiting = self._drop_births(waiting, limit - newborn.more, now)
        before, self._births = self._births, crowd_of(self.probe.hooks.given() - known, passed)
        crowded = max(before, self._births) > CROWD and not prompt
        born = self._take_births(waiting, now, crowded)
        taken = self._take_notes()
        born += self._take_parents(taken, now)
        self._known = self.probe.hooks.given()
        self._births = crowd_of(self._known - known, passed)
        allowance = self.probe.allowance
        more = short_lives(SHORT_RATE, self._births, passed) - len(born)
        allowance.left = max(0.0, min(float(SHORT_BURST), allowance.left + more))
        self.until = min(self.until, newborn.until)
        told = [*born, *taken]
        self.count += len(told) + 2 * shed
        breathe()
        told.sort(key=_TIME)
        return told

    def forget(self) -> None:
        """Forget what is kept between two takes, when the probe is closed."""
        self._missed.clear()
        self.newborn.forget()
        self._count_shed()
        self._births = 0.0

    def find_missed(self, id: int) -> Untold | None:
        """Return the birth of one that ended while it was taken, and whose end was noted without it."""
        found = self._missed.pop(id, None)
        return None if found is None else found[1]

    def _forget_missed(self, until: float) -> None:
        for id, (taken, _) in list(self._missed.items()):
            if taken > until:
                break
            del self._missed[id]

    # -- births

    def _take_births(self, waiting: list[int], now: float, crowded: bool) -> list[tuple[Any, ...]]:
        """Take the births of the living off them, oldest first."""
        begun_until, until = (now - HELD_BACK, now - HELD_UNBEGUN) if crowded else (inf, inf)
        born: list[tuple[Any, ...]] = []
        newborn = self.newborn
        for id, greenlet in newborn.look(waiting, HELD_MOST):
            origin = greenlet._greenscope_origin
            if origin is None:
                continue
            t = greenlet._greenscope_born
            if len(born) >= TAKEN or t > begun_until or (t > until and is_passing(greenlet)):
                newborn.held[id] = greenlet
                continue
            self._take_birth(born, now, id, greenlet, origin)
            breathe()
        return born

    def _take_birth(self, born: list[tuple[Any, ...]], now: float, id: int, greenlet: Any, origin: Origin) -> None:
        """Take one off, and see whether it still lives."""
        write(greenlet, "_greenscope_origin", None)
        try:
            known = untold(greenlet, id, origin)
        except Exception:  # an attribute of the program's own raised
            known = BORN, greenlet._greenscope_born, id, None, None, None, origin
        if self.probe.alive.get(id) is greenlet:
            born.append(known)
        else:
            self._missed[id] = now, known

    def _take_parents(self, taken: list[tuple[Any, ...]], now: float) -> list[tuple[Any, ...]]:
        """Take the births of those who have spawned what is told, though they are to wait themselves."""
        alive = self.probe.alive
        born: list[tuple[Any, ...]] = []
        children = [note for note in taken if note[0] == BORN]
        while children:
            parent = children.pop()[-1][1]
            greenlet = alive.get(parent)
            origin = getattr(greenlet, "_greenscope_origin", None)
            if origin is not None:
                before = len(born)
                self._take_birth(born, now, parent, greenlet, origin)
                self.newborn.held.pop(parent, None)
                children += born[before:]
        return born

    def _drop_births(self, waiting: list[int], room: int, now: float) -> list[int]:
        """Give up the births that are too many, the oldest, and return the others; who lives is known anyhow."""
        alive = self.probe.alive
        found = [id for id in dict.fromkeys(waiting) if has_birth(alive.get(id))]
        given_up: list[tuple[Any, ...]] = []
        too_many = max(0, len(found) - room)
        for id in found[:too_many]:
            greenlet = alive.get(id)
            origin = getattr(greenlet, "_greenscope_origin", None)
            if origin is not None:
                self._take_birth(given_up, now, id, greenlet, origin)
                if not isinstance(greenlet, Greenlet):
                    self.probe.raws[id] = greenlet
        for note in given_up:
            self._drop(BORN, 1)
            if note[2] in self.probe.killing:
                self._drop("kill_requested", 1)
        return found[too_many:]

    # -- notes

    def _take_notes(self) -> list[tuple[Any, ...]]:
        """Take notes off the buffer, and make one of each birth and end in them."""
        buffer = self.probe.buffer
        taken: list[tuple[Any, ...]] = []
        at = 0
        notes = buffer[:TAKEN]
        for note in notes:
            if len(taken) >= TAKEN:
                break
            at += 1
            if note[0] == "ended":
                _, t, kind, ids, accounts, births = note
                if births is not None:
                    taken += told_of(ids, *births)
                taken += [(kind, t, id, account, None) for id, account in zip(ids, accounts, strict=True)]
            elif note[0] == "asked":
                taken += [("kill_requested", note[1], id, None) for id in note[2]]
            elif note[0] in _WITH_BIRTH:
                if note[-1] is not None:
                    taken.append(note[-1])
                taken.append(note[:-1])
            else:
                taken.append(note)
            breathe()
        del buffer[:at]
        self._behind = bool(buffer)
        for note in buffer[:]:
            self.until = min(self.until, oldest_in(note))
            breathe()
        return taken

    # -- what was only counted

    def _count_shed(self) -> int:
        allowance = self.probe.allowance
        shed, self._shed = allowance.shed - self._shed, allowance.shed
        if shed:
            self._drop(BORN, shed)
            self._drop(LIVED, shed)
        for groups, lives in allowance.take_members():
            for group in groups:
                counts = self.unseen.setdefault(group, {BORN: 0, LIVED: 0})
                counts[BORN] += lives
                counts[LIVED] += lives
        return shed

    def _drop(self, kind: str, count: int) -> None:
        self.dropped[kind] = self.dropped.get(kind, 0) + count


def is_passing(greenlet: Any) -> bool:
    """Tell whether a greenlet stands in its hub's ready queue and has not begun, or has ended, which is noted soon."""
    if not isinstance(greenlet, Greenlet):
        return False  # a raw one: an attribute of that name is the program's own
    state = greenlet._state
    return state >= VALUE or (state == PENDING and greenlet._timer is None)


def told_of(ids: list[int], hub: Any, names: Any, groups: Any, born: Any, origins: Any) -> list[Untold]:
    """Return the births of a batch that are not told."""
    each = zip(ids, names, groups, born, origins, strict=True)
    return [(BORN, t, id, hub, name, into, origin) for id, name, into, t, origin in each if origin is not None]


def oldest_in(note: tuple[Any, ...]) -> float:
    """Return when the oldest thing happened of which a note tells."""
    births = note[-1] if note[0] == "ended" or note[0] in _WITH_BIRTH else None
    if births is None:
        oldest = note[1]
    elif note[0] == "ended":
        oldest = min(births[3])
    else:
        oldest = births[1]
    return float(oldest)
