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

from itertools import islice
from math import inf
from operator import itemgetter
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenscope.app.backends.native_hooks import BORN, LIVED, Origin, Untold, untold
from greenscope.app.backends.native_newborn import Newborn
from greenscope.app.backends.short_lives import CROWD, SHORT_BURST, SHORT_RATE, crowd_of, short_lives
from greenscope.app.breath import breathe
from greenscope.runtime.carriers import PENDING
from greenscope.runtime.instruments import write

if TYPE_CHECKING:
    from greenscope.app.backends.native import NativeProbe

#: seconds for which one of a crowd may be about to end, and for which one that has not begun may
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

        A birth is (BORN, t, id, untold), an end (kind, t, id, account, exc_info). With `prompt` no birth is left for
        the next time but what is too much for one.
        """
        self.dropped, self.unseen, self.until = {}, {}, inf
        now = monotonic()
        if not self._behind:
            self._forget_missed(self._taken_at - MISSED)
        newborn, limit, known = self.newborn, self.probe.buffer_limit, self._known
        waiting = newborn.find(self._taken_at, TAKEN, limit)
        passed, self._taken_at = now - self._taken_at, now
        shed = self._count_shed()
        self._drop_births(waiting, len(waiting) + newborn.more - limit, now)
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

    def _take_births(self, waiting: dict[int, Any], now: float, crowded: bool) -> list[tuple[Any, ...]]:
        """Take the births of the living off them, oldest first."""
        begun_until, until = (now - HELD_BACK, now - HELD_UNBEGUN) if crowded else (inf, inf)
        born: list[tuple[Any, ...]] = []
        newborn = self.newborn
        for id, greenlet in newborn.look(waiting, HELD_MOST):
            origin = greenlet._greenscope_origin
            if origin is None:
                continue
            t = greenlet._greenscope_born
            if len(born) >= TAKEN or t > begun_until or (t > until and is_due(greenlet)):
                newborn.held[id] = greenlet
                continue
            self._take_birth(born, now, id, greenlet, origin)
            breathe()
        return born

    def _take_birth(self, born: list[tuple[Any, ...]], now: float, id: int, greenlet: Any, origin: Origin) -> None:
        """Take one off, and see whether it still lives."""
        write(greenlet, "_greenscope_origin", None)
        try:
            known = untold(greenlet, origin)
        except Exception:  # an attribute of the program's own raised
            known = None, None, None, greenlet._greenscope_born, origin
        if self.probe.alive.get(id) is greenlet:
            born.append((BORN, known[3], id, known))
        else:
            self._missed[id] = now, known

    def _take_parents(self, taken: list[tuple[Any, ...]], now: float) -> list[tuple[Any, ...]]:
        """Take the births of those who have spawned what is told, though they are to wait themselves."""
        alive = self.probe.alive
        born: list[tuple[Any, ...]] = []
        children = [note for note in taken if note[0] == BORN]
        while children:
            parent = children.pop()[3][4][1]
            greenlet = alive.get(parent)
            origin = getattr(greenlet, "_greenscope_origin", None)
            if origin is not None:
                before = len(born)
                self._take_birth(born, now, parent, greenlet, origin)
                self.newborn.held.pop(parent, None)
                children += born[before:]
        return born

    def _drop_births(self, waiting: dict[int, Any], count: int, now: float) -> None:
        """Give up the births that are too many, the oldest; who lives is known from the registry."""
        if count <= 0:
            return
        given_up: list[tuple[Any, ...]] = []
        for id in list(islice(waiting, count)):
            greenlet = waiting.pop(id)
            origin = greenlet._greenscope_origin
            if origin is not None:
                self._take_birth(given_up, now, id, greenlet, origin)
                if not hasattr(greenlet, "_state"):
                    self.probe.raws[id] = greenlet
        for note in given_up:
            self._drop(BORN, 1)
            if note[2] in self.probe.killing:
                self._drop("kill_requested", 1)

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
                    self._add_births(taken, ids, *births)
                taken += [(kind, t, id, account, None) for id, account in zip(ids, accounts, strict=True)]
            elif note[0] in _WITH_BIRTH:
                self._add_birth(taken, note[2], note[-1])
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

    def _add_births(
        self, taken: list[tuple[Any, ...]], ids: list[int], hub: Any, names: Any, groups: Any, born: Any, origins: Any
    ) -> None:
        for id, name, into, t, origin in zip(ids, names, groups, born, origins, strict=True):
            if origin is not None:
                self._add_birth(taken, id, (hub, name, into, t, origin))

    def _add_birth(self, taken: list[tuple[Any, ...]], id: int, known: Untold | None) -> None:
        if known is not None:
            taken.append((BORN, known[3], id, known))

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


def is_due(greenlet: Any) -> bool:
    """Tell whether a greenlet stands in its hub's ready queue and has not begun."""
    return getattr(greenlet, "_state", None) == PENDING and greenlet._timer is None


def oldest_in(note: tuple[Any, ...]) -> float:
    """Return when the oldest thing happened of which a note tells."""
    births = note[-1] if note[0] == "ended" or note[0] in _WITH_BIRTH else None
    if births is None:
        oldest = note[1]
    elif note[0] == "ended":
        oldest = min(births[3])
    else:
        oldest = births[3]
    return float(oldest)
