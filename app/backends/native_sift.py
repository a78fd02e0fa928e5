"""What of the notes is told one by one, and what is only counted.

Of the greenlets that succeeded before anybody could have looked at them, and those born with
them that still live, so many are told one by one as `short_lives` says. More of them are shed:
counted by kind, and per group. Failures, kills and whatever still lives are always told.

    [notes] --sift--> of the last HELD_BACK seconds, in a crowd -----------> left for the next time
                      a birth whose end is there, too, and no budget left --> counted, and its end
                      all others --> [kept] --take--> at most TAKEN of them -> told

Of a crowd, by far the most that live are about to end: those just born wait for the next
take, which may find their ends.

There may be ten thousand notes in a tick: whatever is done with each of them is done by the
interpreter's own loops, over slices and sets. All of them are sifted in the tick, since that
costs a fraction of what telling one costs, and a buffer that is not emptied runs over.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from itertools import compress, repeat
from math import inf
from operator import eq, not_
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenscope.app.backends.native_hooks import BORN, LIVED, WIDTH
from greenscope.app.backends.short_lives import CROWD, SHORT_BURST, SHORT_RATE, crowd_of, short_lives
from greenscope.app.breath import breathe

if TYPE_CHECKING:
    from greenscope.app.backends.native import NativeProbe

#: seconds for which one of a crowd may be about to end
HELD_BACK = 0.02
#: notes told per drain, where each greenlet of a batch counts; while so many are kept, no more are sifted
TAKEN = 20_000
#: notes sifted at a time
SIFTED = 10_000

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
        #: when the oldest note was made that is not told, in monotonic seconds
        self.until = inf
        #: what was shed by the last `take`: by kind, and by group and kind
        self.dropped: dict[str, int] = {}
        self.unseen: dict[int, dict[str, int]] = {}
        #: ids of shed lives whose end has not been taken yet
        self._shed: set[int] = set()
        #: notes that are to be told, WIDTH entries each
        self._kept: list[Any] = []
        #: how many short lives may be told, when that was counted
        self._left = float(SHORT_BURST)
        self._taken_at = monotonic()
        #: births a second, as the last take found them
        self._births = 0.0

    def take(self, prompt: bool = False) -> Iterator[list[Any]]:
        """Give what is to be told, in order, a list of at most WIDTH entries per note, one note for each end.

        With `prompt` nothing is left for the next time but what is too much for one.
        """
        self.dropped, self.unseen = {}, {}
        kept = self._kept
        if len(kept) < TAKEN * WIDTH:
            now = monotonic()
            self._sift(now, now - HELD_BACK if self._births > CROWD and not prompt else inf)
        told = at = 0
        try:
            while told < TAKEN and at < len(kept):
                note = kept[at : at + WIDTH]
                at += WIDTH
                if note[0] == "ended":
                    breathe()
                    _, t, kind, ids, accounts = note[: ACCOUNTS + 1]
                    told += len(ids)
                    for id, account in zip(ids, accounts, strict=True):
                        yield [kind, t, id, account, None]
                else:
                    told += 1
                    yield note
        finally:
            del kept[:at]
            oldest = (kept or self.probe.buffer)[TIME : TIME + 1]
            self.until = oldest[0] if oldest else inf

    def forget(self) -> None:
        """Forget what of the notes is not told yet, when the probe is closed."""
        self._kept.clear()
        self._shed.clear()
        self._births = 0.0

    def _sift(self, now: float, until: float) -> None:
        """Take the notes up to a moment off the buffer, and keep those that are not shed."""
        passed, self._taken_at = now - self._taken_at, now
        self._left = min(float(SHORT_BURST), self._left + short_lives(SHORT_RATE, self._births, passed))
        buffer = self.probe.buffer
        there = len(buffer) // WIDTH
        succeeded = self._succeeded(there)
        born = 0
        while there:
            most = min(SIFTED, there)
            some = bisect_right(buffer[TIME : most * WIDTH : WIDTH], until)
            born += self._sift_some(some, succeeded)
            there -= some
            if some < most or len(self._kept) >= TAKEN * WIDTH:
                break
        self._births = crowd_of(born, passed)

    def _succeeded(self, there: int) -> set[int]:
        """Return the ids of all that have succeeded by so many notes: that is to be known when their birth is told."""
        buffer = self.probe.buffer
        kinds = buffer[: there * WIDTH : WIDTH]
        succeeded = {buffer[at * WIDTH + ID] for at in where(kinds, LIVED)}
        for at in where(kinds, "ended"):
            if buffer[at * WIDTH + ID] == LIVED:
                succeeded.update(buffer[at * WIDTH + IDS])
                breathe()
        return succeeded

    def _sift_some(self, some: int, succeeded: set[int]) -> int:
        """Sift so many notes; return how many births are among them."""
        buffer = self.probe.buffer
        notes = buffer[: some * WIDTH]
        del buffer[: some * WIDTH]
        kinds, ids = notes[::WIDTH], notes[ID::WIDTH]
        born = self._shed_births(kinds, ids, succeeded)
        breathe()
        self.count += some
        shed, kept = self._shed, self._kept
        stay: Iterable[int] = range(some)
        if shed:
            self._count_groups(notes, kinds, ids)
            stay = list(compress(stay, map(not_, map(shed.__contains__, ids))))
            self._forget_ends({ids[at] for at in where(kinds, LIVED)})
        breathe()
        for at in stay:
            note = notes[at * WIDTH : at * WIDTH + WIDTH]
            if note[0] == "ended" and not self._cut_ends(note):
                continue
            kept += note
        return born

    def _cut_ends(self, note: list[Any]) -> bool:
        """Take the ends of shed lives out of a note of "ended"; False when there are no others in it."""
        ids = note[IDS]
        self.count += len(ids) - 1
        gone = self._forget_ends(ids)
        if len(gone) == len(ids):
            return False
        if gone:
            stay = [id not in gone for id in ids]
            note[IDS], note[ACCOUNTS] = list(compress(ids, stay)), list(compress(note[ACCOUNTS], stay))
        return True

    def _count_groups(self, notes: list[Any], kinds: list[Any], ids: list[Any]) -> None:
        """Count the shed lives of each group."""
        shed = self._shed
        into = notes[GROUPS::WIDTH]
        if any(into):
            for id, groups in zip(ids, into, strict=True):
                if groups and id in shed:
                    self._count_members(groups)
            breathe()
        for at in where(kinds, "grouped"):
            if ids[at] in shed:
                self._count_members((notes[at * WIDTH + GROUP],))

    def _count_members(self, groups: Iterable[int]) -> None:
        for group in groups:
            counts = self.unseen.setdefault(group, {"spawned": 0, "succeeded": 0})
            counts["spawned"] += 1
            counts["succeeded"] += 1  # or it would not have been shed

    def _shed_births(self, kinds: list[Any], ids: list[Any], succeeded: set[int]) -> int:
        """Choose, among those that were born and have succeeded since, who is told; return how many were born."""
        born = list(compress(ids, map(eq, kinds, repeat(BORN))))
        if born:
            self.newest = max(self.newest, max(born))
        short = list(filter(succeeded.__contains__, born))
        killing = self.probe.killing
        if killing:
            short = [id for id in short if id not in killing]
        self._left = max(0.0, self._left - (len(born) - len(short)))
        told = min(int(self._left), len(short))
        self._left -= told
        if len(short) > told:
            self._shed.update(short[told:])
            self._drop(BORN, len(short) - told)
        return len(born)

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
