"""The end of a greenlet as others see it: its state, its value or exception, and waiting for it.

    state     NEW    PENDING    RUNNING    VALUE            ERROR
    dead      no     no         no         yes              yes
    value     None   None       None       what it returned None
    get()     waits  waits      waits      returns it       raises its exception

The states are in order: whatever has come to VALUE or beyond has ended. Whoever joins
puts his raw greenlet among the links, where the notification finds it and resumes it.
One of another thread links a `Wake` instead and holds his hub, which could not see that
it will be woken.
"""

from _thread import get_ident
from typing import Any

from greenlet import getcurrent

from greenscope.runtime.carriers import PENDING, RUNNING, VALUE
from greenscope.runtime.links import Linked
from greenscope.runtime.timeout import Timeout, limit
from greenscope.runtime.waiting import current_hub, park, park_until, resume

__all__ = ["ERROR", "NEW", "Joinable"]

#: the states that a carrier need not know (the others: carriers.py)
NEW, ERROR = 0, 4


class Joinable(Linked):
    """What has an end and an outcome: the part of a Greenlet that others ask and wait for."""

    value: Any = None
    _state = NEW
    _exc_info: tuple[Any, Any, Any] | None = None
    waits_as = "join"

    @property
    def started(self) -> bool:
        """True from start() until it ends."""
        return self._state == PENDING or self._state == RUNNING

    def __bool__(self) -> bool:
        return self._state == PENDING or self._state == RUNNING

    @property
    def dead(self) -> bool:
        """True when it will not run (any more)."""
        return self._state >= VALUE

    def ready(self) -> bool:
        """Return True when it has ended."""
        return self._state >= VALUE

    def successful(self) -> bool:
        """Return True when it has ended without an error; a GreenletExit is none."""
        return self._state == VALUE

    @property
    def exception(self) -> BaseException | None:
        """The exception with which it failed, None before and without."""
        return self._exc_info[1] if self._exc_info is not None else None

    @property
    def exc_info(self) -> tuple[Any, Any, Any] | None:
        """The (type, value, traceback) with which it failed, None before and without."""
        return self._exc_info

    # -- waiting

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, or `timeout` seconds. Blocks.

        Raises only the exception that a Timeout given as `timeout` was made with.
        """
        if self._state < VALUE:
            seconds, given = limit(timeout)
            try:
                if self._wait(seconds) or given is None or given.throws is given:
                    return
            except Timeout as error:
                if error is not given:
                    raise
                return
            raise given.throws

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return its value, or raise its exception, once it has ended. Blocks.

        Raises Timeout when it still lives after `timeout` seconds, at once when `block` is false.
        """
        if self._state < VALUE:
            if not block:
                raise Timeout()
            seconds, given = (None, None) if timeout is None else limit(timeout)
            if not self._wait(seconds):
                raise given.throws if given is not None else Timeout(seconds)
        if self._state == VALUE:
            return self.value
        return self._raise_exception()

    def _wait(self, seconds: float | None) -> bool:
        """Park until it has ended; False when `seconds` passed before."""
        raw = getcurrent()
        if current_hub(raw) is not self.hub:
            return self._wait_from_elsewhere(raw, seconds)
        links = self._links
        if links is None:
            self._links = [raw]
        else:
            links.append(raw)
        try:
            while self._state < VALUE:
                if seconds is None:
                    park(self)
                elif not park_until(self, seconds) and self._state < VALUE:
                    return False
            return True
        finally:
            links = self._links
            if links:  # we were interrupted or late; else the notification took it
                if links[-1] is raw:
                    links.pop()
                else:
                    self.unlink(raw)

    def _wait_from_elsewhere(self, raw: Any, seconds: float | None) -> bool:
        """Do the same in another thread, whose hub cannot see that it will be woken."""
        wake = Wake(raw)
        raw.hub.hold()
        self.rawlink(wake)
        try:
            while self._state < VALUE:
                if not park_until(self, seconds) and self._state < VALUE:
                    return False
            return True
        finally:
            if wake.raw is not None:
                wake.raw = None
                self.unlink(wake)
            raw.hub.release()

    def _raise_exception(self) -> Any:
        exc_info = self._exc_info
        assert exc_info is not None
        raise exc_info[1].with_traceback(exc_info[2])


class Wake:
    """A raw link that resumes a greenlet of another thread that joins; `raw` is None when it has gone on."""

    __slots__ = ("raw",)

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def __call__(self, source: Any) -> None:
        raw = self.raw
        if raw is None:
            return
        if raw.hub.thread_ident != get_ident():
            raw.hub.run_callback(self, source)
            return
        self.raw = None
        if raw.waiting_on is not None:
            resume(raw)
