"""What a page may weigh: lists are drawn until their room is full, and the rest is a click away.

A page with its scripts and styles stays below 150 kB, charts' data not counted. How many findings, waits or greenlets
there are and how long their names is the observed program's affair, so no list is drawn whole: each has a `Room` of
bytes, and `fit` draws its items as long as they fit and counts those that don't. What is measured is what is sent, so
no number here has to follow the templates.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

#: bytes for what a page lists; beside it stand its frame (16 kB), scripts and styles (50 kB) and its own words
ROOM: Final = 66_000
#: the same where charts are drawn, whose script takes 23 kB
ROOM_BESIDE_CHARTS: Final = 44_000
#: bytes for everything about one greenlet
DETAIL_ROOM: Final = 48_000
#: bytes for the names of groups that a script looks up
NAMES_ROOM: Final = 4_000


class Room:
    """Bytes that are left; a `part` of a room takes its bytes from it, too."""

    def __init__(self, size: int, whole: "Room | None" = None) -> None:
        self._left = size
        self._whole = whole

    @property
    def left(self) -> int:
        """How many bytes still fit."""
        return self._left if self._whole is None else min(self._left, self._whole.left)

    def take(self, html: str) -> bool:
        """Take room for what will be sent; False, and nothing is taken, when it does not fit."""
        size = len(html.encode())
        if size > self.left:
            return False
        self._spend(size)
        return True

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._whole is not None:
            self._whole._spend(size)

    def part(self, most: int) -> "Room":
        """Return room of at most so many bytes within this one."""
        return Room(most, self)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A list as far as it fits: its HTML, how many items that are, and how many are left out."""

    html: Markup
    shown: int
    left: int


def fit(items: Sequence[Any], draw: Callable[[Any], str], room: Room, *, last: bool = False) -> Fitted:
    """Draw the first items (or the `last` ones) up to one that does not fit, in their order."""
    drawn: list[str] = []
    for item in reversed(items) if last else items:
        html = draw(item)
        if not room.take(html):
            break
        drawn.append(html)
    if last:
        drawn.reverse()
    return Fitted(Markup("").join(drawn), len(drawn), len(items) - len(drawn))


def fit_names(names: Mapping[str, str], first: Iterable[str]) -> list[tuple[str, str]]:
    """Return the names that a page carries for its script, as (id, name): those of `first`, then others that fit."""
    room = Room(NAMES_ROOM)
    chosen = []
    for id in dict.fromkeys([*first, *names]):
        if id in names:
            pair = (id, names[id])
            if not room.take(htmlsafe_json_dumps(pair)):
                break
            chosen.append(pair)
    return chosen


def short_key(*parts: object) -> str:
    """Return the same short text for the same parts: the key of a line that has no id."""
    return hashlib.blake2s(repr(parts).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
