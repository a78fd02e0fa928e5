"""Every public name of gevent is ours, or is absent for a reason; parameters agree, or differ for a reason.

Both runtimes are asked by `surface.py`, a process each. What is not the same stands in the tables below; a name that
gevent gains, or that we lose or gain, is a failure until they say so. The README's section "Coming from gevent" is
made from them, and from the differences that the modules' docstrings number: `python tests/conformance/test_names.py`
writes it.
"""

import ast
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- names -->\n", "<!-- /names -->\n"

Names = dict[str, dict[str, Any]]

#: (module, names, why): names of gevent that are not here. A class stands for its members.
ABSENT = (
    ("", "config", "there are no settings: one loop, one resolver; `Hub.threadpool_size` sets the thread pool's size"),
    ("", "getswitchinterval setswitchinterval", "a turn runs what was ready when it began, so nothing can starve it"),
    ("", "version_info", "gevent's version; ours is `greenscope.__version__`"),
    (
        "greenlet",
        "Greenlet.GreenletExit Greenlet.error Greenlet.getcurrent Greenlet.gettrace Greenlet.run Greenlet.settrace",
        "a Greenlet is no `greenlet.greenlet`: it borrows one to run in; the `greenlet` package has these names",
    ),
    (
        "greenlet",
        "Greenlet.spawning_stack Greenlet.spawning_stack_limit",
        "would cost every spawn; a watched program's dashboard shows where each greenlet was spawned",
    ),
    (
        "hub",
        "Hub.backend Hub.cancel_wait Hub.cancel_waits_close_and_then Hub.loop_class Hub.switch_out Hub.wait "
        "loop.approx_timer_resolution loop.async_ loop.check loop.child loop.closing_fd loop.default loop.destroy "
        "loop.fork loop.idle loop.io loop.prepare loop.signal loop.stat",
        "no watchers of libev: use `socket.wait_read`, `signal_handler`, `os.waitpid`, `idle`, `spawn_later`, which "
        "do the same on both",
    ),
    ("hub", "Hub.resolver Hub.resolver_class", "names are looked up by the system's resolver, in the thread pool"),
    (
        "hub",
        "Hub.periodic_monitoring_thread Hub.start_periodic_monitoring_thread",
        "the dashboard finds what blocks the loop, with the line",
    ),
    (
        "hub",
        "Hub.format_context Hub.ident_registry Hub.main_hub Hub.spawning_greenlet Hub.threadpool_class",
        "inner parts; `minimal_ident`, `threadpool` and `parent` are there",
    ),
    ("hub", "signal", "the old name of `signal_handler`"),
    (
        "os",
        "fork_and_watch forkpty_and_watch",
        "take a child watcher; `spawn(waitpid, pid, 0)` does it, and `fork` needs no help",
    ),
    (
        "queue",
        "Channel.hub LifoQueue.hub PriorityQueue.hub Queue.hub SimpleQueue.hub",
        "a queue belongs to no hub: greenlets of any thread may use it",
    ),
    (
        "socket",
        "cancel_wait wait socket.hub socket.ref",
        "take or set up a watcher; `wait_read`, `wait_write`, `wait_readwrite` are there",
    ),
    ("subprocess", "Popen.pipe_cloexec Popen.result", "inner parts; wait() and rawlink() tell of the child's end"),
    (
        "threadpool",
        "ThreadPool.adjust ThreadPool.fork_watcher ThreadPool.manager ThreadPool.pid ThreadPool.task_queue "
        "ThreadResult",
        "inner parts; the pool adjusts itself, also after a fork",
    ),
    ("timeout", "Timeout.timer", "a watcher; `pending`, `start`, `cancel` are there"),
    (
        "util",
        "GreenletTree format_run_info print_run_info",
        "the dashboard shows all greenlets with their stacks, parents and children",
    ),
    ("util", "assert_switches", "the dashboard finds what blocks the loop, with the line"),
)

