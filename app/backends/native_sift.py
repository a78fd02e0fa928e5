"""What of the notes is told one by one, and what is only counted.

Of the greenlets that succeeded before anybody could have looked at them, and those born with
them that still live, so many are told one by one as `short_lives` says. More of them are shed:
counted by kind, and per group. Failures, kills and whatever still lives are always told.

    [notes] --take--> of the last HELD_BACK seconds, in a crowd -----------> left for the next time
                      a birth whose end is there, too, and no budget left --> counted, and its end
                      all others ------------------------------------------> told

Of a crowd, by far the most that live are about to end: those just born wait for the next
take, which may find their ends.

There may be ten thousand notes in a tick: whatever is done with each of them is done by the
interpreter's own loops, over slices and sets.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenscope.app.backends.native_hooks import BORN, LIVED, WIDTH
from greenscope.app.backends.short_lives import CROWD, SHORT_BURST, SHORT_RATE, crowd_of, short_lives
from greenscope.app.breath import breathe

if TYPE_CHECKING:
    from greenscope.app.backends.native import NativeProbe

#: seconds for which one of a crowd may be about to end
HELD_BACK = 0.02
#: notes worked off per drain, where each greenlet of a batch counts
TAKEN = 20_000

#: where in a note its time is
TIME = 1
#: where in a note of "ended" the ids are, and their accounts
IDS, ACCOUNTS = 3, 4
#: where in a note the id is (in one of "ended" the kind), the group in one of "grouped", the groups in a birth
ID, GROUP, GROUPS = 2, 3, 8


class NativeSift:
    """Takes notes off a NativeProbe's buffer and sheds the short lives that are too many."""

    def __init__(self, probe: "NativeProbe") -> None:
        self.probe = probe
        #: everything noted so far, told or shed
        self.count = 0
        #: the greatest id among the births taken so far
        self.newest = 0
        #: whether the last `take` has left notes that were there when it began
        self.left_over = False
        #: what was shed by the last `take`: by kind, and by group and kind
        self.dropped: dict[str, int] = {}
        self.unseen: dict[int, dict[str, int]] = {}
        #: ids of shed lives whose end has not been taken yet
        self._shed: set[int] = set()
        #: how many short lives may be told, when that was counted
        self._left = float(SHORT_BURST)
        self._taken_at = monotonic()
        #: births a second, as the last take found them
        self._births = 0.0

    def take(self, prompt: bool = False) -> Iterator[list[Any]]:
        """Give what is to be told, in order, a list of at most WIDTH entries per note, one note for each end.

        With `prompt` nothing is left for the next time but what is too much for one.
        """
        now = monotonic()
        passed, self._taken_at = now - self._taken_at, now
        self._left = min(float(SHORT_BURST), self._left + short_lives(SHORT_RATE, self._births, passed))
        self.dropped, self.unseen = {}, {}
        until = now - HELD_BACK if self._births > CROWD and not prompt else inf
        # of a crowd only what is left is held on to from here on: whatever the garbage collector finds meanwhile,
        # it goes through
        kept = self._sifted(until, passed)
        for at in range(0, len(kept), WIDTH):
            if kept[at] == "ended":
                breathe()
                yield from self._ends(*kept[at + 1 : at + ACCOUNTS + 1])
            else:
                yield kept[at : at + WIDTH]

    def forget(self) -> None:
        """Forget what of the notes is not told yet, when the probe is closed."""
        self._shed.clear()
        self._births = 0.0

    def _sifted(self, until: float, passed: float) -> list[Any]:
        """Take notes off the buffer, up to a moment, of the seconds that have passed.

        Return those that are not shed, a batch of ends whole, WIDTH entries a note.
        """
        buffer = self.probe.buffer
        notes = buffer[:]
        kinds, ids = notes[::WIDTH], notes[ID::WIDTH]
        batches = list(where(kinds, "ended"))
        # who has succeeded by now is to be known when its birth is told
        succeeded = {ids[at] for at in where(kinds, LIVED)}
        succeeded.update(*(notes[at * WIDTH + IDS] for at in batches if ids[at] == LIVED))
        taken = self._cut(notes, batches, bisect_right(notes[TIME::WIDTH], until))
        del buffer[: taken * WIDTH]
        self.left_over = taken < len(kinds)
        if self.left_over:
            del notes[taken * WIDTH :], kinds[taken:], ids[taken:]
        breathe()
        self._shed_births(kinds, ids, succeeded, passed)
        breathe()
        shed = self._shed
        if not shed:
            return notes
        into = notes[GROUPS::WIDTH]
        if any(into):
            for id, groups in zip(ids, into, strict=True):
                if groups and id in shed:
                    self._count_members(groups)
            breathe()
        for at in where(kinds, "grouped"):
            if ids[at] in shed:
                self._count_members((notes[at * WIDTH + GROUP],))
        kept: list[Any] = []
        for at in [at for at, id in enumerate(ids) if id not in shed]:
            kept += notes[at * WIDTH : at * WIDTH + WIDTH]
        self._forget_ends({ids[at] for at in where(kinds, LIVED)})
        breathe()
        return kept

    def _count_members(self, groups: Iterable[int]) -> None:
        for group in groups:
            counts = self.unseen.setdefault(group, {"spawned": 0, "succeeded": 0})
            counts["spawned"] += 1
            counts["succeeded"] += 1  # or it would not have been shed

    def _cut(self, pending: list[Any], batches: list[int], most: int) -> int:
        """Return how many notes to take now, at most so many, and count what is in them."""
        taken = min(TAKEN, most)
        ends = 0
        for at in batches:
            if at >= taken:
                break
            more = len(pending[at * WIDTH + IDS]) - 1
            if at + ends + more >= TAKEN and at:
                taken = at
                break
            ends += more
            taken = min(taken, max(at + 1, TAKEN - ends))
        self.count += taken + ends
        return taken

    def _shed_births(self, kinds: list[Any], ids: list[Any], succeeded: set[int], passed: float) -> None:
        """Choose, among those that were born and have succeeded since, who is told."""
        born = [id for kind, id in zip(kinds, ids, strict=True) if kind == BORN]
        self._births = crowd_of(len(born), passed)
        if born:
            self.newest = max(self.newest, max(born))
        short = [id for id in born if id in succeeded]
        killing = self.probe.killing
        if killing:
            short = [id for id in short if id not in killing]
        self._left = max(0.0, self._left - (len(born) - len(short)))
        told = min(int(self._left), len(short))
        self._left -= told
        if len(short) > told:
            self._shed.update(short[told:])
            self._drop(BORN, len(short) - told)

    def _ends(self, t: float, kind: str, ids: list[int], accounts: list[Any]) -> Iterator[list[Any]]:
        """Give a note for each end of a batch, but for those whose birth was shed."""
        gone = self._forget_ends(ids)
        if len(gone) == len(ids):
            return
        for id, account in zip(ids, accounts, strict=True):
            if id not in gone:
                yield [kind, t, id, account, None]

    def _forget_ends(self, ids: Collection[int]) -> set[int]:
        """Count, of these ends, those whose birth was shed; return them."""
        shed = self._shed
        gone = shed.intersection(ids) if shed else shed
        if gone:
            shed -= gone
            self._drop(LIVED, len(gone))
            named = self.probe.named
            if named:
                for id in gone:
                    named.pop(id, None)
        return gone

    def _drop(self, kind: str, count: int) -> None:
        self.dropped[kind] = self.dropped.get(kind, 0) + count


def where(kinds: list[Any], kind: str) -> Iterator[int]:
    """Give the places at which a list has a kind."""
    at = -1
    try:
        while True:
            at = kinds.index(kind, at + 1)
            yield at
    except ValueError:
        return
