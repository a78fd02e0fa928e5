"""What the demo does to one file, in a native thread: hash it and see how far it compresses."""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

#: bytes read of one file; the rest of a larger one is left alone
READ_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class DigestRecord:
    """One file: its size in bytes, the SHA-256 of what was read, and what that compresses to."""

    path: str
    size: int
    sha256: str
    compressed: int


def digest(path: str) -> DigestRecord:
    """Hash and compress a file; raises OSError when it cannot be read. Blocks its thread."""
    with open(path, "rb") as file:
        data = file.read(READ_LIMIT)
    return DigestRecord(
        path=path,
        size=Path(path).stat().st_size,
        sha256=hashlib.sha256(data).hexdigest(),
        compressed=len(zlib.compress(data, 6)),
    )


def checksum(path: str, algorithm: str) -> str:
    """Return the hexadecimal checksum of a whole file; raises OSError and ValueError. Blocks its thread."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def count_words(path: str) -> int:
    """Count the words of a UTF-8 text; raises UnicodeDecodeError for anything else. Blocks its thread."""
    return len(Path(path).read_text(encoding="utf-8").split())


def unpack(path: str) -> int:
    """Return how many bytes a gzip file unpacks to; raises gzip.BadGzipFile or EOFError for a broken one."""
    with gzip.open(path) as file:
        return len(file.read())
