"""Numbers, times and pools as people read them."""

import pytest

from greenscope.app.model import EVENT_KINDS, STATES
from greenscope.app.pages import filters
from greenscope.app.pages.slots import level_of, slot_bar


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (-3, "0 ms"),
        (0.00034, "340 µs"),
        (0.0123, "12.3 ms"),
        (0.9999, "1.00 s"),
        (4.2149, "4.21 s"),
        (42.04, "42.0 s"),
        (192, "3m 12s"),
        (7512, "2h 05m"),
        (273_600, "3d 04h"),
    ],
)
def test_duration_has_three_digits_and_a_unit(seconds: float | None, text: str) -> None:
    assert filters.duration(seconds).replace("\u202f", " ") == text


def test_duration_never_runs_over_its_unit() -> None:
    for exponent in range(-80, 60):
        text = filters.duration(10 ** (exponent / 10))
        assert "1000" not in text
        assert "60s" not in text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0, "0"), (0.3, "0.3"), (99.9, "99.9"), (1204.4, "1,204")])
def test_rate_is_short(value: float | None, text: str) -> None:
    assert filters.rate(value) == text


def test_moment_and_place_are_cut_to_what_matters() -> None:
    assert filters.clock("2026-11-23T05:57:32.120Z") == "05:57:32.120"
    assert filters.clock(None) == "–"
    assert filters.place({"file": "/srv/a/b.py", "line": 31, "function": "get"}) == "b.py:31 get"
    assert filters.place(None) == "–"


def test_every_state_and_event_has_its_sign() -> None:
    assert set(filters.GLYPHS) == set(STATES)
    assert set(EVENT_KINDS) <= set(filters.KINDS)


def test_slots_are_drawn_singly_or_as_a_bar() -> None:
    few = slot_bar(3, 8, 2)
    assert (few.taken.count("M"), few.free.count("M"), few.queue.count("M")) == (3, 5, 2)
    many = slot_bar(600, 1000, 5000)
    assert (many.taken.count("M"), many.free.count("M"), many.queue.count("M")) == (1, 1, 16)
    assert slot_bar(4, None, None).free == ""


def test_level_follows_the_limit() -> None:
    assert level_of(8, 8, 1) == "bad"
    assert level_of(8, 8, 0) == "near"
    assert level_of(6, 8, 0) == ""
    assert level_of(500, None, None) == ""
