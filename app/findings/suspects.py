"""Who held the interpreter, when whoever did has gone on before we could look.

After a call into C that held the interpreter any waiting thread may get it next. If that was not ours, the hub's turn
can be over when we look, and no stack shows the culprit any more. But the accounts do: it has just had a slice as long
as the time in which nobody could run. It is looked for among the living at once, and among those that end soon after.
"""

from dataclasses import dataclass
from typing import Final

from greenscope.app.findings.ledger import Block
from greenscope.app.history import Entry
from greenscope.app.model import GreenletRecord, Site
from greenscope.app.population import Population
from greenscope.app.probe import Probe

#: a slice fits that is at least this share of the stretch, and at most so many seconds longer
_LEAST: Final = 0.7
_MORE: Final = 0.2
#: slices that are shorter (seconds) hold up nobody
_LONG: Final = 0.1
#: the living that are looked at: the eldest and the youngest
_LOOKED_AT: Final = 2_000
#: seconds within which an end is told of
_SOON: Final = 2.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which no thread could run: until when (monotonic second), and for how long at least."""

    ended: float
    lasted: float

    def fits(self, longest_run: float | None) -> bool:
        """Tell whether a slice of this length can have been it."""
        return longest_run is not None and _LEAST * self.lasted <= longest_run <= self.lasted + _MORE


def is_long(entry: Entry) -> bool:
    """Tell whether a greenlet that has ended had a slice in which it may have held the interpreter."""
    sample = entry.event.sample if entry.event is not None else None
    return sample is not None and sample.longest_run is not None and sample.longest_run >= _LONG


def find_living(stretch: Stretch, probe: Probe, population: Population) -> Block | None:
    """Return the stretch as a block of the live greenlet that has had such a slice (None: there is none)."""
    if "accounting" not in probe.capabilities:
        return None
    ids = list(population.lives)
    if len(ids) > 2 * _LOOKED_AT:
        ids = ids[:_LOOKED_AT] + ids[-_LOOKED_AT:]
    for sample in probe.sample(ids):
        life = population.lives.get(sample.id)
        if life is not None and stretch.fits(sample.longest_run):
            return _block(stretch, life.record, sample.place)
    return None


def find_ended(stretch: Stretch, entry: Entry) -> Block | None:
    """Return the stretch as a block of a greenlet that has ended after it, if that had such a slice."""
    event, record = entry.event, entry.record
    if event is None or event.sample is None or record is None:
        return None
    soon = -_MORE <= event.t - (stretch.ended - stretch.lasted) <= stretch.lasted + _SOON
    return _block(stretch, record, None) if soon and stretch.fits(event.sample.longest_run) else None


def _block(stretch: Stretch, record: GreenletRecord, place: Site | None) -> Block:
    culprit = place or Site(record.file, record.line, record.function)
    return Block(
        thread=record.thread,
        began=stretch.ended - stretch.lasted,
        lasted=stretch.lasted,
        culprit=culprit,
        lines={culprit.line: round(stretch.lasted * 1000)},
        stack=(culprit,),
        greenlet=record.id,
        held=stretch.lasted,
    )
