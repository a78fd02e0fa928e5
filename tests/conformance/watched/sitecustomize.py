"""Every Python process that has this folder on its path watches itself: for gevent's own tests, which must not notice.

    PYTHONPATH=tests/conformance/watched:.dev python run_conformance.py --target gevent

The probe is attached before the program begins, and a native thread looks at it as a dashboard does. WATCHED_FAULTS
names a file for what broke in the observer; GREENSCOPE_ACCOUNTING is off, light (as by default) or full.
"""

import os
import time

import gevent
import greenlet

from greenscope.app.backends import gevent_discovery
from greenscope.app.backends.gevent import GeventProbe

_EVERY = 0.1


def _look(probe: GeventProbe) -> None:
    told = 0
    while True:
        _sleep(_EVERY)
        probe.drain()
        probe.hubs()
        probe.count_states()
        probe.groups()
        probe.sample(probe.live_ids()[:200])
        faults, path = probe.faults, os.environ.get("WATCHED_FAULTS")
        if path and len(faults) > told:
            with _open(path, "a") as out:
                out.write("".join(f"{os.getpid()} {fault}\n" for fault in faults[told:]))
        told = len(faults)


_sleep, _open = time.sleep, open
if greenlet.getcurrent().parent is None and hasattr(gevent, "Greenlet"):
    _probe = GeventProbe(accounting=os.environ.get("GREENSCOPE_ACCOUNTING", "light"))
    _probe.attach()
    gevent_discovery.start_new_thread(_look, (_probe,))
