"""How to cut a connection from inside an ASGI app: the one thing that ASGI has no message for.

A reader that does not read holds its answer back for ever: closing waits until the buffer is written, and
only the transport can be told to drop it. The server of this project cuts stalled connections itself; under
somebody else's server the transport is looked for behind `send`, through the closures that middleware wraps
around it. Where none is found, nothing is cut, and the server's own time-outs remain.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

#: objects looked at before giving up
_MOST: Final = 200


def abort_of(send: Any) -> Callable[[], None] | None:
    """Return what aborts the connection behind an ASGI `send`, or None."""
    seen: set[int] = set()
    queue: deque[Any] = deque([send])
    while queue and len(seen) < _MOST:
        found = queue.popleft()
        if id(found) in seen:
            continue
        seen.add(id(found))
        owner = getattr(found, "__self__", None)
        abort = getattr(getattr(owner, "transport", None), "abort", None)
        if callable(abort):
            return abort  # type: ignore[no-any-return]
        for cell in getattr(found, "__closure__", None) or ():
            try:
                value = cell.cell_contents
            except ValueError:
                continue
            if callable(value):
                queue.append(value)
        if owner is not None:
            queue += [
                value for value in (getattr(owner, "send", None), getattr(owner, "_send", None)) if callable(value)
            ]
        if callable(getattr(found, "func", None)):
            queue.append(found.func)
    return None
