"""All of a child's pipes at once: what stands behind communicate().

A greenlet for each pipe, so that no full pipe blocks another one. What was read stays
here when a communicate() times out: the next one goes on where that one stopped.
"""

from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from greenscope.runtime.greenlet import Greenlet
from greenscope.runtime.hub import get_hub
from greenscope.runtime.waits import killall, wait

if TYPE_CHECKING:
    from greenscope.runtime.subprocess import Popen

__all__ = ["Talk", "close_reader", "raw_of"]

#: bytes that communicate() reads at once
CHUNK = 1 << 16


class Talk:
    """All of a child's pipes at once, a greenlet for each; it goes on when a communicate() times out."""

    def __init__(self, popen: "Popen", data: Any) -> None:
        self.popen = popen
        self.output: list[bytes] = []
        self.errors: list[bytes] = []
        self.greenlets: list[Greenlet] = []
        if popen.stdin is not None:
            self.greenlets.append(Greenlet.spawn(self._write, popen.stdin, data))
        for stream, chunks in ((popen.stdout, self.output), (popen.stderr, self.errors)):
            if stream is not None:
                self.greenlets.append(Greenlet.spawn(self._read, stream, chunks))

    @staticmethod
    def _write(stream: Any, data: Any) -> None:
        try:
            if data:
                stream.write(data)
            stream.close()
        except (BrokenPipeError, ValueError):
            pass  # the child does not want to read it all; or it is closed already
        finally:
            close_quietly(stream)

    @staticmethod
    def _read(stream: Any, chunks: list[bytes]) -> None:
        source = getattr(stream, "buffer", stream)
        read = getattr(source, "read1", source.read)
        while chunk := read(CHUNK):
            chunks.append(chunk)
        stream.close()

    def wait(self, seconds: float | None) -> bool:
        """Wait until all is written and read; False when `seconds` passed before. Blocks; raises what a pipe raised."""
        wait(self.greenlets, seconds)
        for greenlet in self.greenlets:
            if greenlet.exception is not None:
                raise greenlet.exception
        return all(greenlet.ready() for greenlet in self.greenlets)

    def read_bytes(self) -> tuple[bytes | None, bytes | None]:
        """Return what was read so far, None where nothing was."""
        return b"".join(self.output) or None, b"".join(self.errors) or None

    def result(self) -> tuple[Any, Any]:
        """Return all output as communicate() does: text in text mode, None where there is no pipe."""
        popen = self.popen
        return (
            None if popen.stdout is None else decoded(b"".join(self.output), popen.stdout),
            None if popen.stderr is None else decoded(b"".join(self.errors), popen.stderr),
        )

    def stop(self) -> None:
        """End the greenlets that still read or write."""
        living = [greenlet for greenlet in self.greenlets if not greenlet.dead]
        killall(living, block=getcurrent() is not get_hub())


def raw_of(stream: Any) -> Any:
    """Return the unbuffered file below a file."""
    stream = getattr(stream, "buffer", stream)
    return getattr(stream, "raw", stream)


def close_reader(stream: Any) -> None:
    """Close a file that is read; whoever stands in a read of it gets OSError (EBADF)."""
    if stream is not None:
        raw_of(stream).close()  # its buffer lets nobody in while somebody reads


def close_quietly(stream: Any) -> None:
    """Close a file also when its buffer cannot be written any more."""
    try:
        stream.close()
    except (OSError, ValueError):
        pass


def decoded(data: bytes, stream: Any) -> Any:
    """Return bytes as the text that `stream` would have read; as they are when it is binary."""
    encoding = getattr(stream, "encoding", None)
    if encoding is None:
        return data
    return data.decode(encoding, stream.errors).replace("\r\n", "\n").replace("\r", "\n")
