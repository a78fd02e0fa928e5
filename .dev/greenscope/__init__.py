"""See every greenlet, live.

The face of the package. Nothing is imported until it is asked for, so that a
program that only uses `greenscope.runtime` never loads the web stack.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Monitor", "PortInUse", "UnfitSetting", "create_dashboard", "spawnable", "watch"]

if TYPE_CHECKING:
    from greenscope.app.server import PortInUse
    from greenscope.app.settings import UnfitSetting
    from greenscope.app.spawnables import spawnable
    from greenscope.app.watching import Monitor, create_dashboard, watch

_HOMES = {
    "Monitor": "greenscope.app.watching",
    "PortInUse": "greenscope.app.server",
    "UnfitSetting": "greenscope.app.settings",
    "create_dashboard": "greenscope.app.watching",
    "spawnable": "greenscope.app.spawnables",
    "watch": "greenscope.app.watching",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
