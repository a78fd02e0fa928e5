"""HTTP over a Unix socket: what must hold whenever a reader is told to stop."""

import asyncio
from typing import Any, cast

import pytest

from greenscope.app.unix_client import _Connection


@pytest.mark.parametrize("turns", range(5))
def test_reader_that_is_cancelled_beside_arriving_data_ends(turns: int) -> None:
    async def cancel_beside_data() -> bool:
        reader = asyncio.StreamReader()
        connection = _Connection(reader, cast(Any, None))
        task = asyncio.create_task(connection.event())
        for _ in range(3):
            await asyncio.sleep(0)
        reader.feed_data(b"HTTP/1.1 200 OK\r\n")  # not all of it: it goes on to wait
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        ended = task.cancelled()
        task.cancel()
        return ended

    assert asyncio.run(cancel_beside_data())
