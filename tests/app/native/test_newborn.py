"""Newborn: whoever is registered late, or without a birth, is found; and what is said of those who are left is true."""

from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from greenscope.app.backends import native_newborn
from greenscope.app.backends.native_newborn import Newborn


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at few at a time."""
    monkeypatch.setattr(native_newborn, "LOOKED_AT", 10)
    monkeypatch.setattr(native_newborn, "OLD_IN_A_ROW", 5)


def born(at: float, origin: object = "somewhere") -> Any:
    return SimpleNamespace(_greenscope_born=at, _greenscope_origin=origin)


def tell(newborn: Newborn, since: float = 0.0, most: int = 1000) -> list[int]:
    """Take all births that are found, of `most` that are looked at."""
    told = []
    for id, one in newborn.look(newborn.find(since, most, 10**6), 10**6):
        one._greenscope_origin = None
        told.append(id)
    return told


def test_all_are_found_once_in_order() -> None:
    alive = {id: born(float(id)) for id in range(1, 101)}
    newborn = Newborn(alive)
    told = []
    for _ in range(5):
        told += tell(newborn, most=25)
    assert told == list(range(1, 101))
    alive.update({id: born(float(id)) for id in range(101, 104)})
    assert tell(newborn) == [101, 102, 103]
    assert newborn.until == inf


def test_one_that_another_thread_registers_late_is_found() -> None:
    alive = {id: born(float(id)) for id in range(1, 101) if id != 2}
    newborn = Newborn(alive)
    tell(newborn)
    alive.update({id: born(float(id)) for id in range(101, 151)})
    alive[2] = born(151.0)
    alive.update({id: born(float(id)) for id in range(152, 202)})
    assert tell(newborn) == [*range(101, 151), 2, *range(152, 202)]


def test_one_that_is_registered_without_a_birth_is_found_later() -> None:
    late = SimpleNamespace(_greenscope_born=None, _greenscope_origin=None)
    alive = {1: born(1.0), 2: late, **{id: born(float(id)) for id in range(3, 40)}}
    newborn = Newborn(alive)
    assert tell(newborn) == [1, *range(3, 40)]
    alive.update({id: born(float(id)) for id in range(40, 140)})
    assert len(tell(newborn)) == 100
    late._greenscope_born = 2.0
    tell(newborn)
    late._greenscope_origin = "somewhere"
    found = [tell(newborn) for _ in range(2 * len(alive) // 10)]
    assert [2] in found
    assert sum(map(len, found)) == 1


def test_one_that_gets_its_birth_late_hides_nobody() -> None:
    slow = SimpleNamespace(_greenscope_born=None, _greenscope_origin=None)
    alive = {id: born(float(id)) for id in range(1, 101)}
    alive[101] = slow
    newborn = Newborn(alive)

    def hold() -> None:
        for id, one in newborn.look(newborn.find(0.0, 1000, 10**6), 8):
            newborn.held[id] = one

    hold()
    slow._greenscope_born, slow._greenscope_origin = 101.0, "somewhere"
    alive.update({id: born(float(id)) for id in range(102, 300)})
    for _ in range(3):
        hold()
        assert list(newborn.held) == list(range(1, 9))
        assert newborn.until == 1.0
    assert sorted(id for _ in range(60) for id in tell(newborn)) == list(range(1, 300))


def test_those_whose_old_ids_are_registered_again_hide_nobody() -> None:
    alive = {id: born(float(id)) for id in range(1, 101)}
    newborn = Newborn(alive)
    tell(newborn)
    alive.update({id: born(float(id)) for id in range(101, 201)})
    for id in range(1, 31):
        alive[id] = alive.pop(id)
    alive.update({id: born(float(id)) for id in range(201, 206)})
    assert sorted(id for _ in range(60) for id in tell(newborn)) == list(range(101, 206))


def test_nobody_is_left_who_was_born_before_what_is_said() -> None:
    """Though the first of those who are left is gone, or is about to get its birth."""
    ids = list(range(1, 101))
    alive = {id: born(float(id)) for id in ids}
    newborn = Newborn(alive)
    tell(newborn, most=20)
    assert newborn.until == 21.0

    class Ending(dict[int, Any]):
        def get(self, id: int, default: Any = None) -> Any:
            return None if id in range(41, 45) else super().get(id, default)

    newborn.alive = Ending(alive)
    tell(newborn, most=25)
    assert 21.0 <= newborn.until <= 45.0
    left = [alive[id]._greenscope_born for id in ids if newborn.alive.get(id) and alive[id]._greenscope_origin]
    assert newborn.until <= min(left)


def test_of_those_held_there_are_no_more_than_asked() -> None:
    alive = {id: born(float(id)) for id in range(1, 101)}
    newborn = Newborn(alive)
    for id, one in newborn.look(newborn.find(0.0, 1000, 10**6), 8):
        newborn.held[id] = one
    assert list(newborn.held) == list(range(1, 9))
    assert newborn.until == 1.0
    assert tell(newborn) == list(range(1, 101))


def test_more_than_the_limit_are_looked_at_so_that_they_can_be_given_up() -> None:
    newborn = Newborn({id: born(float(id)) for id in range(1, 101)})
    waiting = newborn.find(0.0, 20, 30)
    assert len(waiting) == 70
    assert newborn.more == 30


def test_no_more_are_held_though_the_oldest_were_given_up() -> None:
    newborn = Newborn({id: born(float(id)) for id in range(1, 101)})
    for id, one in newborn.look(newborn.find(0.0, 1000, 10**6), 8):
        newborn.held[id] = one
    waiting = newborn.find(0.0, 1000, 92)
    for id in range(1, 9):
        newborn.alive[id]._greenscope_origin = None
    for id, one in newborn.look(waiting, 3):
        newborn.held[id] = one
    assert list(newborn.held) == [9, 10, 11]
    assert newborn.until == 9.0


def test_held_one_whose_end_is_being_noted_is_not_said_to_be_told() -> None:
    alive = {id: born(float(id)) for id in range(1, 10)}
    newborn = Newborn(alive)
    for id, one in newborn.look(newborn.find(0.0, 1000, 10**6), 5):
        newborn.held[id] = one
    del alive[1]  # by its hub, which has not noted that yet
    assert tell(newborn) == list(range(2, 10))
    assert newborn.until == 1.0
    assert tell(newborn) == []
    assert newborn.until == inf


def test_late_one_at_the_very_end_hides_nobody_where_most_have_just_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    alive = {id: born(float(id)) for id in range(1, 101)}
    newborn = Newborn(alive)
    tell(newborn)
    alive.clear()
    alive.update({id: born(float(id)) for id in range(201, 206)})
    alive[3] = born(206.0)
    monkeypatch.setattr(newborn, "_latest", lambda: list(range(201, 211)))  # most of these have ended since
    assert tell(newborn) == [201, 202, 203, 204, 205, 3]
