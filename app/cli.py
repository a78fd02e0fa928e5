"""The command line: run a program and watch it, show the demo, merge many.

    greenscope run SCRIPT   the program in the main thread, the dashboard in a native one
    greenscope demo         as run, with a program of our own
    greenscope serve        no program: the dashboard of many others in the main thread

Only the main thread has signal handlers, is told of Ctrl-C while it computes, and makes threads that the interpreter
waits for at its end; and only a child forked from there goes on as a program. So it is the program's.

The dashboard ends with the process, not with the main function: threads and exit handlers may go on after that.
The program's exit status is the command's, and its output is untouched: everything that
this command has to say goes to stderr.
"""

import argparse
import atexit
import os
import secrets
import signal
import sys
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from greenscope import __version__
from greenscope.app.backends.choice import ACCOUNTING
from greenscope.app.programs import INTERRUPTED, NoProgram, Program, run_to_status


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors say where help is; options are written out, so that split_program knows them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Print the error and exit with 2."""
        self.exit(2, f"{self.prog}: {message}\nTry '{self.prog} --help'.\n")


def port_number(text: str) -> int:
    """Return a port from 0 to 65535."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 (any free port) to 65535")
    return int(text)


def path_name(text: str) -> Path:
    """Return a path that has a name: an empty one, of a variable that is not set, would be this folder."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty: give a path")
    return Path(text)


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every dashboard takes."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port_number, default=8484, help="0: any free one (default: %(default)s)")
    parser.add_argument("--read-only", action="store_true", help="offer no kill, spawn and resize")
    parser.add_argument("--token", metavar="T", help="the token that opens the dashboard (default: made)")
    parser.add_argument("--url-file", type=path_name, metavar="PATH", help="write the address there once it listens")
    parser.add_argument("--open", action="store_true", help="open a browser")


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(prog="greenscope", description="See every greenlet, live.")
    parser.add_argument("--version", action="version", version=f"greenscope {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    watched = Parser(add_help=False)
    add_server_options(watched)
    watched.add_argument("--uds", type=path_name, metavar="PATH", help="listen on a Unix socket instead of a port")
    watched.add_argument("--hold", action="store_true", help="stay up when the program has ended")
    watched.add_argument(
        "--audit", type=path_name, metavar="PATH", help="append what is killed, spawned, resized there"
    )

    run = commands.add_parser("run", parents=[watched], help="run a program and watch it")
    run.add_argument("--gevent", action="store_true", help="the program uses gevent: patch before it runs")
    run.add_argument("--no-patch", action="store_true", help="with --gevent: leave patching to the program")
    run.add_argument(
        "--accounting",
        choices=ACCOUNTING,
        default="light",
        help="times and switches of each greenlet: light (default), full or off",
    )
    run.add_argument("-m", dest="module", metavar="MODULE", help="run a module instead of a script")
    run.add_argument("target", nargs="?", metavar="SCRIPT", help="the program's file")
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS", help="its arguments")
    run.set_defaults(function=run_program)

    demo = commands.add_parser("demo", parents=[watched], help="show a real workload over the files of a folder")
    demo.add_argument("path", nargs="?", metavar="PATH", help="the folder (default: the installed Python library)")
    demo.add_argument("--passes", type=int, default=0, metavar="N", help="passes over the folder (default: for ever)")
    demo.set_defaults(function=run_demo)

    serve = commands.add_parser("serve", help="one page over all watched processes with sockets in a folder")
    add_server_options(serve)
    serve.add_argument(
        "directory",
        type=path_name,
        nargs="?",
        metavar="DIRECTORY",
        help="default: where server workers put them",
    )
    serve.set_defaults(function=run_serve)
    return parser


def split_program(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split `run`'s arguments behind the program's name: what follows is the program's, options included."""
    arguments = list(arguments)
    if not arguments or arguments[0] != "run":
        return arguments, []
    valued = {"--host", "--port", "--token", "--url-file", "--uds", "--audit", "--accounting"}
    index = 1
    while index < len(arguments):
        word = arguments[index]
        if word.startswith("-m") and len(word) > 2:
            return [*arguments[:index], "-m", word[2:]], arguments[index + 1 :]
        if word == "-m":
            return arguments[: index + 2], arguments[index + 2 :]
        if word == "--":
            return [*arguments[:index], *arguments[index + 1 : index + 2]], arguments[index + 2 :]
        if not word.startswith("-"):
            return arguments[: index + 1], arguments[index + 1 :]
        index += 2 if word in valued else 1
    return arguments, []


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status. Blocks until the program's main function has ended."""
    own, rest = split_program(sys.argv[1:] if argv is None else argv)
    try:
        options = build_parser().parse_args(own)
        options.rest = rest
        status: int = options.function(options)
        return status
    except (NoProgram, ValueError, OSError) as error:
        sys.stderr.write(f"greenscope: {getattr(error, 'strerror', None) or error}\n")
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED


