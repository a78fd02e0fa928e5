"""Where a greenlet's time goes: run, ready, wait; kept by the hub while somebody watches.

The hub reads the clock once per switch. Per raw greenlet it adds up

    run_time      between being switched to and switching away       switches, longest_run beside it
    ready_time    between being made ready and being switched to

and waiting is the rest of its life. `hub.now` is when the running slice began; 0.0 says
that no account is kept. All seconds are of `time.monotonic`, whatever clock the hub's
timers go by. A greenlet's account starts with its own first slice, since its carrier
served others before; it is handed to the Greenlet when it ends.
"""

from time import monotonic
from typing import Any

__all__ = ["Account", "close_account", "first_slice", "open_account", "open_accounts"]

#: (run, ready, switches, longest) in seconds and number; a float is the one slice of a life without a wait
Account = tuple[float, float, int, float] | float


def open_account(raw: Any, now: float) -> None:
    """Begin the account of a raw greenlet that lives already."""
    raw.run_time = raw.ready_time = raw.longest_run = 0.0
    raw.switches = 0
    raw.ready_at = raw.parked_at = now


def open_accounts(hub: Any) -> None:
    """Begin the accounts of all that live in a hub; called in its thread when accounting was turned on."""
    hub.now = now = monotonic()
    for carrier in list(hub.carriers):
        open_account(carrier, now)
    for entry in hub.ready:
        if hasattr(entry, "gr_frame") and hasattr(entry, "waiting_on"):
            open_account(entry, now)


def first_slice(raw: Any, hub: Any) -> None:
    """Begin the account of a raw greenlet whose task has just been parked for the first time."""
    now = monotonic()
    raw.run_time = raw.longest_run = now - hub.now
    raw.ready_time = 0.0
    raw.switches = 1
    raw.parked_at = now


def close_account(raw: Any, task: Any, hub: Any) -> None:
    """Hand a task that ends its account, the slice that ends with it included; the next slice begins now."""
    now = monotonic()
    last = now - hub.now
    hub.now = now
    switches = raw.switches
    if switches:
        longest = raw.longest_run
        task._account = (raw.run_time + last, raw.ready_time, switches + 1, last if last > longest else longest)
    else:
        task._account = last
