"""Times, texts and rows have one final form, whatever the observed program does."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenscope.app.formatting import (
    Clock,
    duration,
    event_fields,
    greenlet_row,
    hub_row,
    ident,
    safe_path,
    safe_text,
    safe_value,
    sites,
)
from greenscope.app.model import (
    Event,
    ExceptionRecord,
    GreenletRecord,
    GreenletSample,
    GroupSample,
    HubSample,
    Site,
    WaitRecord,
)
from greenscope.app.query import ROW_FIELDS

CLOCK = Clock(lambda: 100.0, lambda: 1_700_000_000.0)
RECORD = GreenletRecord(7, "fetch-7", "fetch", "/srv/app.py", 3, 90.0, 1, Site("/srv/main.py", 9, "main"))


@given(st.lists(st.floats(min_value=0.0, max_value=4e9) | st.sampled_from([59.9999996, 59.999, 60.0])))
def test_clock_tells_times_one_after_the_other_as_it_tells_each_alone(times: list[float]) -> None:
    clock = Clock(lambda: 0.0, lambda: 0.0)
    for t in times:
        alone = datetime.fromtimestamp(t, UTC).isoformat(timespec="milliseconds")
        assert clock.rfc3339(t) == alone.removesuffix("+00:00") + "Z"


def test_clock_gives_rfc3339_in_utc() -> None:
    assert CLOCK.rfc3339(100.0) == "2023-11-14T22:13:20.000Z"
    assert CLOCK.rfc3339(101.5) == "2023-11-14T22:13:21.500Z"
    assert CLOCK.rfc3339(None) is None
    assert CLOCK.unix(100.0) == 1_700_000_000.0


def test_clock_does_not_follow_a_wall_clock_that_is_set_back() -> None:
    wall = [1_700_000_000.0]
    clock = Clock(lambda: 100.0, lambda: wall[0])
    wall[0] -= 3600
    assert clock.rfc3339(101.0) == "2023-11-14T22:13:21.000Z"


@pytest.mark.parametrize("t", [math.nan, math.inf, -math.inf, 1e300])
def test_clock_knows_no_impossible_times(t: float) -> None:
    assert CLOCK.rfc3339(t) is None


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("Größe 大きさ 👩‍🚀", "Größe 大きさ 👩‍🚀"),
        ("a\0b\nc\rd\te", "a\\x00b\\nc\\rd\\te"),
        ("lone \ud83d", "lone \\ud83d"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("\ufeffa\u2028b", "\\ufeffa\\u2028b"),
        ("x" * 201, "x" * 199 + "…"),
        (17, "<int>"),
        (None, "<NoneType>"),
    ],
)
def test_safe_text_is_printable_and_short(raw: object, shown: str) -> None:
    assert safe_text(raw) == shown


class Trap(str):
    """A str whose every method is a trap."""

    def __str__(self) -> str:
        raise RuntimeError("asked for its text")

    __repr__ = __format__ = __str__  # type: ignore[assignment]

    def __getitem__(self, key: object) -> str:
        raise RuntimeError("asked for a slice")


def test_safe_text_runs_no_code_of_the_program() -> None:
    assert safe_text(Trap("harmless")) == "harmless"
    assert type(safe_text(Trap("harmless"))) is str


@given(st.text(alphabet=st.characters(codec=None), max_size=300))
def test_safe_text_always_encodes_and_keeps_its_bound(text: str) -> None:
    shown = safe_text(text)
    assert len(shown) <= 200
    assert len(shown.encode()) >= len(shown)
    assert not {"\0", "\n", "\r", "\u2028"} & set(shown)


def test_safe_path_keeps_its_end() -> None:
    assert safe_path("/a/b.py") == "/a/b.py"
    shown = safe_path("/" + "d" * 1000 + "/module.py")
    assert (len(shown), shown[0], shown[-10:]) == (400, "…", "/module.py")


@pytest.mark.parametrize(
    ("raw", "shown"), [(None, None), (math.nan, None), (-0.5, 0.0), (1.23456789, 1.234568), (math.inf, None)]
)
def test_duration_is_finite_and_never_negative(raw: float | None, shown: float | None) -> None:
    assert duration(raw) == shown


def test_row_has_the_fields_of_the_interface() -> None:
    sample = GreenletSample(
        7, "waiting", Site("/srv/app.py", 5, "fetch"), WaitRecord("event", "done", 95.0, 3), 1.0, 2.0, 3.0, 4, 0.5
    )
    row = greenlet_row(
        RECORD,
        sample,
        state="waiting",
        started=91.0,
        ended=None,
        groups=(2,),
        failure=None,
        clock=CLOCK,
        now=100.0,
        pid=42,
    )
    assert tuple(row) == ROW_FIELDS
    assert row == {
        "id": "7",
        "pid": 42,
        "name": "fetch-7",
        "state": "waiting",
        "function": "fetch",
        "place": {"file": "/srv/app.py", "line": 5, "function": "fetch"},
        "file": "/srv/app.py",
        "line": 3,
        "spawn_site": {"file": "/srv/main.py", "line": 9, "function": "main"},
        "parent": "1",
        "groups": ["2"],
        "created": "2023-11-14T22:13:10.000Z",
        "started": "2023-11-14T22:13:11.000Z",
        "ended": None,
        "age": 10.0,
        "run_time": 1.0,
        "ready_time": 2.0,
        "wait_time": 3.0,
        "switches": 4,
        "longest_run": 0.5,
        "waiting_on": {
            "kind": "event",
            "name": "done",
            "since": "2023-11-14T22:13:15.000Z",
            "owner": "3",
            "target": None,
        },
        "exception": None,
    }


def test_row_of_the_ended_keeps_its_age_and_its_exception() -> None:
    row = greenlet_row(
        RECORD,
        None,
        state="failed",
        started=None,
        ended=94.0,
        groups=(),
        failure=ExceptionRecord("ValueError", "bad\nvalue"),
        clock=CLOCK,
        now=100.0,
        pid=42,
    )
    assert (row["age"], row["run_time"]) == (4.0, None)
    assert row["exception"] == {"type": "ValueError", "message": "bad\\nvalue"}


def test_event_fields_tell_who_and_what() -> None:
    spawned = event_fields(Event("spawned", 100.0, greenlet=7, record=RECORD), RECORD, CLOCK)
    assert (spawned["kind"], spawned["greenlet"], spawned["name"], spawned["parent"]) == (
        "spawned",
        "7",
        "fetch-7",
        "1",
    )
    opened = event_fields(
        Event("group_opened", 100.0, group=2, group_record=GroupSample(2, "pool", "pool", 0, 5)), None, CLOCK
    )
    assert (opened["group"], opened["group_name"], opened["size"]) == ("2", "pool", 5)
    blocked = event_fields(Event("blocked", 100.0, detail={"duration": 2.0, "t": "not this"}), None, CLOCK)
    assert (blocked["duration"], blocked["t"]) == (2.0, "2023-11-14T22:13:20.000Z")


def test_hub_row_tells_how_old_its_sample_is() -> None:
    row = hub_row(HubSample("hub", 1, 0.25, 9, 8, 99.0, running=7), 100.0)
    assert (row["lag"], row["sample_age"], row["running"]) == (0.25, 1.0, "7")


def test_sites_carry_their_source() -> None:
    frames = sites([Site("a.py", 1, "f"), Site("b.py", 2, "g")], ["    call()\n"])
    assert [frame["source"] for frame in frames] == ["call()", ""]


def test_ident_is_a_string() -> None:
    assert (ident(3), ident(None)) == ("3", None)


_ANY: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.builds(object),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=20,
)


@given(_ANY)
def test_safe_value_is_always_json(value: Any) -> None:
    text = json.dumps(safe_value(value), allow_nan=False)
    assert json.loads(text) == safe_value(value)


def test_safe_value_bounds_width_and_depth() -> None:
    nested: Any = "x"
    for _ in range(100):
        nested = [nested]
    assert json.dumps(safe_value(nested)).count("[") == 4
    assert len(safe_value(list(range(1000)))) == 50
