"""What the frames of a parked greenlet say of its wait.

Where gevent waits in Python, the innermost frame tells: `sleep`, sockets, `Popen.wait`, a Pool's slot, an RLock ...
Where it waits in compiled code it leaves none: `self.jobs.get()` parks in the program's own line, but the source
position of the instruction is known, and so are its words.
"""

import dis
from types import CodeType, FrameType

from greenscope.app.backends.gevent_discovery import hidden

_NAME_CUT = 80

#: (end of file name, function) -> kind
_FRAMES: dict[tuple[str, str], str] = {
    ("gevent/hub.py", "sleep"): "sleep",
    ("gevent/hub.py", "idle"): "idle",
    ("gevent/hub.py", "join"): "hub.join",
    ("gevent/pool.py", "add"): "pool slot",
    ("gevent/pool.py", "join"): "group.join",
    ("gevent/pool.py", "wait_available"): "pool slot",
    ("gevent/pool.py", "kill"): "group.kill",
    ("gevent/lock.py", "acquire"): "rlock",
    ("gevent/subprocess.py", "wait"): "subprocess",
    ("gevent/subprocess.py", "communicate"): "subprocess",
    ("gevent/select.py", "select"): "select",
    ("gevent/select.py", "poll"): "poll",
    ("gevent/selectors.py", "select"): "select",
    ("gevent/threadpool.py", "get"): "threadpool",
    ("gevent/threadpool.py", "apply"): "threadpool",
    ("gevent/threadpool.py", "spawn"): "threadpool slot",
    ("gevent/baseserver.py", "serve_forever"): "server",
    ("gevent/thread.py", "acquire"): "lock",
    ("threading.py", "wait"): "condition",
    ("threading.py", "join"): "thread.join",
    ("threading.py", "_wait_for_tstate_lock"): "thread.join",
    ("queue.py", "get"): "queue.get",
    ("queue.py", "put"): "queue.put",
}
_SOCKETS = ("gevent/_socket3.py", "gevent/_socketcommon.py", "gevent/ssl.py", "gevent/_ssl3.py")
_SOCKET_WORDS = {"recv_into": "recv", "recvfrom_into": "recvfrom", "sendall": "send", "read": "recv", "write": "send"}
#: what a call in the program's own line is, by the name that is called
_CALLS: dict[str, str] = {
    "wait": "wait",
    "acquire": "lock",
    "__enter__": "lock",
    "get": "get",
    "put": "put",
    "peek": "get",
    "join": "join",
    "joinall": "joinall",
    "iwait": "joinall",
    "kill": "kill",
    "killall": "kill",
    "switch": "switch",
    "recv": "socket.recv",
    "accept": "socket.accept",
    "wait_read": "socket.read",
    "wait_write": "socket.write",
}


class FrameReader:
    """Tells waits by frames; remembers what it has read of each call."""

    def __init__(self) -> None:
        self._calls: dict[tuple[CodeType, int], tuple[str, str]] = {}

    def read(self, frame: FrameType | None) -> tuple[str, str]:
        """Return (kind, name) of the wait of a greenlet that stands at a frame."""
        if frame is None:
            return "unknown", ""
        known = kind_of_frame(frame)
        inner, steps = frame, 0
        while hidden(inner.f_code.co_filename) and inner.f_back is not None and steps < 20:
            inner, steps = inner.f_back, steps + 1
        called, words = self._call_at(inner)
        if known is not None:
            return known, words if known in ("pool slot", "group.join", "rlock") else ""
        return _CALLS.get(called, "unknown" if not called else f"call {called}"), words

    def _call_at(self, frame: FrameType) -> tuple[str, str]:
        """Return (called name, source of what it is called on) of the call in which a frame stands."""
        key = (frame.f_code, frame.f_lasti)
        known = self._calls.get(key)
        if known is None:
            if len(self._calls) > 5000:
                self._calls.clear()
            try:
                known = _read_call(*key)
            except Exception:
                known = ("", "")
            self._calls[key] = known
        return known


def kind_of_frame(frame: FrameType) -> str | None:
    """Return the kind of wait of a frame inside gevent or a patched part of the standard library."""
    at: FrameType | None = frame
    best: str | None = None
    for _ in range(6):
        if at is None:
            break
        file = at.f_code.co_filename.replace("\\", "/")
        name = at.f_code.co_name
        tail = "/".join(file.rsplit("/", 2)[-2:])
        if tail in _SOCKETS:
            best = f"socket.{_SOCKET_WORDS.get(name, name).strip('_')}"
        else:
            kind = _FRAMES.get((tail, name)) or (_FRAMES.get((tail.rpartition("/")[2], name)) if at is frame else None)
            if kind is not None:
                best = kind
        if not hidden(file):
            break
        at = at.f_back
    return best


def _read_call(code: CodeType, lasti: int) -> tuple[str, str]:
    """Return (called name, words of the object) of the call at an instruction, from names and source positions."""
    start, end, first, last = list(code.co_positions())[lasti // 2]
    if start is None or start != end or first is None or last is None:
        return _called_name(code, lasti), ""
    import linecache

    line = linecache.getline(code.co_filename, start)
    text = line.encode()[first:last].decode(errors="replace") if line else ""
    words = text.partition("(")[0].strip()
    if not words:
        return _called_name(code, lasti), ""
    owner, dot, name = words.rpartition(".")
    if not dot and line.strip().startswith("with "):
        return "__enter__", words[:_NAME_CUT]
    return (name or _called_name(code, lasti)), (owner or "")[:_NAME_CUT]


def _called_name(code: CodeType, lasti: int) -> str:
    """Return the last attribute or global loaded before a call."""
    name = ""
    for instruction in dis.get_instructions(code):
        if instruction.offset >= lasti:
            break
        if instruction.opname in ("LOAD_METHOD", "LOAD_ATTR", "LOAD_GLOBAL", "LOAD_NAME", "BEFORE_WITH"):
            name = "__enter__" if instruction.opname == "BEFORE_WITH" else str(instruction.argval)
    return name
