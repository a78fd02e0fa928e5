"""Channels: who puts meets who gets; no item is lost when one of them dies."""

import pytest

from greenscope.runtime import GreenletExit, Timeout, sleep, spawn
from greenscope.runtime.hub import get_hub
from greenscope.runtime.queue import Channel, Empty, Full
from greenscope.runtime.waiting import interrupt
from tests.runtime.elsewhere import in_hub


def test_channel_put_returns_when_the_item_was_taken() -> None:
    channel = Channel()
    putter = spawn(channel.put, "item")
    sleep(0)
    assert not putter.ready()
    assert channel.balance == 1
    assert "putters[1]" in repr(channel)
    assert channel.get() == "item"
    putter.join()
    getter = spawn(channel.get)
    sleep(0)
    assert channel.balance == -1
    assert str(channel) == "<Channel getters[1]>"
    channel.put("other")
    assert getter.ready()
    assert getter.get() == "other"
    assert channel.empty()
    assert channel.full()
    assert channel.qsize() == 0
    with pytest.raises(ValueError, match="maxsize of 1"):
        Channel(2)


def test_channel_raises_when_nobody_comes() -> None:
    channel = Channel()
    with pytest.raises(Full):
        channel.put(1, timeout=0.001)
    with pytest.raises(Empty):
        channel.get(timeout=0.001)
    with pytest.raises(Full):
        channel.put_nowait(1)
    with pytest.raises(Empty):
        channel.get_nowait()
    mine = Timeout(0.001)
    with pytest.raises(Timeout) as caught:
        channel.put(1, timeout=mine)  # type: ignore[arg-type]
    assert caught.value is mine
    with pytest.raises(KeyError):
        channel.get(timeout=Timeout(0.001, KeyError))  # type: ignore[arg-type]
    assert channel.balance == 0


def test_channel_nowait_meets_whoever_is_there() -> None:
    channel = Channel()
    getter = spawn(channel.get)
    sleep(0)
    channel.put_nowait(1)
    assert getter.get() == 1
    spawn(channel.put, 2)
    assert channel.get_nowait() == 2


def test_channel_item_of_a_killed_getter_goes_to_the_next() -> None:
    channel = Channel()
    victim, next_one = spawn(channel.get), spawn(channel.get)
    sleep(0)
    putter = spawn(channel.put, "item")
    while channel.balance != 0:
        sleep(0)
    interrupt(victim._carrier, GreenletExit)
    assert next_one.get(timeout=1) == "item"
    putter.join(1)
    assert putter.ready()


def test_channel_in_the_hub_serves_those_who_wait_and_never_blocks() -> None:
    channel = Channel()
    assert isinstance(in_hub(lambda: channel.put(1)), Full)
    assert isinstance(in_hub(channel.get), Empty)
    getters = [spawn(channel.get) for _ in range(2)]
    sleep(0)
    assert in_hub(lambda: [channel.put(n) for n in (1, 2)]) == [None, None]  # type: ignore[func-returns-value]
    assert [getter.get() for getter in getters] == [1, 2]
    putter = spawn(channel.put, 3)
    sleep(0)
    assert in_hub(channel.get) == 3
    putter.join()
    assert channel.balance == 0


def test_channel_item_put_in_the_hub_for_a_getter_that_dies_waits_for_the_next() -> None:
    channel = Channel()
    victim = spawn(channel.get)
    sleep(0)
    get_hub().run_callback(channel.put, "item")
    get_hub().run_callback(interrupt, victim._carrier, GreenletExit)
    victim.join()
    assert isinstance(victim.value, GreenletExit)
    assert channel.get(timeout=1) == "item"
    assert channel.balance == 0
