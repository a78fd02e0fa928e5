"""Greenlet-local data: an object whose attributes are different ones in each greenlet.

    data = local()
    data.number = 42          # seen in this greenlet only

A greenlet that uses locals holds a `Token`. Each local holds one dict per token, weakly:

    greenlet --> Token <--weak-- {id(token): (ref, dict)} <-- local

So the dicts of a greenlet are gone as soon as it lets go of its token, which it does
when it ends, even if somebody still refers to it; and all dicts of a local are gone with
the local, without a trace in greenlets that go on. No link and no lock is needed.

Subclasses may define `__init__`, called once in each greenlet with the arguments of the
first call; `__slots__` and properties are shared by all greenlets, as in
`threading.local`.
"""

import weakref
from copy import copy
from typing import Any

from greenscope.runtime.greenlet import getcurrent

__all__ = ["all_local_dicts_for_greenlet", "local"]

_MISSING = object()


class Token:
    """Stands for a greenlet as long as it lives; knows the locals that it used."""

    __slots__ = ("__weakref__", "used")

    def __init__(self) -> None:
        self.used: weakref.WeakSet[Storage] = weakref.WeakSet()


class Storage:
    """The dicts of one local."""

    __slots__ = ("__weakref__", "args", "dicts", "kwargs", "owner")

    def __init__(self, owner: tuple[type, int], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.owner = owner
        self.args = args
        self.kwargs = kwargs
        self.dicts: dict[int, tuple[Any, dict[str, Any]]] = {}

    def create(self, content: dict[str, Any]) -> dict[str, Any]:
        """Make `content` the dict of the current greenlet."""
        greenlet = getcurrent()
        token = getattr(greenlet, "_locals", None)
        if token is None:
            token = greenlet._locals = Token()
        key = id(token)
        storage = weakref.ref(self)  # a strong one would be a cycle, and keep the content until a collection

        def forget(_: Any) -> None:
            alive = storage()
            if alive is not None:
                alive.dicts.pop(key, None)

        self.dicts[key] = (weakref.ref(token, forget), content)
        token.used.add(self)
        return content


def all_local_dicts_for_greenlet(greenlet: Any) -> list[tuple[tuple[type, int], dict[str, Any]]]:
    """Return ((type, id), dict) of each local that a greenlet has used. Does not block."""
    token = getattr(greenlet, "_locals", None)
    if token is None:
        return []
    return [(storage.owner, storage.dicts[id(token)][1]) for storage in list(token.used)]


def _dict_of(instance: "local") -> dict[str, Any]:
    storage: Storage = object.__getattribute__(instance, "_local__storage")
    try:
        return storage.dicts[id(getcurrent()._locals)][1]
    except (AttributeError, KeyError):
        pass
    content = storage.create({})
    cls = type(instance)
    cls.__init__(instance, *storage.args, **storage.kwargs)
    return content


def _on_type(instance: "local", name: str) -> Any:
    """Return an attribute of the type as it stands there, without asking it for a value."""
    for base in type(instance).__mro__:
        found = base.__dict__.get(name, _MISSING)
        if found is not _MISSING:
            return found
    return _MISSING


class local:
    """An object whose attributes are greenlet-local. Raises TypeError for arguments that no `__init__` takes."""

    __slots__ = ("__weakref__", "_local__storage")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError("Initialization arguments are not supported", args, kwargs)
        self = object.__new__(cls)
        storage = Storage((cls, id(self)), args, kwargs)
        object.__setattr__(self, "_local__storage", storage)
        storage.create({})  # so that __init__ isn't called a second time when it sets the first attribute
        return self

    def __getattribute__(self, name: str) -> Any:
        content = _dict_of(self)
        if name == "__dict__":
            return content
        if name in content:
            kind = type(_on_type(self, name))  # object, when the type has nothing of that name
            if not (hasattr(kind, "__set__") or hasattr(kind, "__delete__")):  # else a data descriptor: it wins
                return content[name]
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "__dict__":
            raise AttributeError(f"{type(self).__name__!r} object attribute '__dict__' is read-only")
        content = _dict_of(self)
        if hasattr(type(_on_type(self, name)), "__set__"):
            object.__setattr__(self, name, value)
        else:
            content[name] = value

    def __delattr__(self, name: str) -> None:
        if name == "__dict__":
            raise AttributeError(f"{type(self).__name__!r} object attribute '__dict__' is read-only")
        content = _dict_of(self)
        if hasattr(type(_on_type(self, name)), "__delete__"):
            object.__delattr__(self, name)
        elif name in content:
            del content[name]
        else:
            raise AttributeError(name)

    def __copy__(self) -> Any:
        content = copy(_dict_of(self))
        storage: Storage = object.__getattribute__(self, "_local__storage")
        duplicate = type(self)(*storage.args, **storage.kwargs)
        object.__getattribute__(duplicate, "_local__storage").create(content)
        return duplicate
