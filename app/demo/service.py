"""A small TCP service inside the demo, and its clients: one line asks for a file, one line answers.

client -> "path\n" -> accept loop -> one greenlet a connection -> "<sha256> <size>\n" -> client
"""

import random
from collections.abc import Callable
from typing import Any

from greenscope.runtime import sleep
from greenscope.runtime.pool import Group
from greenscope.runtime.socket import create_connection, socket

#: what the service answers for a path it does not know
UNKNOWN = "unknown"


class DigestService:
    """Serve digests on a loopback port; `address` once it listens."""

    def __init__(self, look_up: Callable[[str], str | None]) -> None:
        self.look_up = look_up
        self.answered = 0
        self.connections = Group()
        self.connections.name = "connections"
        self._listener = socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self.address: tuple[str, int] = self._listener.getsockname()

    def accept_loop(self) -> None:
        """Accept connections until the listener is closed. Blocks."""
        try:
            while True:
                connection, _ = self._listener.accept()
                self.connections.spawn(self.serve_connection, connection)
        finally:
            self._listener.close()

    def close(self) -> None:
        """Close the listener. Idempotent."""
        self._listener.close()

    def serve_connection(self, connection: Any) -> None:
        """Answer line by line until the client hangs up. Blocks."""
        with connection, connection.makefile("rw", encoding="utf-8", newline="\n") as stream:
            for line in stream:
                stream.write((self.look_up(line.rstrip("\n")) or UNKNOWN) + "\n")
                stream.flush()
                self.answered += 1


def ask_for_files(address: tuple[str, int], choose: Callable[[], str | None], pause: float) -> int:
    """Be a client: ask for one known file after another, `pause` seconds apart on average. Blocks, for ever."""
    asked = 0
    with create_connection(address) as connection, connection.makefile("rw", encoding="utf-8", newline="\n") as stream:
        while True:
            path = choose()
            if path is not None:
                stream.write(path + "\n")
                stream.flush()
                if not stream.readline():
                    return asked
                asked += 1
            sleep(random.uniform(0.2, 1.8) * pause)
