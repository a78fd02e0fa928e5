"""What one pass of the demo found, and how it is said in two lines.

Only what there is to say is said: an empty folder has no kinds and no megabytes.
"""

from collections import Counter
from dataclasses import dataclass, field

from greenscope.app.demo.digest import READ_LIMIT, DigestRecord

UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


@dataclass(slots=True)
class Tally:
    """Counts of one pass over the tree at `root`."""

    root: str
    files: int = 0
    size: int = 0
    read: int = 0
    compressed: int = 0
    #: files sent to a subprocess that came back, and the functions in them
    parsed: int = 0
    functions: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    #: by the error's type: what failed in the tree, and of the odd files that the demo makes
    failures: Counter[str] = field(default_factory=Counter)
    odd_failures: Counter[str] = field(default_factory=Counter)
    odd: int = 0
    questions: int = 0
    #: the stage that was killed or failed, so that the pass was given up
    broken: str = ""

    def add(self, record: DigestRecord) -> None:
        """Count a file that was hashed and compressed."""
        self.size += record.size
        self.read += min(record.size, READ_LIMIT)
        self.compressed += record.compressed

    def fail(self, error: BaseException | None) -> None:
        """Count a file or folder of the tree that could not be worked on."""
        self.failures[type(error).__name__] += 1

    def text(self, seconds: float) -> str:
        """Say what was found in `seconds`."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.most_common(4))
        others = len(self.kinds) - 4
        more = f" and {plural(others, 'other kind')}" if others > 0 else ""
        given_up = f"; given up, as {self.broken!r} ended too early" if self.broken else ""
        first = f"{plural(self.files, 'file')} under {self.root} in {seconds:.1f} s{given_up}"
        said = [
            f"{size_text(self.size)}, {self._saving()}" if self.size else "",
            f"{plural(self.functions, 'function')} in {plural(self.parsed, 'parsed file')}" if self.parsed else "",
            f"{plural(self.questions, 'question')} answered" if self.questions else "",
            f"failed: {types(self.failures)}" if self.failures else "" if not self.files else "all could be read",
            f"of the demo's own {self.odd} odd files {self.odd_failures.total()} could not be read"
            f" ({types(self.odd_failures)})" if self.odd_failures else "",
        ]  # fmt: skip
        second = "; ".join(part for part in said if part)
        return f"{first}{f' ({kinds}{more})' if kinds else ''}" + (f"\n  {second}" if second else "")

    def _saving(self) -> str:
        if self.compressed >= self.read:
            return "which compressing makes no smaller"
        return f"which compress to {100 * self.compressed / self.read:.0f} %"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: no files, 1 file, 2 files."""
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def size_text(size: int) -> str:
    """Return a size in the largest unit of which there is one."""
    for unit, bytes_ in UNITS:
        if size >= bytes_:
            return f"{size / bytes_:.1f} {unit}"
    return plural(size, "byte")


def types(failures: Counter[str]) -> str:
    """Return failures by type, by name."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(failures.items()))
