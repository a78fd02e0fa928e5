"""Where a greenlet's time goes: run, wait, ready; kept while somebody watches.

Whoever gives up control settles its own account, with one look at the clock: `hub.now`
is when the running slice began, and becomes when the next one begins. So a greenlet that
relays to the next one is accounted for like one that goes back to the hub. 0.0 says that
no accounts are kept. `hub.current` is who has the slice, for observers: a raw greenlet,
or the hub itself.

Per raw greenlet there are

    since        when it began, or its account was opened later; 0.0: none is kept
    run_time     between being switched to and switching away       switches, longest_run beside it
    wait_time    between parking and being made ready
    parked_at    when it gave up control last, but by sleep(0): that one is ready at once; 0.0: not yet

and being ready is the rest of its life: what no moment has to be noted for. All seconds are
of `time.monotonic`, whatever clock the hub's timers go by. A carrier's account belongs to
its job, is handed to the Greenlet when that ends, and is clear for the next one.
"""

from time import monotonic
from typing import Any

from greenscope.runtime.instruments import write
from greenscope.runtime.interruption import is_programs

__all__ = [
    "Account",
    "clear_account",
    "close_account",
    "keep_accounts",
    "kept_account",
    "open_account",
    "pass_on",
    "pass_turn",
    "read_account",
    "write_slice",
]


#: when it began; run, ready, switches and longest slice, in seconds and number; when it ended
Account = tuple[float, float, float, int, float, float]
#: what is kept of one that has ended: since, run_time, wait_time, switches, longest_run and parked_at as they were
#: before its last slice, when that began and ended; of one that had no other, just these two
Kept = tuple[float, float, float, int, float, float, float, float] | tuple[float, float]


def kept_account(task: Any) -> Kept | None:
    """Return what is kept of a task that has ended, for `read_account`; None when no account was."""
    kept: Kept | float | None = task._greenscope_account
    return (kept, task._greenscope_ended) if isinstance(kept, float) else kept


def read_account(kept: Kept) -> Account:
    """Work an account out; not done when a task ends, since few are ever looked at."""
    if len(kept) == 2:
        began, ended = kept
        return began, ended - began, 0.0, 1, ended - began, ended
    since, run, wait, switches, longest, parked_at, began, ended = kept
    last = ended - began
    run += last
    ready = ended - since - run - wait if switches or parked_at else 0.0
    return since, run, max(0.0, ready), switches + 1, max(last, longest), ended


def clear_account(raw: Any) -> None:
    """Make the account of a raw greenlet that of one that has not begun."""
    raw.run_time = raw.wait_time = raw.longest_run = raw.since = raw.parked_at = 0.0
    raw.switches = 0


def open_account(raw: Any, now: float) -> None:
    """Begin the account of a raw greenlet that lives already (`now` 0.0: none is kept)."""
    clear_account(raw)
    raw.since = raw.parked_at = now


def keep_accounts(hub: Any) -> None:
    """Begin to keep accounts, or end it, when that was asked for; called by the hub between two batches."""
    if not hub.accounted:
        hub.now = 0.0
        hub.current = None
        for carrier in list(hub.carriers):
            clear_account(carrier)
    elif not hub.now:
        hub.now = now = monotonic()
        hub.relay_until = 0.0
        for carrier in list(hub.carriers):
            if carrier.task is None:
                clear_account(carrier)
            else:
                open_account(carrier, now)
        for raw in (hub.parent, *hub.ready):
            if hasattr(raw, "gr_frame") and hasattr(raw, "waiting_on"):
                open_account(raw, now)


def pass_turn(raw: Any, hub: Any) -> None:
    """Settle the account of a raw greenlet that goes back to the hub: a slice ends, and the hub's own begins."""
    now = monotonic()
    spent = now - hub.now
    raw.run_time += spent
    raw.switches += 1
    if spent > raw.longest_run:
        raw.longest_run = spent
    raw.parked_at = hub.now = now
    hub.current = hub


def close_account(raw: Any, task: Any, hub: Any) -> None:
    """Hand a task that ends its account, the slice that ends with it included; the next slice begins now."""
    now = monotonic()
    began, since = hub.now, raw.since
    hub.now = now
    if not since or since == began:
        write_slice(task, began, now)
        return
    kept = since, raw.run_time, raw.wait_time, raw.switches, raw.longest_run, raw.parked_at, began, now
    try:
        task._greenscope_account = kept
    except BaseException as error:
        write(task, "_greenscope_account", kept)
        pass_on(error, hub)
    # as clear_account() does, without the call
    raw.run_time = raw.wait_time = raw.longest_run = raw.since = raw.parked_at = 0.0
    raw.switches = 0


def write_slice(task: Any, began: float, ended: float) -> None:
    """Note of a task that it had one slice: by far the most have, and what is no tuple is no work for the collector."""
    write(task, "_greenscope_account", began)
    write(task, "_greenscope_ended", ended)


def pass_on(error: BaseException, hub: Any) -> None:
    """Pass what a task's __setattr__ raised, or a signal's handler meanwhile, on to the main greenlet if it is that."""
    if is_programs(error):
        hub.run_callback(hub.on_loop_fault, error)
