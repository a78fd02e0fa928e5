"""The seam through which observers watch the runtime; free when nobody does.

An instrument is any object with some of the methods of `Instrument`. The runtime
asks one tuple per hook (`hooks.spawned`, ...) and an empty tuple costs a truth test,
so a program that is not observed pays some 10 ns per greenlet. A hook that raises is
removed and reported on stderr once; its fault never reaches the program.

The end of a greenlet is no hook: whoever wants to see it links, to one greenlet or to
`every` one. When it began stands in its `_greenscope_began` while accounting is on.
(Idea: trio's instruments.)
"""

import sys
import traceback
from typing import Any

#: how many calls stand between the hook `spawned` and the program: itself and start(), and spawn() before them
STARTED, SPAWNED = 2, 3

HOOKS = (
    "spawned",
    "spawned_raw",
    "kill_requested",
    "group_opened",
    "grouped",
    "ungrouped",
    "hub_opened",
    "hub_closed",
)


class Instrument:
    """A base class with all hooks, for documentation and type checks; hooks run in the hub's thread."""

    def spawned(self, greenlet: Any) -> None:
        """Called by start() and start_later(), in the greenlet that spawns."""

    def spawned_raw(self, raw: Any) -> None:
        """Called by spawn_raw(), in the greenlet that spawns."""

    def kill_requested(self, greenlet: Any) -> None:
        """Called when kill() is asked of a living greenlet, by whoever asks."""

    def group_opened(self, group: Any) -> None:
        """Called when a Group or Pool is made."""

    def grouped(self, group: Any, greenlet: Any) -> None:
        """Called when a greenlet that was started joins a Group or Pool; of one that was not its links tell."""

    def ungrouped(self, group: Any, greenlet: Any) -> None:
        """Called when a greenlet leaves a Group or Pool alive; one that ends leaves all of its groups."""

    def hub_opened(self, hub: Any) -> None:
        """Called when a thread gets its hub."""

    def hub_closed(self, hub: Any) -> None:
        """Called when a hub is destroyed."""


class Hooks:
    """The callbacks per hook, as tuples: replaced as a whole, so that a reader never sees half a change."""

    __slots__ = ("_instruments", "depth", *HOOKS)

    def __init__(self) -> None:
        #: how many calls stand between a hook for the next start and the program, at least: a hint, for one start
        self.depth = STARTED
        self._instruments: tuple[Any, ...] = ()
        self.spawned: tuple[Any, ...] = ()
        self.spawned_raw: tuple[Any, ...] = ()
        self.kill_requested: tuple[Any, ...] = ()
        self.group_opened: tuple[Any, ...] = ()
        self.grouped: tuple[Any, ...] = ()
        self.ungrouped: tuple[Any, ...] = ()
        self.hub_opened: tuple[Any, ...] = ()
        self.hub_closed: tuple[Any, ...] = ()

    def add(self, instrument: Any) -> None:
        """Add an instrument; a second time is a no-op. Takes effect at the next event."""
        if instrument not in self._instruments:
            self._instruments += (instrument,)
            for name in HOOKS:
                hook = getattr(instrument, name, None)
                if hook is not None and getattr(hook, "__func__", hook) is not getattr(Instrument, name):
                    setattr(self, name, (*getattr(self, name), hook))

    def remove(self, instrument: Any) -> None:
        """Remove an instrument; a no-op when it is not there."""
        self._instruments = tuple(i for i in self._instruments if i is not instrument)
        for name in HOOKS:
            hook = getattr(instrument, name, None)
            setattr(self, name, tuple(h for h in getattr(self, name) if h != hook))

    def call(self, name: str, *args: Any) -> None:
        """Call every callback of one hook; one that raises is removed and reported on stderr."""
        for hook in getattr(self, name):
            try:
                hook(*args)
            except BaseException:
                self.fail(name, hook)

    def fail(self, name: str, hook: Any) -> None:
        """Remove a callback that has just raised, and report its exception on stderr."""
        setattr(self, name, tuple(h for h in getattr(self, name) if h is not hook))
        self._report(name, hook)

    @staticmethod
    def _report(name: str, hook: Any) -> None:
        try:
            sys.stderr.write(f"greenscope: the hook {name} of {type(getattr(hook, '__self__', hook)).__name__} ")
            sys.stderr.write("raised and was removed\n")
            traceback.print_exc()
        except Exception:
            pass


#: the process' one set of hooks
hooks = Hooks()
