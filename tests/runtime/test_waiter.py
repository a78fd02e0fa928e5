"""Waiter: what it carries, to whom, and who may use it."""

import sys

import pytest

from greenscope.runtime import get_hub, sleep, spawn
from greenscope.runtime.exceptions import ConcurrentObjectUseError
from greenscope.runtime.waiter import Waiter


def test_waiter_brings_a_value_and_an_error() -> None:
    hub = get_hub()
    waiter = Waiter()
    hub.run_callback(waiter.switch, 5)
    assert waiter.get() == 5
    assert waiter.successful()
    waiter.clear()
    hub.run_callback(waiter.throw, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        waiter.get()
    assert waiter.ready()
    assert not waiter.successful()


def test_waiter_keeps_what_comes_before_get() -> None:
    waiter = Waiter()
    waiter.switch(1)
    assert waiter.get() == 1
    waiter.switch_args(1, 2)
    assert waiter.get() == (1, 2)


def test_waiter_serves_one_greenlet_and_the_hub_alone() -> None:
    waiter = Waiter()
    first = spawn(waiter.get)
    sleep(0)
    assert waiter.greenlet is not None
    with pytest.raises(ConcurrentObjectUseError):
        waiter.get()
    with pytest.raises(AssertionError, match="Hub"):
        waiter.switch(1)
    get_hub().run_callback(waiter.switch, "x")
    assert first.get() == "x"


def test_waiter_raises_a_triple_with_its_traceback() -> None:
    waiter = Waiter()
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        waiter.throw(*sys.exc_info())
    with pytest.raises(ZeroDivisionError) as caught:
        waiter.get()
    tb = caught.value.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    assert tb is not None
    assert tb.tb_frame.f_code is test_waiter_raises_a_triple_with_its_traceback.__code__
