"""The picture of a pool: its slots, taken and free, and the queue behind them.

Up to 48 slots are drawn singly, more as one bar whose filled part is the share taken; each waiter behind them is a
tick, up to 16. Everything is three SVG paths in a box of 200 by 14, so an update changes three attributes and
moves nothing. `static/js/slots.js` draws the same.
"""

from dataclasses import dataclass

WIDTH, HEIGHT = 200.0, 14
QUEUE_WIDTH, QUEUE_MOST, SINGLE_MOST = 40.0, 16, 48


@dataclass(frozen=True, slots=True)
class SlotBar:
    """Three path descriptions and how alarming they are (`""`, `near` or `bad`)."""

    taken: str
    free: str
    queue: str
    level: str


def level_of(active: int, size: int | None, waiters: int | None) -> str:
    """Tell how near a pool is to its limit: `bad` when it is full and somebody waits, `near` above 85%."""
    if not size:
        return ""
    if active >= size and waiters:
        return "bad"
    return "near" if active / size > 0.85 else ""


def slot_bar(active: int, size: int | None, waiters: int | None) -> SlotBar:
    """Draw a pool of `size` slots; a plain Group (no size) is a row of its members without free slots."""
    room = WIDTH - QUEUE_WIDTH
    slots = size if size else max(active, 1)
    shown = max(slots, active)
    if shown <= SINGLE_MOST:
        step = min(room / shown, 14.0)
        gap = 2.0 if step >= 5 else 1.0
        taken = "".join(_box(i * step, step - gap) for i in range(active))
        free = "".join(_box(i * step, step - gap) for i in range(active, slots))
        end = shown * step
    else:
        part = room * min(active / shown, 1.0)
        taken = _box(0, part) if active else ""
        free = _box(part, room - part) if part < room and size else ""
        end = room
    queue = "".join(_tick(end + 4 + i * 2.25) for i in range(min(waiters or 0, QUEUE_MOST)))
    return SlotBar(taken, free, queue, level_of(active, size, waiters))


def _box(x: float, width: float) -> str:
    return f"M{x:.2f} 0h{width:.2f}v{HEIGHT}h-{width:.2f}z"


def _tick(x: float) -> str:
    return f"M{x:.2f} 3h1.25v8h-1.25z"
