"""Write down what a runtime offers: `python surface.py PACKAGE` prints every public name, with signatures, as JSON.

    {module: {name: signature}}     name: "Queue", "Queue.get", "Queue.__iter__"; module: "queue", "" for the package

The public names of a module are those of its `__all__` (else what it defines itself) and some that are documented
only. Those of a class are what it and its bases define, and what an instance carries. A signature is a list of [name,
kind, default]; "callable" for what can be called, but is no Python function; null for what can't be called.

Given such JSON on stdin (`python surface.py PACKAGE -`), looks for the names in there instead. With PURE_PYTHON=1
gevent's compiled classes are Python, so that all is to be seen.
"""

import importlib
import inspect
import json
import sys
from types import ModuleType
from typing import Any

MODULES = (
    *("", "greenlet", "hub", "event", "lock", "queue", "pool", "timeout", "local", "threadpool"),
    *("subprocess", "socket", "select", "exceptions", "os", "signal", "util"),
)

#: documented, but not in `__all__`
DOCUMENTED = {
    "": ("version_info",),
    "hub": ("LoopExit", "idle", "iwait", "wait"),
    "exceptions": (
        *("BlockingSwitchOutError", "ConcurrentObjectUseError", "GreenletExit", "HubDestroyed"),
        *("InvalidSwitchError", "InvalidThreadUseError"),
    ),
    "socket": ("wait",),
    "queue": ("ShutDown",),
    "select": ("poll",),
}

#: what a hub has as its `loop`, looked at like a class
LOOP = "loop"

#: special methods that are part of what a class offers; the interpreter calls them, so their parameters mean nothing
PROTOCOLS = (
    *("__enter__", "__exit__", "__len__", "__bool__", "__iter__", "__next__", "__call__", "__class_getitem__"),
    *("__contains__", "__lt__"),
)

#: classes of which an instance can be made just so, and arguments for those that need some
MAKEABLE: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("Greenlet", "Event", "AsyncResult", "Semaphore", "BoundedSemaphore", "DummySemaphore"), ()),
    **dict.fromkeys(("RLock", "Queue", "SimpleQueue", "JoinableQueue", "PriorityQueue", "LifoQueue", "Channel"), ()),
    **dict.fromkeys(("Group", "Pool", "Timeout", "Waiter", "socket"), ()),
    **dict.fromkeys(("ThreadPool", "ThreadPoolExecutor"), (1,)),
    "Popen": (["true"],),
    "CompletedProcess": ([], 0),
}


def public_names(module: ModuleType) -> set[str]:
    """Return the names that a module offers."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [name for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__]
    documented = DOCUMENTED.get(module.__name__.partition(".")[2], ())
    return {name for name in (*names, *documented) if not name.startswith("_") and hasattr(module, name)}


def members(module: ModuleType, cls: type) -> set[str]:
    """Return the names of what a class offers, by itself, by its bases and by its instances."""
    found = {name for base in cls.__mro__ if base is not object for name in vars(base)}
    if cls.__name__ == "Hub":
        found |= set(vars(module.get_hub()))
    elif cls.__name__ in MAKEABLE:
        found |= set(getattr(cls(*MAKEABLE[cls.__name__]), "__dict__", ()))
    return {name for name in found if not name.startswith("_") or name in PROTOCOLS}


def parameters(function: Any, drop: int) -> Any:
    """Return the parameters of a function in Python, from number `drop` on; those that are private left out."""
    if not inspect.isfunction(function):
        return "callable" if callable(function) else None
    kept = list(inspect.signature(function).parameters.values())[drop:]
    return [[p.name, p.kind.name, default(p.default)] for p in kept if not p.name.startswith("_")]


def default(value: Any) -> str | None:
    """Return a default value in words that are the same for every package; None when there is none."""
    if value is inspect.Parameter.empty:
        return None
    if inspect.isclass(value):
        return value.__name__
    text = repr(value)
    return "None" if text.startswith("<") else text  # a sentinel: nothing was given


def signature(owner: Any, name: str) -> Any:
    """Return the parameters of what an owner, a module or a class, has under a name; those of a class to make it."""
    thing = inspect.getattr_static(owner, name, None) if inspect.isclass(owner) else getattr(owner, name, None)
    if name in PROTOCOLS:
        return "callable"
    if isinstance(thing, staticmethod):
        return parameters(thing.__func__, 0)
    if isinstance(thing, classmethod):
        return parameters(thing.__func__, 1)
    if inspect.isclass(thing):
        return "callable" if inspect.isclass(owner) else parameters(thing.__init__, 1)
    if inspect.ismethod(thing):
        return parameters(thing.__func__, 1)
    return parameters(thing, 1 if inspect.isclass(owner) else 0)


def has_home_elsewhere(package: str, module: ModuleType, cls: type) -> bool:
    """Return True for a class that another of the modules shows as its own."""
    home = cls.__module__
    return home != module.__name__ and home.removeprefix(f"{package}.") in MODULES


def describe(package: str, module: ModuleType) -> dict[str, Any]:
    """Return the names of a module and of its classes, with their signatures."""
    found: dict[str, Any] = {}
    for name in public_names(module):
        thing = getattr(module, name)
        found[name] = signature(module, name)
        own = inspect.isclass(thing) and thing.__module__.partition(".")[0] == package and thing.__name__ == name
        if own and not issubclass(thing, Exception) and not has_home_elsewhere(package, module, thing):
            for member in members(module, thing):
                found[f"{name}.{member}"] = signature(thing, member)
    if module.__name__ == "gevent.hub":
        interface = importlib.import_module("gevent._interfaces").ILoop
        found |= {f"{LOOP}.{name}": signature(module.get_hub().loop, name) for name in interface}
    return found


def find(module: ModuleType, names: list[str]) -> dict[str, Any]:
    """Return those of the names that a module has, with their signatures."""
    found: dict[str, Any] = {}
    offered: dict[str, set[str]] = {}
    for name in names:
        owner, _, member = name.rpartition(".")
        if owner == LOOP:
            if hasattr(module.get_hub().loop, member):
                found[name] = signature(module.get_hub().loop, member)
        elif not owner:
            if hasattr(module, name) and not inspect.ismodule(getattr(module, name)):
                found[name] = signature(module, name)
        elif inspect.isclass(getattr(module, owner, None)):
            cls = getattr(module, owner)
            if owner not in offered:
                offered[owner] = members(module, cls)
            if member in offered[owner]:
                found[name] = signature(cls, member)
    return found


def main(package: str, source: str = "") -> None:
    """Print what the package offers."""
    wanted = json.load(sys.stdin) if source else None
    found = {}
    for name in MODULES:
        module = importlib.import_module(f"{package}.{name}" if name else package)
        found[name] = describe(package, module) if wanted is None else find(module, wanted[name])
    json.dump(found, sys.stdout, sort_keys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