#: (module, names, why): names that both have, with other parameters
DIFFERS = (
    ("", "iwait", "`objects` may be left out, as in `wait`"),
    ("hub", "iwait", "`objects` may be left out, as in `wait`"),
    ("hub", "Hub", "takes no loop: there is one"),
    ("lock", "BoundedSemaphore Semaphore", "gevent's `value=1, hub=None`, spelled out"),
    ("pool", "Group.imap Group.imap_unordered Pool.imap Pool.imap_unordered", "gevent's `maxsize`, spelled out"),
    ("pool", "Pool.start", "gevent's `blocking=True, timeout=None`, spelled out"),
    ("select", "poll.register", "the default mask, spelled out"),
    (
        "socket",
        "socket.recv socket.recv_into socket.recvfrom socket.recvfrom_into socket.recvmsg socket.recvmsg_into "
        "socket.sendto socket.settimeout",
        "the standard library's parameters, spelled out",
    ),
    ("subprocess", "Popen", "the standard library's parameters, whatever the Python; no `threadpool`"),
    ("subprocess", "call check_output run", "the standard library's parameters, spelled out"),
    ("threadpool", "ThreadPool.imap ThreadPool.imap_unordered", "gevent's `maxsize`, spelled out"),
    (
        "threadpool",
        "ThreadPoolExecutor ThreadPoolExecutor.kill ThreadPoolExecutor.shutdown ThreadPoolExecutor.submit",
        "the standard library's parameters, spelled out",
    ),
)

#: (modules, why): modules of gevent that are not here
ABSENT_MODULES = (
    ("monkey builtins contextvars threading time", "no monkey patching: a program imports what it means"),
    ("thread", "serves monkey patching; ours of that name is another thing, a runtime in a native thread"),
    ("ssl", "no TLS: such programs run on gevent, and are watched there"),
    ("resolver resolver_ares resolver_thread ares", "names are looked up by the system's resolver, in threads"),
    ("core libev libuv", "no libev and no watchers: the loop is Python on the system's poll"),
    ("server baseserver pywsgi", "a server is `accept` in a loop and a `Pool`, as above; for HTTP use a web server"),
    ("fileobject", "use `os.nb_read` and `os.tp_read`, or a function in `get_hub().threadpool`"),
    ("selectors", "use `select.poll`, or a greenlet for each descriptor"),
    ("backdoor events", "the dashboard shows more, safely; `greenscope.runtime.instruments` has the hooks"),
    ("tests", "gevent's own tests"),
    ("testing", "gevent's own tests; ours of that name has a virtual clock and a seeded scheduler"),
    ("win32util", "no Windows"),
)

#: modules that stand in for one of the standard library
STANDARD = ("subprocess", "socket", "select", "signal", "os")

#: the public module that a file of the runtime belongs to
PUBLIC = {
    "mapping": "pool",
    "semaphore": "lock",
    "simplequeue": "queue",
    "channel": "queue",
    "executor": "ThreadPoolExecutor",
}


def ask(package: str, stdin: str = "") -> Names:
    """Return what `surface.py` says of a package."""
    command = [sys.executable, str(HERE / "surface.py"), package, *(["-"] if stdin else [])]
    path = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PURE_PYTHON": "1", "PYTHONPATH": path}
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=50, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    found: Names = json.loads(done.stdout)
    return found


@cache
def surfaces() -> tuple[Names, Names]:
    """Return the names of gevent, and those of them that are ours."""
    theirs = ask("gevent")
    return theirs, ask("greenscope.runtime", json.dumps(theirs))


def rows(table: tuple[tuple[str, str, str], ...]) -> Iterator[tuple[str, str]]:
    """Return the (module, name) of a table."""
    for module, names, _why in table:
        for name in names.split():
            yield module, name


def missing() -> set[tuple[str, str]]:
    """Return the (module, name) that gevent has and we don't; of a class that is missing, the class only."""
    theirs, ours = surfaces()
    gone = {(module, name) for module, names in theirs.items() for name in names if name not in ours[module]}
    return {(module, name) for module, name in gone if (module, name.rpartition(".")[0]) not in gone}


def differing() -> dict[tuple[str, str], str]:
    """Return the (module, name) with other parameters here than in gevent, as far as both are Python."""
    theirs, ours = surfaces()
    found = {}
    for module, names in ours.items():
        for name, mine in names.items():
            other = theirs[module][name]
            comparable = "callable" not in (other, mine) or None in (other, mine)
            if mine != other and comparable:
                found[module, name] = f"gevent has {other}, we have {mine}"
    return found


pytest.importorskip("gevent")


@pytest.mark.parametrize("table", [ABSENT, DIFFERS], ids=["ABSENT", "DIFFERS"])
def test_table_is_in_order(table: tuple[tuple[str, str, str], ...]) -> None:
    names = list(rows(table))
    assert len(names) == len(set(names))
    assert all(why for _module, _names, why in table)