def run_program(options: argparse.Namespace) -> int:
    """Run a script or module under a dashboard."""
    if (options.target is None) == (options.module is None):
        raise NoProgram("run: give either a SCRIPT or -m MODULE")
    if options.no_patch and not options.gevent:
        raise ValueError("--no-patch: goes with --gevent only")
    arguments = tuple(options.rest)
    program = Program(options.module or options.target, arguments, module=options.module is not None)
    program.check()
    if options.gevent:
        return watch_gevent(program, options)
    return watch_native(program.run, program.name, options)


def run_demo(options: argparse.Namespace) -> int:
    """Run the demo under a dashboard."""
    root: str = os.path.dirname(os.__file__) if options.path is None else options.path
    if not os.path.isdir(root):
        raise NoProgram(f"PATH: {root!r} is no folder; give the one whose files are to be surveyed")
    root = os.path.abspath(root)
    if options.passes < 0:
        raise ValueError("--passes: give 0 (for ever) or more")

    def demo() -> None:
        from greenscope.app.demo import survey_forever

        survey_forever(root, options.passes)

    hear_interrupts()
    return watch_native(demo, "demo", options)


def run_serve(options: argparse.Namespace) -> int:
    """Merge the dashboards whose sockets lie in a folder."""
    from greenscope.app.merging import serve_directory

    status: int = serve_directory(options)
    return status


def make_server(probe: Any, name: str, options: argparse.Namespace) -> Any:
    """Return a bound server for a probe, as the options say."""
    from greenscope.app.dashboard import build_dashboard
    from greenscope.app.server import DashboardServer

    uds = getattr(options, "uds", None)
    open_uds = uds is not None and options.token is None
    app = build_dashboard(
        probe,
        control=not options.read_only,
        token=None if open_uds else secrets.token_urlsafe(32) if options.token is None else options.token,
        authentication="uds" if open_uds else "token",
        name=name,
        audit=getattr(options, "audit", None),
    )
    server = DashboardServer(app, host=options.host, port=options.port, uds=uds)
    server.bind()
    return server


def announce(server: Any, options: argparse.Namespace) -> None:
    """Tell where the dashboard is: on stderr, in a file, in a browser."""
    sys.stderr.write(f"greenscope: {server.url}\n")
    sys.stderr.flush()
    if options.url_file is not None:
        write_url(options.url_file, server.url)
    if options.open:
        open_browser(server.url)


def open_browser(url: str) -> None:
    """Open a browser where there is a screen for one: a text browser would take the terminal."""
    if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(url)


def write_url(path: Path, url: str) -> None:
    """Write the address for this user alone; whoever reads the file sees all of it or nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(url + "\n")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, f"--url-file: cannot write {path}: {error.strerror}") from error


def watch_native(function: Callable[[], object], name: str, options: argparse.Namespace) -> int:
    """Run a program on the runtime of this thread. Blocks until its main function has ended."""
    from greenscope.app.backends.native import NativeProbe
    from greenscope.runtime import sleep

    return watch(NativeProbe(accounting=getattr(options, "accounting", "") != "off"), function, name, options, sleep)


def watch_gevent(program: Program, options: argparse.Namespace) -> int:
    """Run a gevent program. Blocks until its main function has ended."""
    from greenscope.app.backends.choice import choose_backend

    choose_backend("gevent")
    if not options.no_patch:
        from gevent import monkey

        monkey.patch_all()
    import gevent

    from greenscope.app.backends.gevent import GeventProbe

    return watch(GeventProbe(accounting=options.accounting), program.run, program.name, options, gevent.sleep)


def watch(
    probe: Any, function: Callable[[], object], name: str, options: argparse.Namespace, sleep: Callable[[float], object]
) -> int:
    """Run a program in this thread, the dashboard in a native one. Blocks until the program's main function has ended.

    The dashboard ends with the process: after the threads and the exit handlers of the program.
    """
    from greenscope.app.watching import Monitor, native_thread_starter

    server = make_server(probe, name, options)
    monitor = Monitor(probe, server)
    try:
        probe.attach()
        server.start_thread(native_thread_starter())
        announce(server, options)
    except BaseException:
        monitor.close()
        raise
    atexit.register(monitor.close)  # not here: a program goes on while threads of its own do
    owner = os.getpid()
    on_ended = end_on_terminate(server)
    status = run_to_status(function)
    if options.hold and status != INTERRUPTED and os.getpid() == owner:
        wait_interrupted(sleep)
    on_ended()
    return status


def hear_interrupts() -> None:
    """Let SIGINT end a program of our own, also where a shell that put it into the background has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end_on_terminate(server: Any) -> Callable[[], None]:
    """Let SIGTERM end the program through its `finally`, unless it has a handler; a second one, or a child's, kills.

    What is returned is to be called when the main function has ended; threads may go on, but no `finally`.
    """
    owner = os.getpid()
    ended = False

    def on_terminate(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() == owner and not ended:
            raise SystemExit(128 + number)
        if os.getpid() == owner:
            server.remove_socket_file()
        os.kill(os.getpid(), number)

    def on_ended() -> None:
        nonlocal ended
        ended = True

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, on_terminate)
    return on_ended


def wait_interrupted(sleep: Callable[[float], object]) -> None:
    """Block until Ctrl-C, letting greenlets go on."""
    try:
        while True:
            sleep(3600)
    except (KeyboardInterrupt, SystemExit):
        pass
