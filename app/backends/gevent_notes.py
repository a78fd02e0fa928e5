"""What the log of a gevent program holds beside lives: blocks, kills that were asked for, changes of membership.

Each is made where it happens and told of when the log is drained. They hold entries, never the program's own objects.
"""

from typing import TYPE_CHECKING

from greenscope.app.model import Site

if TYPE_CHECKING:
    from greenscope.app.backends.gevent_registry import Entry, GroupEntry


class Block:
    """A stretch in which the hub did not get control: who ran, from when, how long, and the stack if one was taken."""

    __slots__ = ("entry", "lasted", "stack", "t")

    def __init__(self, entry: "Entry | None", t: float, lasted: float, stack: tuple[Site, ...]) -> None:
        self.entry = entry
        self.t = t
        self.lasted = lasted
        self.stack = stack


class KillNote:
    """A kill that was asked for through the dashboard and has reached the hub."""

    __slots__ = ("entry", "t")

    def __init__(self, entry: "Entry", t: float) -> None:
        self.entry = entry
        self.t = t


class Membership:
    """That a greenlet was found in a group, or out of it, while it ran."""

    __slots__ = ("entry", "group", "joined", "t")

    def __init__(self, entry: "Entry", group: "GroupEntry", t: float, joined: bool) -> None:
        self.entry = entry
        self.group = group
        self.t = t
        self.joined = joined