def test_names_of_gevent_are_ours_or_absent_for_a_reason() -> None:
    absent = set(rows(ABSENT))
    unexplained, there_after_all = missing() - absent, absent - missing()
    assert not unexplained, f"gevent has them, we don't, and ABSENT doesn't say why: {sorted(unexplained)}"
    assert not there_after_all, f"stand in ABSENT, but are ours, or aren't gevent's: {sorted(there_after_all)}"


def test_parameters_are_those_of_gevent_or_differ_for_a_reason() -> None:
    found, differ = differing(), set(rows(DIFFERS))
    unexplained = {name: what for name, what in found.items() if name not in differ}
    assert not unexplained, f"other parameters, and DIFFERS doesn't say why: {unexplained}"
    assert not differ - set(found), f"stand in DIFFERS, but don't differ: {sorted(differ - set(found))}"


def test_modules_of_gevent_are_ours_or_absent_for_a_reason() -> None:
    theirs = {m.name for m in pkgutil.iter_modules(import_module("gevent").__path__) if not m.name.startswith("_")}
    absent = {name for names, _why in ABSENT_MODULES for name in names.split()}
    there = {name for name in surfaces()[1] if name}
    assert theirs == there | absent
    assert not there & absent


def test_surface_sees_enough_to_mean_anything() -> None:
    theirs, ours = surfaces()
    assert sum(map(len, theirs.values())) > 600
    kind = "POSITIONAL_OR_KEYWORD"
    kill = [["exception", kind, "GreenletExit"], ["block", kind, "True"], ["timeout", kind, "None"]]
    assert theirs["greenlet"]["Greenlet.kill"] == ours["greenlet"]["Greenlet.kill"] == kill
    assert "Greenlet.value" in ours["greenlet"]


def test_readme_says_what_the_tables_say() -> None:
    text = README.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    said = text[text.index(BEGIN) + len(BEGIN) : text.index(END)]
    assert said == section(), "write it anew: python tests/conformance/test_names.py"


# -- the README's section


def code(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


def offered(module: str) -> str:
    """Return what a module offers, in words."""
    _theirs, ours = surfaces()
    names = sorted(name for name in ours[module] if "." not in name and name != "SocketType")
    if module not in STANDARD:
        return code(names)
    standard = import_module(module)
    known = set(getattr(standard, "__all__", dir(standard)))
    extra = [name for name in names if name not in known or not hasattr(standard, name)]
    if module == "os":
        return code(names)
    return "the standard library's names" + (", and " + code(extra) if extra else "")


def table_rows(module: str) -> Iterator[str]:
    """Return the table's rows for a module: what is there, then a row for each difference."""
    label = f"`{module}`" if module else "the package"
    there = offered(module)
    for kind, table in (("absent", ABSENT), ("differs", DIFFERS)):
        for where, names, why in table:
            if where == module:
                yield f"| {label} | {there} | {kind}: {code(names.split())} | {why} |"
                label = there = ""
    if label:
        yield f"| {label} | {there} | | |"


def numbered_differences() -> Iterator[tuple[str, str]]:
    """Return (module, difference in behaviour) as the docstrings of the runtime number them."""
    for path in sorted((ROOT / "runtime").glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        _before, found, after = text.partition("Deliberate difference")
        if found:
            after = after.partition("from gevent:")[2].partition("\n\n")[0]
            for item in re.split(r"^\s*\d+\. ", after, flags=re.MULTILINE):
                if item.strip():
                    yield PUBLIC.get(path.stem, path.stem), " ".join(item.split())


def section() -> str:
    """Return the section's part that is made: tables, and the list of differences in behaviour."""
    lines = ["| module | what is there | what differs | why |", "|---|---|---|---|"]
    for module in surfaces()[1]:
        lines += table_rows(module)
    lines += ["", "Modules that are absent on purpose:", "", "| module | why |", "|---|---|"]
    lines += [f"| {code(names.split())} | {why} |" for names, why in ABSENT_MODULES]
    lines += ["", "What behaves differently:", ""]
    lines += [
        f"{n}. `{module}`: {text}"
        for n, (module, text) in enumerate(sorted(numbered_differences(), key=itemgetter(0)), 1)
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the section into the README."""
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(before + BEGIN + section() + END + after)


if __name__ == "__main__":
    main()
