"""Child processes for which only their greenlet waits; names, arguments and errors are the standard library's.

`Popen` is a subclass of the standard one. Its pipes are cooperative files, and the end
of the child is an event of the hub: the kernel makes a descriptor (pidfd) readable;
where there is none, a thread waits. So a child can be waited for beside other things:
`wait([popen, greenlet])`.

Deliberate differences from gevent:
1. No signal handler for SIGCHLD is installed.
2. `Popen` is an instance of the standard library's `subprocess.Popen`.
"""

import os
import subprocess as _std
import threading
from collections.abc import Callable
from subprocess import (
    DEVNULL,
    PIPE,
    STDOUT,
    CalledProcessError,
    CompletedProcess,
    SubprocessError,
    TimeoutExpired,
    list2cmdline,
)
from time import monotonic
from typing import Any

from greenscope.runtime.descriptors import wait_descriptor
from greenscope.runtime.event import Event
from greenscope.runtime.hub import Hub, get_hub
from greenscope.runtime.pipes import replace_pipe
from greenscope.runtime.poller import READ, Watch
from greenscope.runtime.talk import Talk, close_reader, raw_of
from greenscope.runtime.waiting import sleep

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "CalledProcessError",
    "CompletedProcess",
    "Popen",
    "SubprocessError",
    "TimeoutExpired",
    "call",
    "check_call",
    "check_output",
    "getoutput",
    "getstatusoutput",
    "list2cmdline",
    "run",
]

#: seconds between two looks at a child that can be watched in no other way, first and longest
FIRST_DELAY, LONGEST_DELAY = 0.0005, 0.05


class Ended(Event):
    """The end of a child."""

    __slots__ = ()
    waits_as = "subprocess"


class EndLink:
    """A raw link that hands on the child instead of its event; equal to its callback, for unlink()."""

    __slots__ = ("callback", "popen")

    def __init__(self, callback: Callable[[Any], Any], popen: "Popen") -> None:
        self.callback = callback
        self.popen = popen

    def __call__(self, _event: Any) -> None:
        self.callback(self.popen)

    def __eq__(self, other: object) -> bool:
        return bool(self.callback == getattr(other, "callback", other))

    def __hash__(self) -> int:
        return hash(self.callback)


