"""Two sockets that are connected: of the Unix family, or over TCP."""

from collections.abc import Iterator

import pytest

from greenscope.runtime import socket
from tests.runtime.sockets.pairs import Pair, tcp_pair


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, two = socket.socketpair()
    yield one, two
    one.close()
    two.close()


@pytest.fixture
def tcp() -> Iterator[Pair]:
    one, two = tcp_pair()
    yield one, two
    one.close()
    two.close()
