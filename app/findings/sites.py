"""Which line is to blame: the program's own, not the library's that it called.

A thread that is stuck in a socket's `recv` stands in the standard library, eight frames below the line that
somebody can change. So the culprit of a stack is its innermost frame outside of the standard library, this
package's runtime and gevent; if everything is installed software, the innermost frame of that.
"""

import os
import sysconfig
from collections.abc import Iterable
from typing import Final

from greenscope.app.model import Site

#: answers remembered
_KNOWN_LIMIT: Final = 10_000

_OWN, _INSTALLED, _MACHINERY = 0, 1, 2


def _folders(*names: str) -> tuple[str, ...]:
    paths = {sysconfig.get_paths().get(name, "") for name in names}
    paths |= {os.path.realpath(path) for path in paths if path}
    return tuple(os.path.join(path, "") for path in paths if path)


_APP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: the runtime beside this package, by either of its names when it is a link
_RUNTIMES = tuple(
    os.path.join(folder, "")
    for folder in {
        os.path.join(os.path.dirname(_APP), "runtime"),
        os.path.join(os.path.dirname(os.path.realpath(_APP)), "runtime"),
    }
)
_GEVENT = ("/site-packages/gevent/", "/dist-packages/gevent/")
_STANDARD = _folders("stdlib", "platstdlib")
_SCRIPTS = _folders("scripts")
_PACKAGES = _folders("purelib", "platlib")
_known: dict[str, int] = {}


def _rank(file: str) -> int:
    rank = _known.get(file)
    if rank is None:
        if len(_known) >= _KNOWN_LIMIT:
            _known.clear()
        rank = _known[file] = _judge(file)
    return rank


def _judge(file: str) -> int:
    if file.startswith(("<frozen ", *_RUNTIMES, *_SCRIPTS)) or any(folder in file for folder in _GEVENT):
        return _MACHINERY
    if file.startswith(_PACKAGES) or "/site-packages/" in file or "/dist-packages/" in file:
        return _INSTALLED
    return _MACHINERY if file.startswith(_STANDARD) else _OWN


def program_site(stack: Iterable[Site]) -> Site | None:
    """Return the culprit of a stack (outermost frame first); None for an empty one."""
    best: Site | None = None
    best_rank = _MACHINERY
    for site in stack:
        rank = _rank(site.file)
        if rank <= best_rank:
            best, best_rank = site, rank
    return best


def is_own(site: Site) -> bool:
    """Tell whether a place is in the program's own code."""
    return _rank(site.file) == _OWN


def short(site: Site | None) -> str:
    """Return a place for a sentence: `fetch (app.py:41)`."""
    if site is None:
        return "an unknown place"
    name = site.function.rpartition(".")[2] or site.function
    where = f"{os.path.basename(site.file) or '?'}:{site.line}"
    return f"{name} ({where})" if name else where


def span(seconds: float) -> str:
    """Return a duration for a sentence."""
    if seconds < 0.01:
        return f"{seconds * 1000:.2g} ms"
    if seconds < 10:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def times(count: int, noun: str) -> str:
    """Return a number with its noun: `1 greenlet`, `2,000 greenlets`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
