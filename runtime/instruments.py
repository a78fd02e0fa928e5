"""The seam through which observers watch the runtime; free when nobody does.

An instrument is any object with some of the methods of `Instrument`. The runtime
asks one tuple per hook (`hooks.spawned`, ...) and an empty tuple costs a truth test,
so a program that is not observed pays some 10 ns per greenlet; for births, by far
the most, it is one callable or None. A hook that raises is removed and reported on
stderr once; its fault never reaches the program. What a signal's handler raised in it
does: that is the program's, and the hook stays.

The end of a greenlet is no hook: whoever wants to see it links, to one greenlet or to
`every` one.
(Idea: trio's instruments.)
"""

import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from greenscope.runtime.interruption import AT_THE_END, is_programs

#: how many calls stand between the hook `spawned` and the program: itself and start(), spawn() before them; where that
#: is a Group's, its start(), or the mapping method that spawns
STARTED, SPAWNED, SPAWNED_INTO, SPAWNED_MAPPED = 2, 3, 4, 4

#: writes what an observer keeps at a greenlet whose class has a __setattr__ of its own that refused it; slower than `=`
write = object.__setattr__

HOOKS = (
    "spawned",
    "spawned_raw",
    "renamed",
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

    def renamed(self, greenlet: Any) -> None:
        """Called when a Greenlet's name was set, by whoever sets it."""

    def kill_requested(self, greenlets: list[Any]) -> None:
        """Called when kill() is asked of a living greenlet, or killall() of several of a thread, by whoever asks."""

    def group_opened(self, group: Any) -> None:
        """Called when a Group or Pool is made."""

    def grouped(self, group: Any, greenlet: Any) -> None:
        """Called when a greenlet that was started joins a Group or Pool.

        One that was not is handed the `_greenscope_groups` that an observer has given the group.
        """

    def ungrouped(self, group: Any, greenlet: Any) -> None:
        """Called when a greenlet leaves a Group or Pool alive; one that ends leaves all of its groups."""

    def hub_opened(self, hub: Any) -> None:
        """Called when a thread gets its hub."""

    def hub_closed(self, hub: Any) -> None:
        """Called when a hub is destroyed."""


class Hooks:
    """The callbacks per hook, as tuples: replaced as a whole, so that a reader never sees half a change."""

    __slots__ = ("_instruments", "depth", "interrupted", "on_spawn", *HOOKS)

    def __init__(self) -> None:
        #: how many calls stand between a hook for the next start and the program, at least: a hint, for one start
        self.depth = STARTED
        #: how often a callback of an observer was cut short by what was not its fault: it may have seen a part alone
        self.interrupted = 0
        self._instruments: tuple[Any, ...] = ()
        #: what start() calls: the one callback of `spawned`, or what calls all of them; None: there is none
        self.on_spawn: Callable[[Any], Any] | None = None
        self.spawned: tuple[Any, ...] = ()
        self.spawned_raw: tuple[Any, ...] = ()
        self.renamed: tuple[Any, ...] = ()
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
                    self._set(name, (*getattr(self, name), hook))

    def remove(self, instrument: Any) -> None:
        """Remove an instrument; a no-op when it is not there."""
        self._instruments = tuple(i for i in self._instruments if i is not instrument)
        for name in HOOKS:
            hook = getattr(instrument, name, None)
            self._set(name, tuple(h for h in getattr(self, name) if h != hook))

    def _set(self, name: str, callbacks: tuple[Any, ...]) -> None:
        setattr(self, name, callbacks)
        if name == "spawned":
            several = len(callbacks) > 1
            self.on_spawn = partial(self.call, name) if several else callbacks[0] if callbacks else None

    def call(self, name: str, *args: Any) -> None:
        """Call every callback of one hook; one that raises is removed and reported on stderr.

        Raises what a signal's handler has raised in one, after all were called.
        """
        interruption: BaseException | None = None
        for hook in getattr(self, name):
            try:
                hook(*args)
            except BaseException as error:
                try:
                    self.fail(name, hook, error)
                except BaseException as another:
                    interruption = another if interruption is None else _both(interruption, another)
        if interruption is not None:
            try:
                raise interruption
            finally:
                interruption = None  # whose traceback refers to this frame

    def fail(self, name: str, hook: Any, error: BaseException) -> None:
        """Deal with what a callback has just raised: remove it, and report its exception on stderr.

        Raises the exception when it is the program's; the callback stays. The same for what a signal's handler raises
        meanwhile.
        """
        self.depth = STARTED
        try:
            if is_programs(error):
                raise error
            if not isinstance(error, AT_THE_END):
                self._set(name, tuple(h for h in getattr(self, name) if h is not hook))
                self._report(name, hook)
                return
        except AT_THE_END as another:
            if another is error:  # a handler's own
                self.interrupted += 1
                raise
        except BaseException:
            self.interrupted += 1
            raise
        finally:
            del error  # whose traceback refers to this frame
        self.interrupted += 1

    @staticmethod
    def _report(name: str, hook: Any) -> None:
        try:
            sys.stderr.write(f"greenscope: the hook {name} of {type(getattr(hook, '__self__', hook)).__name__} ")
            sys.stderr.write("raised and was removed\n")
            traceback.print_exc()
        except Exception as error:
            if is_programs(error):
                raise


def _both(first: BaseException, second: BaseException) -> BaseException:
    """Return the second error, with the first one as its context: Python sees to it that no ring comes of it."""
    try:
        try:
            raise first
        finally:
            raise second
    except BaseException as error:
        return error


#: the process' one set of hooks
hooks = Hooks()
