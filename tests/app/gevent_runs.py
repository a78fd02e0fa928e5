"""Runs a program on real gevent in a process of its own, since patching is global."""

from typing import Any

from tests.app.gevent_programs import answer_of

PRELUDE = """
import gc, json, sys, time
import gevent
from gevent.event import Event
from gevent.lock import RLock, Semaphore
from gevent.pool import Group, Pool
from gevent.queue import Queue
from greenscope.app.backends.gevent import GeventProbe

def answer(**values):
    print(json.dumps(values, default=str))

def kinds(events, id=None):
    return [event.kind for event in events if id is None or event.greenlet == id]

def id_of(probe, greenlet):
    return probe._registry.id_of(greenlet)

def few(probe, lives):
    # a look tells no more than so many short lives
    probe._events._short_burst, probe._events._short_rate = lives, 1e9

def look(probe, greenlet):
    return probe.sample([id_of(probe, greenlet)])[0]
"""


def run(body: str, timeout: float = 30) -> dict[str, Any]:
    """Run a gevent program to its end and return what it answered; what it writes to stderr must be nothing."""
    return answer_of(body, PRELUDE, timeout=timeout)
