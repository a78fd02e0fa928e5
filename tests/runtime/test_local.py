"""Greenlet-local data: whose is it, what subclasses may do, and when it is gone."""

import gc
import threading
import weakref
from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

import pytest

from greenscope.runtime import Greenlet, getcurrent, sleep, spawn, spawn_raw
from greenscope.runtime.local import all_local_dicts_for_greenlet, local


class Thing:
    """Something whose end can be seen."""


class Initialised(local):
    kind = "class attribute"

    def __init__(self, start: int, step: int = 1) -> None:
        self.number = start
        self.step = step

    def advance(self) -> int:
        self.number += self.step
        return self.number

    @property
    def double(self) -> int:
        return 2 * int(self.number)

    @double.setter
    def double(self, value: int) -> None:
        self.number = value // 2

    @staticmethod
    def fixed() -> int:
        return 42

    @classmethod
    def own_class(cls) -> type:
        return cls


class Slotted(local):
    __slots__ = ("shared",)


class Guessing(local):
    def __getattr__(self, name: str) -> str:
        if name.startswith("guess"):
            return f"{name}!"
        raise AttributeError(name)


class Mapped(local, Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        return int(self.items_[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self.items_)

    def __len__(self) -> int:
        return len(self.items_)


def test_local_attributes_are_seen_in_their_greenlet_only() -> None:
    data = local()
    data.number = 1
    seen: list[Any] = []

    def other() -> None:
        seen.append(hasattr(data, "number"))
        data.number = 2
        sleep(0)
        seen.append(data.number)

    greenlets = [spawn(other), spawn(other)]
    for greenlet in greenlets:
        greenlet.join()
    assert seen == [False, False, 2, 2]
    assert data.number == 1
    assert vars(data) == {"number": 1}
    assert "number" in dir(data)
    del data.number
    with pytest.raises(AttributeError):
        data.number  # noqa: B018
    with pytest.raises(AttributeError):
        del data.number


def test_local_works_in_raw_greenlets_link_callbacks_and_threads() -> None:
    data = local()
    seen: list[Any] = []

    def look(*args: Any) -> None:
        seen.append(getattr(data, "value", None))
        data.value = len(seen)

    raw = spawn_raw(look)
    sleep(0)
    greenlet = spawn(look)
    greenlet.link(look)
    greenlet.link(look)
    sleep(0)
    sleep(0)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [None] * 5
    assert raw.dead
    assert not hasattr(data, "value")


def test_local_dict_is_read_only() -> None:
    data = local()
    with pytest.raises(AttributeError, match="read-only"):
        data.__dict__ = {}
    with pytest.raises(AttributeError, match="read-only"):
        del data.__dict__
    data.__dict__["direct"] = 1
    assert data.direct == 1


def test_local_init_is_called_once_in_each_greenlet_with_the_same_arguments() -> None:
    data = Initialised(10, step=5)
    assert data.advance() == 15
    assert spawn(lambda: (data.number, data.advance(), data.advance())).get() == (10, 15, 20)
    assert data.number == 15
    for arguments, keywords in (((1,), {}), ((), {"key": 1})):
        with pytest.raises(TypeError, match="Initialization arguments are not supported"):
            local(*arguments, **keywords)


def test_local_subclass_has_all_kinds_of_class_attributes() -> None:
    data = Initialised(3)
    assert data.double == 6
    data.double = 20
    assert data.number == 10
    data.__dict__["double"] = "hidden by the property"
    assert data.double == 20
    assert data.fixed() == 42
    assert data.own_class() is Initialised
    assert data.kind == "class attribute"
    data.kind = "own"
    assert data.kind == "own"
    assert spawn(lambda: data.kind).get() == "class attribute"
    del data.kind
    assert data.kind == "class attribute"
    with pytest.raises(AttributeError):
        del data.double


def test_local_slots_are_shared_by_all_greenlets() -> None:
    data = Slotted()
    data.shared = 1
    spawn(setattr, data, "shared", 2).join()
    assert data.shared == 2
    assert "shared" not in vars(data)
    data.__dict__["shared"] = 3
    assert data.shared == 2
    del data.shared
    assert not hasattr(data, "shared")


def test_local_getattr_of_a_subclass_is_asked_last() -> None:
    data = Guessing()
    assert data.guess_this == "guess_this!"
    data.guess_this = "known"
    assert data.guess_this == "known"
    with pytest.raises(AttributeError):
        data.unknown  # noqa: B018


def test_local_can_be_an_abstract_base_class_too() -> None:
    data = Mapped()
    data.items_ = {"a": 1}
    assert dict(data) == {"a": 1}
    assert "a" in data


def test_local_copy_has_the_same_values_and_a_dict_of_its_own() -> None:
    data = Initialised(1)
    data.thing = thing = Thing()
    duplicate = copy(data)
    assert type(duplicate) is Initialised
    assert (duplicate.number, duplicate.thing) == (1, thing)
    duplicate.number = 9
    assert data.number == 1
    assert spawn(lambda: duplicate.number).get() == 1


def test_local_data_are_gone_with_their_greenlet_though_somebody_refers_to_it() -> None:
    data = local()
    things: list[weakref.ref[Thing]] = []

    def use() -> None:
        data.thing = Thing()
        things.append(weakref.ref(data.thing))
        sleep(0)
        assert things[-1]() is not None

    kept = [spawn(use) for _ in range(3)]
    raw = spawn_raw(use)
    for greenlet in kept:
        greenlet.join()
    sleep(0)
    assert raw.dead
    del raw
    gc.collect()
    assert [thing() for thing in things] == [None] * 4
    assert len(object.__getattribute__(data, "_local__storage").dicts) == 1  # the main greenlet's


def test_local_data_of_a_link_callback_are_gone_with_it() -> None:
    data = local()
    things: list[weakref.ref[Thing]] = []

    def use(source: Any) -> None:
        data.thing = Thing()
        things.append(weakref.ref(data.thing))

    greenlet = spawn(sleep, 0)
    greenlet.link(use)
    greenlet.join()
    sleep(0)
    assert [thing() for thing in things] == [None]


def test_local_data_are_gone_with_the_local_though_the_greenlet_goes_on() -> None:
    ends: list[Any] = []

    def use() -> None:
        data = local()
        data.thing = Thing()
        weakref.finalize(data.thing, ends.append, 1)
        assert len(all_local_dicts_for_greenlet(getcurrent())) == 1
        del data
        assert ends == [1]
        assert all_local_dicts_for_greenlet(getcurrent()) == []
        assert getcurrent().has_links() == 0

    greenlet = Greenlet(use)
    greenlet.start()
    sleep(0)
    assert greenlet.successful()


def test_local_dicts_of_a_greenlet_can_be_listed() -> None:
    data, unused = local(), local()

    def use() -> Any:
        data.number = 42
        return all_local_dicts_for_greenlet(getcurrent())

    assert spawn(use).get() == [((local, id(data)), {"number": 42})]
    assert all_local_dicts_for_greenlet(Greenlet(use)) == []
    assert weakref.ref(unused)() is unused
