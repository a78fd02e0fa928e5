"""Records of the model, made fast: what is told of a busy program is thousands of them per second.

A frozen dataclass sets each field through `object.__setattr__`, nearly a microsecond per record. Here a twin class
with the same slots is filled by plain stores and then becomes the record by `__class__`, which Python allows between
classes of one layout: five times as fast, and time that the dashboard's thread does not take from the program's.
"""

from typing import Any, Literal

from greenscope.app.model import (
    Event,
    EventKind,
    ExceptionRecord,
    GreenletRecord,
    GreenletSample,
    Site,
    State,
    WaitRecord,
)


class _Event:
    __slots__ = Event.__slots__

    def __init__(
        self,
        kind: EventKind,
        t: float,
        greenlet: int | None,
        group: int | None,
        record: GreenletRecord | None,
        exception: ExceptionRecord | None,
        sample: GreenletSample | None,
    ) -> None:
        self.kind = kind
        self.t = t
        self.greenlet = greenlet
        self.group = group
        self.record = record
        self.exception = exception
        self.sample = sample
        self.group_record = None
        self.detail = None
        self.__class__ = Event  # type: ignore[assignment]


class _Sample:
    __slots__ = GreenletSample.__slots__

    def __init__(
        self,
        id: int,
        state: State,
        place: Site | None,
        waiting_on: WaitRecord | None,
        run_time: float | None,
        ready_time: float | None,
        wait_time: float | None,
        switches: int | None,
        longest_run: float | None,
        kill_requested: float | None,
    ) -> None:
        self.id = id
        self.state = state
        self.place = place
        self.waiting_on = waiting_on
        self.run_time = run_time
        self.ready_time = ready_time
        self.wait_time = wait_time
        self.switches = switches
        self.longest_run = longest_run
        self.kill_requested = kill_requested
        self.__class__ = GreenletSample  # type: ignore[assignment]


class _Record:
    __slots__ = GreenletRecord.__slots__

    def __init__(
        self,
        id: int,
        name: str,
        function: str,
        file: str,
        line: int,
        created: float,
        parent: int | None,
        spawn_site: Site | None,
        thread: str,
        kind: Literal["greenlet", "raw"],
        from_dashboard: bool,
    ) -> None:
        self.id = id
        self.name = name
        self.function = function
        self.file = file
        self.line = line
        self.created = created
        self.parent = parent
        self.spawn_site = spawn_site
        self.thread = thread
        self.kind = kind
        self.from_dashboard = from_dashboard
        self.__class__ = GreenletRecord  # type: ignore[assignment]


def event(
    kind: EventKind,
    t: float,
    greenlet: int | None,
    group: int | None = None,
    record: GreenletRecord | None = None,
    exception: ExceptionRecord | None = None,
    sample: GreenletSample | None = None,
) -> Event:
    """Return an Event."""
    made: Any = _Event(kind, t, greenlet, group, record, exception, sample)
    return made  # type: ignore[no-any-return]


def sample(
    id: int,
    state: State,
    place: Site | None = None,
    waiting_on: WaitRecord | None = None,
    run_time: float | None = None,
    ready_time: float | None = None,
    wait_time: float | None = None,
    switches: int | None = None,
    longest_run: float | None = None,
    kill_requested: float | None = None,
) -> GreenletSample:
    """Return a GreenletSample."""
    made: Any = _Sample(
        id, state, place, waiting_on, run_time, ready_time, wait_time, switches, longest_run, kill_requested
    )
    return made  # type: ignore[no-any-return]


def record(
    id: int,
    name: str,
    function: str,
    file: str,
    line: int,
    created: float,
    parent: int | None,
    spawn_site: Site | None,
    thread: str,
    kind: Literal["greenlet", "raw"],
    from_dashboard: bool,
) -> GreenletRecord:
    """Return a GreenletRecord."""
    made: Any = _Record(id, name, function, file, line, created, parent, spawn_site, thread, kind, from_dashboard)
    return made  # type: ignore[no-any-return]
