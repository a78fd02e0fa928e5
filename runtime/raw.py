"""Raw greenlets as gevent's spawn_raw() gives them: the least that can run, without links, value or join.

Nothing is borrowed here: whoever asks for a raw greenlet gets one of his own, with the
few attributes that `waiting` keeps on each.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import ref

from greenlet import greenlet

from greenscope.runtime.accounting import open_account
from greenscope.runtime.greenlet import Greenlet, getcurrent
from greenscope.runtime.hub import get_hub
from greenscope.runtime.instruments import hooks
from greenscope.runtime.waiting import current_hub

__all__ = ["spawn_raw"]


def spawn_raw(function: Callable[..., Any], *args: Any, **kwargs: Any) -> greenlet:
    """Start `function` in a raw greenlet in the hub's next turn: no links, no value, no join. Does not block.

    Raises TypeError when it is not callable.
    """
    if not callable(function):
        raise TypeError("function must be callable")
    hub = get_hub()
    if kwargs:
        function = partial(function, **kwargs)
    raw: Any = greenlet(function, hub)
    spawner = getcurrent()
    shared = spawner.spawn_tree_locals if isinstance(spawner, Greenlet) else tree_locals_of(spawner)
    raw.hub = hub
    raw.waiting_on = raw.task = None
    open_account(raw, hub.now)
    raw.tree_locals = raw.spawn_tree_locals = {} if shared is None else shared
    raw.spawning_greenlet = ref(spawner)
    hub.run_callback(raw.switch, *args)
    if hooks.spawned_raw:
        hooks.call("spawned_raw", raw)
    started: greenlet = raw
    return started


def tree_locals_of(raw: Any) -> dict[str, Any] | None:
    """Return what the children of a raw greenlet share; None for a main greenlet, whose children are roots."""
    current_hub(raw)
    shared: dict[str, Any] | None = raw.tree_locals
    return shared
