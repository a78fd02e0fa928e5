"""Greenlet: a function that runs cooperatively, with a result that others can wait for.

    NEW --start()--> PENDING --its turn--> RUNNING --returns--> VALUE
     |                  |                    |--------raises---> ERROR
     +------kill()------+                    +--------killed---> VALUE (a GreenletExit)
              |
              +--never runs--> VALUE (a GreenletExit), ERROR when killed with another exception

A Greenlet is a plain object. It borrows a raw greenlet (`carriers`) for the time
between its first switch and its end; before and after, it costs a small object only.
Its turn comes when the hub takes it from the ready queue, or when a carrier that has
just ended another one finds it next there. `getcurrent()` returns the Greenlet in whose
carrier it is called. What others may ask of its end, and wait for, is in `joinable`.

Deliberate differences from gevent:
1. It is not a subclass of greenlet.greenlet; `gr_frame`, `dead`, `switch`, `throw`,
   `parent` and bool() mean the same.
2. Links run at the end of the batch in which the greenlet ended, spawned links after
   all raw ones, in order of ending.
"""

import importlib
import weakref
from _thread import get_ident
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import greenlet as _greenlet

from greenscope.runtime.accounting import Kept
from greenscope.runtime.carriers import PENDING, VALUE, Carrier, borrow, strip
from greenscope.runtime.every import every
from greenscope.runtime.exceptions import GreenletExit
from greenscope.runtime.hub import Hub
from greenscope.runtime.instruments import SPAWNED, hooks
from greenscope.runtime.interruption import AT_THE_END
from greenscope.runtime.joinable import ERROR, NEW, Joinable
from greenscope.runtime.shared_names import share_names
from greenscope.runtime.timers import Timer
from greenscope.runtime.waiting import current_hub, interrupt_in_turn

__all__ = ["Greenlet", "getcurrent"]

_raw_current = _greenlet.getcurrent
_weakref = weakref.ref
_hooks = hooks
_GreenletT = TypeVar("_GreenletT", bound="Greenlet")
#: callables that see every Greenlet when it is started (add_spawn_callback)
_spawn_callbacks: tuple[Callable[[Any], Any], ...] = ()


def getcurrent() -> Any:
    """Return the Greenlet that runs, or the raw greenlet where no Greenlet does. Does not block."""
    raw = _raw_current()
    if raw.__class__ is Carrier:
        task = raw.task
        return raw if task is None else task
    return raw


