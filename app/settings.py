"""What may be asked of a dashboard: each setting is judged by its own name before anything is begun.

A setting often comes from an environment variable or a configuration file, and is then empty, of the wrong type or cut
off. Found out here, it is one line that says what would be right; found out later, it is a traceback from the depth of
the socket module, or worse: an empty host that listens to the whole network, a `control="no"` that is true.
"""

import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path

MAX_NAME = 100
MAX_TOKEN = 512
#: of a host's name and of one label of it (RFC 1035 section 2.3.4)
MAX_HOST, MAX_LABEL = 253, 63


class UnfitSetting(ValueError):
    """A setting that cannot be meant: `parameter: what was given does not fit; what would be right`."""

    @property
    def parameter(self) -> str:
        """The name of the setting."""
        return str(self).partition(":")[0]


def unfit(parameter: str, value: object, right: str) -> UnfitSetting:
    """Make the error for a value that does not fit."""
    try:
        shown = repr(value)
    except Exception:
        shown = f"a {type(value).__name__}"
    return UnfitSetting(f"{parameter}: {shown if len(shown) <= 80 else shown[:79] + '…'} does not fit; {right}")


def check_host(host: object) -> str:
    """Return a name or address to listen on. Nothing is resolved."""
    right = "give an address or a name to listen on, as '127.0.0.1', or '0.0.0.0' for all of this machine's"
    if not isinstance(host, str) or not 0 < len(host) <= MAX_HOST:
        raise unfit("host", host, right)
    if ":" in host or "[" in host:
        try:
            ipaddress.IPv6Address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
        except ValueError:
            raise unfit("host", host, f"{right}; the port has its own parameter") from None
    elif (
        not (host.isascii() and host.isprintable())
        or set(host) & set(" /@?#%\\")
        or max(map(len, host.split("."))) > MAX_LABEL
    ):
        raise unfit("host", host, right)
    return host


def check_port(port: object) -> int:
    """Return a port."""
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
        raise unfit("port", port, "give a whole number from 0 (any free port) to 65535")
    return port


def check_uds(uds: object) -> Path:
    """Return the absolute path of a Unix socket. Whether it can be made there shows when it is made."""
    right = "give the path of a socket file, as '/run/user/1000/greenscope/app.sock'"
    text = os.fspath(uds) if isinstance(uds, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise unfit("uds", uds, right)
    if os.path.isdir(text):
        raise unfit("uds", text, f"it is a folder; {right}")
    return Path(text).absolute()


def check_token(token: object) -> str:
    """Return a token that a header can carry. The message does not tell the token: it may be nearly right."""
    given = (
        "an empty text"
        if token == ""
        else f"one of type {type(token).__name__}"
        if not isinstance(token, str)
        else "this one"
    )
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN or not all(33 <= ord(c) < 127 for c in token):
        raise UnfitSetting(
            f"token: {given} does not fit; give 1 to {MAX_TOKEN} visible ASCII characters without spaces"
        )
    return token


def check_name(name: object) -> str:
    """Return a name for the pages."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise unfit("name", name, f"give 1 to {MAX_NAME} printable characters, or None for the program's own name")
    return name


def check_flag(parameter: str, value: object) -> bool:
    """Return True or False: a text that says no would be taken for a yes."""
    if not isinstance(value, bool):
        raise unfit(parameter, value, "give True or False")
    return value


def check_hosts(hosts: object) -> tuple[str, ...]:
    """Return the names under which a dashboard is reached; each one is judged where it is added to the list."""
    right = "give a list of names, as ['app.example']"
    if isinstance(hosts, (str, bytes)) or not isinstance(hosts, Iterable):
        raise unfit("hosts", hosts, right)
    found = tuple(hosts)
    for host in found:
        if not isinstance(host, str):
            raise unfit("hosts", host, right)
    return found
