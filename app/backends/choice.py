"""Which probe fits this process: gevent's or the native runtime's."""

import importlib
import importlib.util
import sys
import threading
from typing import Literal

from greenscope.app.probe import Probe
from greenscope.app.settings import unfit

Backend = Literal["auto", "native", "gevent"]
Accounting = Literal["off", "light", "full"]

BACKENDS: tuple[Backend, ...] = ("auto", "native", "gevent")
ACCOUNTING: tuple[Accounting, ...] = ("off", "light", "full")


def choose_backend(backend: str) -> Literal["native", "gevent"]:
    """Return the backend meant by `auto`: what the program has loaded, else gevent where it is installed.

    Raises UnfitSetting for a name that is none, and for gevent where it is not installed.
    """
    if backend not in BACKENDS:
        raise unfit("backend", backend, f"give one of {', '.join(BACKENDS)}")
    if backend == "gevent" and importlib.util.find_spec("gevent") is None:
        raise unfit("backend", backend, "gevent is not installed here; install it, or use backend='native'")
    if backend != "auto":
        return "gevent" if backend == "gevent" else "native"
    if "gevent.hub" in sys.modules or "gevent._gevent_c_hub_local" in sys.modules:
        return "gevent"
    if "greenscope.runtime.hub" in sys.modules or importlib.util.find_spec("gevent") is None:
        return "native"
    return "gevent"


def _import_gevent() -> None:
    """Import gevent, and let it know the main thread: it takes the one for it in which it is imported first."""
    if "gevent.hub" in sys.modules:
        return
    hub = importlib.import_module("gevent.hub")
    hub.MAIN_THREAD_IDENT = threading.main_thread().ident  # type: ignore[attr-defined]


def make_probe(backend: str = "auto", accounting: str = "light") -> Probe:
    """Return a probe for this process, not attached yet. Raises UnfitSetting for a setting that is none."""
    if accounting not in ACCOUNTING:
        raise unfit("accounting", accounting, f"give one of {', '.join(ACCOUNTING)}")
    if choose_backend(backend) == "gevent":
        _import_gevent()
        from greenscope.app.backends.gevent import GeventProbe

        return GeventProbe(accounting=accounting)
    from greenscope.app.backends.native import NativeProbe

    return NativeProbe(accounting=accounting != "off")
