"""The transport is found behind whatever middleware puts around `send`, and its absence is no error."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from greenscope.app.transports import abort_of


class Transport:
    aborted = False

    def abort(self) -> None:
        self.aborted = True


class Cycle:
    """What uvicorn's `send` is a method of."""

    def __init__(self) -> None:
        self.transport = Transport()

    async def send(self, message: Any) -> None: ...


class Responder:
    """A middleware that keeps `send` in itself, as Starlette's GZip does."""

    def __init__(self, send: Callable[[Any], Awaitable[None]]) -> None:
        self.send = send

    async def send_on(self, message: Any) -> None:
        await self.send(message)


def _closure(send: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def wrapped(message: Any) -> None:
        await send(message)

    return wrapped


def test_abort_is_found_behind_closures_methods_and_partials() -> None:
    cycle = Cycle()
    for send in (
        cycle.send,
        _closure(_closure(cycle.send)),
        Responder(_closure(cycle.send)).send_on,
        functools.partial(_closure(cycle.send)),
    ):
        abort = abort_of(send)
        assert abort is not None
        cycle.transport.aborted = False
        abort()
        assert cycle.transport.aborted


def test_no_transport_is_no_error() -> None:
    async def send(message: Any) -> None: ...

    recursive: list[Any] = []
    recursive.append(_closure(lambda message: recursive[0](message)))
    assert abort_of(send) is None
    assert abort_of(recursive[0]) is None
    assert abort_of(None) is None
