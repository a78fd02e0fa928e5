"""One line in an existing program: `greenscope.watch()`, or a dashboard mounted in its own web app.

    watch()             -> probe, app, server in a native thread -> Monitor
    create_dashboard()  -> probe, app; the host serves it

The server runs in a thread that is native also where gevent has patched threads, since
a dashboard that stands still together with the hub would show nothing when it matters.
"""

import _thread
import os
import secrets
import sys
import weakref
from collections.abc import Callable, Iterable

from greenscope.app.backends.choice import make_probe
from greenscope.app.dashboard import DashboardApp, build_dashboard
from greenscope.app.natives import native_sleep, pause
from greenscope.app.probe import Probe
from greenscope.app.server import DashboardServer
from greenscope.app.settings import check_flag, check_hosts, check_name, unfit

__all__ = ["Monitor", "create_dashboard", "native_thread_starter", "watch"]


class Monitor:
    """A running dashboard over this process; `url` is its address, close() ends it. A context manager."""

    def __init__(self, probe: Probe, server: DashboardServer) -> None:
        self.probe = probe
        self.server = server
        _monitors.add(self)

    @property
    def url(self) -> str:
        """The address to open in a browser; the token is in its fragment."""
        return self.server.url

    @property
    def closed(self) -> bool:
        """True when it serves no more."""
        return self.server.finished

    def close(self, timeout: float = 5.0) -> None:
        """Stop the server and remove every hook; blocks at most `timeout` seconds. Idempotent."""
        self._close(timeout, pause)

    def close_at_exit(self, timeout: float = 5.0) -> None:
        """As close(), when the program is over: none of its greenlets runs meanwhile, which might end it once more."""
        self._close(timeout, native_sleep)

    def _close(self, timeout: float, sleep: Callable[[float], None]) -> None:
        _monitors.discard(self)
        try:
            self.server.stop(timeout, sleep)
        finally:
            self.probe.close()

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        address = self.url.partition("#")[0]
        return f"<Monitor {address} backend={self.probe.backend}{' closed' if self.closed else ''}>"


def watch(
    *,
    host: str = "127.0.0.1",
    port: int = 8484,
    uds: str | os.PathLike[str] | None = None,
    control: bool = False,
    token: str | None = None,
    backend: str = "auto",
    accounting: str = "light",
    name: str | None = None,
) -> Monitor:
    """Watch this process: start a dashboard in a native thread and return its Monitor. Does not block.

    Read-only unless `control=True`. `port=0` takes any free one; `uds` is the path of a Unix socket, whose
    permissions are the authentication. `token` is made when none is given. `backend` is auto, native or gevent;
    `accounting` is off, light or full. Raises PortInUse when the port is taken, UnfitSetting (a ValueError that names
    the parameter) for what cannot be meant, OSError when there is no listening there. Then nothing is left behind.
    """
    probe = make_probe(backend, accounting)
    app = build_dashboard(
        probe,
        control=check_flag("control", control),
        token=secrets.token_urlsafe(32) if token is None and uds is None else token,
        authentication="uds" if uds is not None and token is None else "token",
        name=None if name is None else check_name(name),
    )
    server = DashboardServer(app, host=host, port=port, uds=uds)
    server.bind()  # before any hook is set: a busy port must leave no trace
    monitor = Monitor(probe, server)
    try:
        probe.attach()
        server.start_thread(native_thread_starter())
    except BaseException:
        monitor.close()
        raise
    return monitor


def create_dashboard(
    *,
    control: bool = False,
    token: str | None = None,
    authentication: str = "token",
    backend: str = "auto",
    accounting: str = "light",
    hosts: Iterable[str] = (),
    name: str | None = None,
    probe: Probe | None = None,
) -> DashboardApp:
    """Return the dashboard as a Starlette app, to be mounted under any path of a Starlette or FastAPI app.

    It watches from the first request on. `authentication="none"` leaves reading to the host's own guard; control
    needs a token all the same. `hosts` are the names under which the host app is reached. Without `token` one is made
    and printed on stderr. Raises UnfitSetting (a ValueError that names the parameter) for what cannot be meant.
    """
    if authentication not in ("token", "none"):
        raise unfit("authentication", authentication, "give 'token' or 'none'")
    made = secrets.token_urlsafe(32) if token is None and (authentication == "token" or control) else None
    app = build_dashboard(
        probe if probe is not None else make_probe(backend, accounting),
        control=check_flag("control", control),
        token=token if made is None else made,
        authentication="token" if authentication == "token" else "none",
        hosts=check_hosts(hosts),
        name=None if name is None else check_name(name),
    )
    if made is not None:
        sys.stderr.write(f"greenscope: open the dashboard with #token={made} behind its address\n")
    return app


def native_thread_starter() -> Callable[..., int]:
    """Return what starts a native thread, also in a program that gevent has patched."""
    if "gevent.monkey" in sys.modules:
        from gevent.monkey import get_original

        start: Callable[..., int] = get_original("_thread", "start_new_thread")
        return start
    return _thread.start_new_thread


_monitors: "weakref.WeakSet[Monitor]" = weakref.WeakSet()


def _after_fork() -> None:
    """In a forked child nobody is watched: no thread serves there, and hooks would fill buffers that nobody reads."""
    for monitor in list(_monitors):
        try:
            monitor.probe.close()
        except Exception as error:
            sys.stderr.write(f"greenscope: could not let go of a forked child: {error!r}\n")
    _monitors.clear()


os.register_at_fork(after_in_child=_after_fork)