def __getattr__(name: str) -> Any:
    """Find joinall() and killall() here, too, as in gevent: their module imports this one."""
    if name in ("joinall", "killall"):
        return getattr(importlib.import_module("greenscope.runtime.waits"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class Greenlet(Joinable):
    """A light-weight cooperatively scheduled execution unit; a plain object, no raw greenlet (difference 1).

    Runs `run(*args, **kwargs)`, or its own `_run` in a subclass. Raises TypeError when that is not callable.
    As a context manager it joins on exit, and kills when the body raised.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = MappingProxyType({})
    _tree_locals: dict[str, Any] | None = None
    _name: str | None = None
    _carrier: Carrier | None = None
    _timer: Timer | None = None
    #: what its greenlet-local data hang on (see local)
    _locals: Any = None
    _formatted: str | None = None
    #: set while somebody watches, under names that no program has: who it is, when it was born and by whom, until that
    #: is told, the numbers of the groups that it was put into before its start, and when it has ended its account, or
    #: when its one slice began and ended
    _greenscope_id: int | None = None
    _greenscope_born: float | None = None
    _greenscope_origin: tuple[Any, ...] | None = None
    _greenscope_groups: tuple[int, ...] | None = None
    _greenscope_account: Kept | float | None = None
    _greenscope_ended: float | None = None

    def __init__(self, run: Callable[..., Any] | None = None, *args: Any, **kwargs: Any) -> None:
        if run is not None:
            self._run = run  # type: ignore[method-assign]
        if not callable(self._run):
            raise TypeError("The run argument or self._run must be callable")
        if args:
            self.args = args
        if kwargs:
            self.kwargs = kwargs
        spawner: Any = _raw_current()
        try:
            self.hub: Hub = spawner.hub
            task = spawner.task
        except AttributeError:
            self.hub = current_hub(spawner)
            task = spawner.task
        if task is not None:
            shared = task._tree_locals
            self._tree_locals = task.spawn_tree_locals if shared is None else shared
            self.spawning_greenlet = _weakref(task)
        else:
            shared = spawner.tree_locals
            if shared is not None:
                self._tree_locals = shared
            self.spawning_greenlet = _weakref(spawner)

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work; for subclasses to override."""
        return None

    # -- starting

    def start(self) -> None:
        """Schedule it for the hub's next turn; a no-op when it was started or killed before. Does not block."""
        if self._state == NEW:
            self._state = PENDING
            hook = _hooks.on_spawn
            if hook is not None:
                try:
                    hook(self)
                except BaseException as error:
                    try:
                        _hooks.fail("spawned", hook, error)
                    except BaseException as passed:  # a signal's: as if it had come when all is done
                        if passed is error or not isinstance(passed, AT_THE_END):
                            self.hub.run_callback(self.switch)
                            _call_spawn_callbacks(self)
                            raise
                        _hooks.interrupted += 1
            if _spawn_callbacks:
                _call_spawn_callbacks(self)
            hub = self.hub
            hub.ready.append(self)
            if hub.sleeping:
                hub.poller.wake()

    def start_later(self, seconds: float) -> None:
        """Schedule it in `seconds`; a no-op when it was started or killed before. Does not block."""
        if self._state == NEW:
            self._state = PENDING
            hook = _hooks.on_spawn
            if hook is not None:
                try:
                    hook(self)
                except BaseException as error:
                    try:
                        _hooks.fail("spawned", hook, error)
                    except BaseException as passed:
                        if passed is error or not isinstance(passed, AT_THE_END):
                            self._timer = self.hub.call_later(seconds, self.hub.ready.append, (self,))
                            _call_spawn_callbacks(self)
                            raise
                        _hooks.interrupted += 1
            if _spawn_callbacks:
                _call_spawn_callbacks(self)
            self._timer = self.hub.call_later(seconds, self.hub.ready.append, (self,))

    @classmethod
    def spawn(cls: type[_GreenletT], *args: Any, **kwargs: Any) -> _GreenletT:
        """Return a new started Greenlet; the arguments are the constructor's. Does not block."""
        new = cls(*args, **kwargs)
        if _hooks.on_spawn is not None:
            _hooks.depth = SPAWNED
        new.start()
        return new

    @classmethod
    def spawn_later(cls: type[_GreenletT], seconds: float, *args: Any, **kwargs: Any) -> _GreenletT:
        """Return a new Greenlet that starts in `seconds`; the other arguments are the constructor's. Does not block."""
        if cls is Greenlet and not args and "run" not in kwargs:
            raise TypeError("spawn_later() needs a function to run")
        new = cls(*args, **kwargs)
        if _hooks.on_spawn is not None:
            _hooks.depth = SPAWNED
        new.start_later(seconds)
        return new

    @staticmethod
    def add_spawn_callback(callback: Callable[[Any], Any]) -> None:
        """Call `callback(greenlet)` for every Greenlet that is started from now on, in the spawning greenlet."""
        global _spawn_callbacks
        if callback not in _spawn_callbacks:
            _spawn_callbacks += (callback,)

    @staticmethod
    def remove_spawn_callback(callback: Callable[[Any], Any]) -> None:
        """Undo add_spawn_callback; a no-op when it was not added."""
        global _spawn_callbacks
        _spawn_callbacks = tuple(c for c in _spawn_callbacks if c != callback)

    def _turn(self, hub: Hub) -> bool:
        """Begin to run; called by the hub when it takes this from the ready queue."""
        if self._state != PENDING:
            return False
        hub.current = carrier = borrow(hub, self)
        carrier.switch()
        return True

    # -- ending

    def _on_value(self, value: Any) -> None:
        self.value = value
        self._state = VALUE
        self._carrier = None
        self._free()
        if self._links or every.listening:  # called when the batch is over (difference 2)
            self.hub.finished.append(self)

    def _free(self) -> None:
        """Let go of what it was to run, as soon as it never will again."""
        try:
            del self._run
        except AttributeError:
            pass
        self.args = ()
        if self.kwargs:
            self.kwargs = Greenlet.kwargs
        if self._locals is not None:
            self._locals = None

    def _on_error(self, error: BaseException) -> None:
        if isinstance(error, GreenletExit):
            error.__traceback__ = None  # it would keep the killed one's frames, and them alone, alive
            if self._links or every.listening:
                self.hub.cut_short.append(self)
            self._on_value(error)
            return
        tb = strip(error)
        self._exc_info = (type(error), error, tb)
        self._state = ERROR
        self._carrier = None
        hub = self.hub
        if self._links or every.listening:
            hub.cut_short.append(self)
            hub.finished.append(self)
        try:
            self._report_error(error, tb)
        finally:
            self._free()

    def _report_error(self, error: BaseException, tb: Any) -> None:
        """Tell the hub of the error with which it failed; for subclasses whose errors go elsewhere."""
        self.hub.handle_error(self, type(error), error, tb)

    def _end_unstarted(self, error: Any) -> bool:
        """End it before it ran; False when it runs or has ended already."""
        if self._state > PENDING:
            return False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if isinstance(error, tuple) and len(error) == 3:
            error = error[0] if error[1] is None else error[1]
        if isinstance(error, type) and issubclass(error, BaseException):
            error = error()
        if not isinstance(error, BaseException):
            error = BaseException(error)
        self._on_error(error)
        self._wake_for_links()
        return True

    def _wake_for_links(self) -> None:
        if self.hub.finished and self.hub.sleeping:
            self.hub.poller.wake()

    # -- what it is

    @property
    def spawn_tree_locals(self) -> dict[str, Any]:
        """A dict that it shares with whoever spawned it and with all that it spawns; main's children are roots."""
        shared = self._tree_locals
        if shared is None:
            shared = self._tree_locals = {}
        return shared

    @property
    def loop(self) -> Any:
        """The loop of its hub."""
        return self.hub.loop

    @property
    def parent(self) -> Any:
        """Its hub."""
        return self.hub

    @property
    def gr_frame(self) -> Any:
        """Its innermost frame while it is parked, else None."""
        return self._carrier.gr_frame if self._carrier is not None else None

    @property
    def gr_context(self) -> Any:
        """Its contextvars context while it runs, else None."""
        return self._carrier.gr_context if self._carrier is not None else None

    @property
    def minimal_ident(self) -> int:
        """A small number that no other living greenlet of its hub has."""
        return self.hub.idents.of(self)

    @property
    def name(self) -> str:
        """`Greenlet-<minimal_ident>` unless it was set."""
        return f"Greenlet-{self.minimal_ident}" if self._name is None else self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value
        if hooks.renamed:
            hooks.call("renamed", self)

    # -- control

    def switch(self, *args: Any) -> Any:
        """Switch to it at once; for the hub and for whoever knows that it is parked by hand."""
        if self._state == PENDING:
            self._turn(self.hub)
            return None
        if self._carrier is None:
            return None
        return self._carrier.switch(*args)

    def throw(self, *args: Any) -> Any:
        """Raise an exception where it stands, at once; for the hub. Everybody else uses kill().

        One that has not begun ends with the exception and never runs.
        """
        if self._carrier is not None:
            return self._carrier.throw(*args)
        error: Any = args if len(args) == 3 else args[0] if args else GreenletExit()
        self._end_unstarted(error)
        return None

    def kill(self, exception: Any = GreenletExit, block: bool = True, timeout: float | None = None) -> None:
        """Raise `exception` in the greenlet where it stands; one that has not begun never runs.

        With `block` (default) waits until it is dead or `timeout` seconds have passed. Never raises; a no-op when it
        is dead. It may catch the exception and live on: look at `dead`.
        """
        if self._state >= VALUE:
            return
        if self.hub.thread_ident != get_ident():  # its own thread has to look whether it has begun
            self.hub.run_callback(self.kill, exception, False)
            if block:
                self.join(timeout)
            return
        try:
            if hooks.kill_requested:
                hooks.call("kill_requested", [self])
        finally:  # whatever a signal's handler raises meanwhile
            begun = not self._end_unstarted(exception) and self._carrier is not None
            if begun:
                interrupt_in_turn(self._carrier, exception)
        if block and begun:
            self.join(timeout)

    # -- as a context manager, and as text

    def __enter__(self: _GreenletT) -> _GreenletT:
        return self

    def __exit__(self, type_: Any, value: Any, tb: Any) -> None:
        if type_ is None:
            try:
                self.join()
            finally:
                self.kill()
        else:
            self.kill((type_, value, tb))

    def __repr__(self) -> str:
        named = self._name is not None or self.hub.idents.known(self)
        name = f' "{self.name}"' if named else ""
        formatted = self._formatinfo()
        return f"<{type(self).__name__}{name} at {id(self):#x}{': ' + formatted if formatted else ''}>"

    def _formatinfo(self) -> str:
        if self._formatted is None:
            function = self._run
            owner = getattr(function, "__self__", None)
            if owner is self:
                text = "_run"
            elif owner is not None:
                text = repr(function)
            else:
                text = getattr(function, "__name__", "") or repr(function)
            shown = [repr(arg)[:50] for arg in self.args]
            shown += [f"{key}={repr(arg)[:50]}" for key, arg in self.kwargs.items()]
            self._formatted = f"{text}({', '.join(shown)})" if shown else text
        return self._formatted


def _call_spawn_callbacks(greenlet_: Greenlet) -> None:
    for callback in _spawn_callbacks:
        callback(greenlet_)


share_names(Greenlet)
