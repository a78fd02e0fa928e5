"""The ledger of blocks: where the hub was held up, how often, for how long, grouped by call site.

A block is seen through samples of a stack, so its line can differ by a little from one time to the next: a loop
that holds the hub is caught on any of its lines. Two blocks are of one site when they are of one function and share a
sampled line; so a loop is one site, and two calls in one function that each block are two.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from greenscope.app.model import Site

#: sites kept; the one that has been quiet for longest goes
MOST_SITES: Final = 200
#: blocks kept per site, for what happened lately
_RECENT: Final = 200


@dataclass(frozen=True, slots=True)
class Block:
    """One stretch in which the hub of `thread` made no turn. Monotonic seconds; `lines` has milliseconds by line.

    `held` is how much of it nobody else could run at all, `stopped` how much of it nobody did, this thread included.
    `holders` is how many greenlets were seen running in it: 1 when one held it all. `culprit` is None when no stack was
    seen.
    """

    thread: str
    began: float
    lasted: float
    culprit: Site | None
    lines: Mapping[int, int]
    stack: tuple[Site, ...] = ()
    greenlet: int | None = None
    held: float = 0.0
    stopped: float = 0.0
    holders: int = 1

    @property
    def importing(self) -> bool:
        """Whether it was an import that took so long."""
        return any(frame.file.startswith("<frozen importlib") for frame in self.stack)


class LedgerEntry:
    """All blocks of one call site; `open` is the one that lasts now."""

    __slots__ = ("count", "first", "held", "key", "last", "latest", "lines", "open", "recent", "total", "worst")

    def __init__(self, key: tuple[object, ...], began: float) -> None:
        self.key = key
        self.count = 0
        self.total = 0.0
        self.worst = 0.0
        self.first = began
        self.last = began
        self.held = 0.0
        self.lines: Counter[int] = Counter()
        self.latest: Block | None = None
        self.open: Block | None = None
        self.recent: deque[tuple[float, float]] = deque(maxlen=_RECENT)

    @property
    def culprit(self) -> Site | None:
        """The place that was sampled most."""
        block = self.open or self.latest
        if block is None or block.culprit is None:
            return None
        lines = self.lines + Counter(block.lines) if block is self.open else self.lines
        line = lines.most_common(1)[0][0] if lines else block.culprit.line
        return Site(block.culprit.file, line, block.culprit.function)

    def fits(self, block: Block) -> bool:
        """Tell whether a block that was entered here while it lasted belongs here still."""
        site = block.culprit
        if site is None:
            return self.key == (block.thread, block.holders > 1)
        return self.key[:2] == (site.file, site.function) and self.key[-1] == (block.holders > 1)

    def lately(self, since: float) -> tuple[int, float]:
        """Return number and sum (seconds) of the blocks that ended after `since`."""
        lasted = [lasted for ended, lasted in self.recent if ended >= since]
        return len(lasted), sum(lasted)


class Ledger:
    """Blocks by call site."""

    def __init__(self) -> None:
        self._entries: dict[tuple[object, ...], LedgerEntry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> list[LedgerEntry]:
        """Return all sites, the one with the greatest sum first."""
        return sorted(self._entries.values(), key=lambda entry: -entry.total)

    def show(self, block: Block, before: LedgerEntry | None = None) -> LedgerEntry:
        """Enter a block that still lasts; `before` is where it was entered by an earlier look at it."""
        entry = before if before is not None else self._entry(block)
        entry.open = block
        entry.last = block.began + block.lasted
        return entry

    def book(self, block: Block, shown: LedgerEntry | None = None) -> LedgerEntry:
        """Add a block that has ended; `shown` is where it stood while it lasted."""
        entry = shown if shown is not None and shown.fits(block) else self._entry(block)
        if shown is not None:
            shown.open = None
            if shown is not entry and not shown.count:
                self._entries.pop(shown.key, None)  # its culprit turned out to be another
        entry.count += 1
        entry.total += block.lasted
        entry.worst = max(entry.worst, block.lasted)
        entry.held += block.held
        entry.last = block.began + block.lasted
        entry.lines.update(block.lines)
        entry.latest = block
        entry.recent.append((entry.last, block.lasted))
        self._shrink()
        return entry

    def _entry(self, block: Block) -> LedgerEntry:
        site, crowd = block.culprit, block.holders > 1
        if site is None:
            key: tuple[object, ...] = (block.thread, crowd)
            found = self._entries.get(key)
        else:
            found = self._match(site, crowd, block.lines)
            key = (site.file, site.function, site.line, crowd)
        if found is None:
            found = self._entries[key] = LedgerEntry(key, block.began)
        return found

    def _match(self, site: Site, crowd: bool, lines: Mapping[int, int]) -> LedgerEntry | None:
        for key, entry in self._entries.items():
            if key[0] == site.file and key[-1] == crowd and len(key) == 4 and key[1] == site.function:
                known = entry.lines.keys() | ({key[2]} if isinstance(key[2], int) else set())
                if not known.isdisjoint(lines) or site.line in known:
                    return entry
        return None

    def _shrink(self) -> None:
        while len(self._entries) > MOST_SITES:
            quiet = min((e for e in self._entries.values() if e.open is None), key=lambda e: e.last, default=None)
            if quiet is None:
                return
            del self._entries[quiet.key]