class Popen(_std.Popen):  # type: ignore[type-arg]
    """A child process. Arguments and errors are those of the standard library's `subprocess.Popen`.

    It is one of those (difference 2). Can be waited for with wait() and iwait(). A running one keeps the loop alive.
    """

    _pidfd = -1
    _watch: Watch | None = None
    _hub: Hub
    _talk: Talk | None = None

    def __init__(self, args: Any, bufsize: int | None = -1, *rest: Any, **kwargs: Any) -> None:
        if bufsize is None:
            bufsize = -1
        self._hub = get_hub()
        self._ended = Ended()
        super().__init__(args, bufsize, *rest, **kwargs)
        if bufsize == 1 and self.text_mode:  # type: ignore[attr-defined]
            bufsize = -1  # lines are the business of the text on top
        self.stdin = replace_pipe(self.stdin, "w", bufsize)
        self.stdout = replace_pipe(self.stdout, "r", bufsize)
        self.stderr = replace_pipe(self.stderr, "r", bufsize)
        self._watch_end()

    # -- its end

    def _watch_end(self) -> None:
        """Ask the kernel, or else a thread, to tell the hub of the end (difference 1)."""
        hub = self._hub
        try:
            self._pidfd = os.pidfd_open(self.pid)
            self._watch = hub.poller.add(self._pidfd, READ, self.poll)
        except (AttributeError, OSError):  # no such call, or forbidden in this sandbox
            self._close_pidfd()
            hub.hold()
            threading.Thread(target=self._wait_natively, name=f"wait-{self.pid}", daemon=True).start()

    def _wait_natively(self) -> None:
        """Wait in a thread, without taking the exit status from poll()."""
        try:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        except OSError:
            pass  # poll() has taken it already
        self._hub.run_callback(self._on_native_end)

    def _on_native_end(self) -> None:
        self._hub.release()
        self.poll()

    def _close_pidfd(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None and not watch.poller.closed:
            watch.stop()
        fd, self._pidfd = self._pidfd, -1
        if fd >= 0:
            os.close(fd)

    def poll(self) -> int | None:
        """Return the exit status, None while it runs. Does not block, and needs no turn of the hub."""
        status = super().poll()
        if status is not None and not self._ended.is_set():
            if self._hub.thread_ident == threading.get_ident():
                self._close_pidfd()
            else:
                self._hub.run_callback(self._close_pidfd)
            self._ended.set()
        return status

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """Call `callback(self)` in the hub when it has ended, also when it has already. It must not block or raise."""
        self._ended.rawlink(EndLink(callback, self))

    def unlink(self, callback: Callable[[Any], Any]) -> None:
        """Remove a callback; a no-op when it is not there."""
        self._ended.unlink(callback)

    def ready(self) -> bool:
        """Return True when it has ended."""
        return self.poll() is not None

    def _wait(self, timeout: float | None) -> int:
        """Wait for the end: what wait() of the standard class calls. Blocks; raises TimeoutExpired."""
        deadline = None if timeout is None else monotonic() + timeout
        delay = FIRST_DELAY
        while self.poll() is None:
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                raise TimeoutExpired(self.args, timeout or 0.0)
            if get_hub() is self._hub and (self._watch is None or self._watch.poller is self._hub.poller):
                self._ended.wait(left)
            elif self._pidfd >= 0:
                self._wait_elsewhere(left)
            else:
                sleep(delay if left is None else min(delay, left))
                delay = min(delay * 2, LONGEST_DELAY)
        return int(self.returncode)

    def _wait_elsewhere(self, seconds: float | None) -> None:
        """Wait in another thread than the one that made it: whether that one's hub runs is not ours to know."""
        try:
            fd = os.dup(self._pidfd)
        except OSError:
            return  # it has just ended
        try:
            wait_descriptor(fd, READ, seconds)
        finally:
            os.close(fd)

    # -- its pipes

    def _communicate(self, input: Any, endtime: float | None, orig_timeout: float | None) -> tuple[Any, Any]:
        """Write and read all pipes at once: what communicate() of the standard class calls. Blocks."""
        if self._talk is None:
            self._talk = Talk(self, input)
        talk = self._talk
        if not talk.wait(None if endtime is None else max(0.0, endtime - monotonic())):
            output, errors = talk.read_bytes()
            raise TimeoutExpired(self.args, orig_timeout or 0.0, output=output, stderr=errors)
        try:
            self.wait(timeout=None if endtime is None else max(0.0, endtime - monotonic()))
        except TimeoutExpired:
            output, errors = talk.read_bytes()
            raise TimeoutExpired(self.args, orig_timeout or 0.0, output=output, stderr=errors)
        return talk.result()

    def __exit__(self, *exc_info: Any) -> None:
        if self._talk is not None:
            self._talk.stop()
        for stream in (self.stdout, self.stderr):
            close_reader(stream)
        try:
            super().__exit__(*exc_info)
        except RuntimeError:  # another greenlet writes to stdin, and its buffer lets nobody else in
            if self.stdin is None or self.stdin.closed:
                raise
            raw_of(self.stdin).close()
            self.wait()

    def __repr__(self) -> str:
        state = "running" if self.returncode is None else f"returncode={self.returncode}"
        return f"<{type(self).__name__} at {id(self):#x} pid={getattr(self, 'pid', None)} {state}>"


def call(*popenargs: Any, timeout: float | None = None, **kwargs: Any) -> int:
    """Run a command and return its exit status. Blocks; raises TimeoutExpired after killing it."""
    with Popen(*popenargs, **kwargs) as popen:
        try:
            return popen.wait(timeout=timeout)
        except BaseException:
            popen.kill()
            raise


def check_call(*popenargs: Any, **kwargs: Any) -> int:
    """Do as call(), but raise CalledProcessError when the status is not 0."""
    status = call(*popenargs, **kwargs)
    if status:
        raise CalledProcessError(status, kwargs["args"] if "args" in kwargs else popenargs[0])
    return 0


def check_output(*popenargs: Any, timeout: float | None = None, **kwargs: Any) -> Any:
    """Run a command and return what it writes to stdout. Blocks.

    Raises CalledProcessError when its status is not 0, TimeoutExpired after killing it.
    """
    for name in ("stdout", "check"):
        if name in kwargs:
            raise ValueError(f"{name} argument not allowed, it will be overridden.")
    if kwargs.get("input", ...) is None:
        text = any(kwargs.get(name) for name in ("universal_newlines", "text", "encoding", "errors"))
        kwargs["input"] = "" if text else b""
    return run(*popenargs, stdout=PIPE, timeout=timeout, check=True, **kwargs).stdout


def run(
    *popenargs: Any,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **kwargs: Any,
) -> "CompletedProcess[Any]":
    """Run a command to its end; arguments, result and errors are the standard library's. Blocks."""
    if input is not None:
        if kwargs.get("stdin") is not None:
            raise ValueError("stdin and input arguments may not both be used.")
        kwargs["stdin"] = PIPE
    if capture_output:
        if kwargs.get("stdout") is not None or kwargs.get("stderr") is not None:
            raise ValueError("stdout and stderr arguments may not be used with capture_output.")
        kwargs["stdout"] = kwargs["stderr"] = PIPE
    with Popen(*popenargs, **kwargs) as popen:
        try:
            output, errors = popen.communicate(input, timeout=timeout)
        except TimeoutExpired:
            popen.kill()
            popen.wait()
            raise
        except BaseException:
            popen.kill()
            raise
        status = popen.poll()
    assert status is not None
    if check and status:
        raise CalledProcessError(status, popen.args, output=output, stderr=errors)
    return CompletedProcess(popen.args, status, output, errors)


def getstatusoutput(cmd: Any, *, encoding: str | None = None, errors: str | None = None) -> tuple[int, str]:
    """Return (exit status, output with the errors in it) of a shell command. Blocks."""
    try:
        output = check_output(cmd, shell=True, text=True, stderr=STDOUT, encoding=encoding, errors=errors)
        status = 0
    except CalledProcessError as error:
        output = error.output
        status = error.returncode
    return status, output.removesuffix("\n")


def getoutput(cmd: Any, *, encoding: str | None = None, errors: str | None = None) -> str:
    """Return the output of a shell command, with the errors in it. Blocks."""
    return getstatusoutput(cmd, encoding=encoding, errors=errors)[1]
