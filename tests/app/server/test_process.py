"""The server in a process of its own: signals, exit, fork, no descriptors left."""

import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest

HEAD = """
import os, signal, socket, sys, time
from greenscope.app.backends.fake import FakeProbe
from greenscope.app.dashboard import build_dashboard
from greenscope.app.server import DashboardServer, Limits

TOKEN = "t" * 32
app = build_dashboard(FakeProbe(), token=TOKEN, control=True)

def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=5)

def get(server, path="/api/health", client=None):
    client = client or connect(server)
    client.sendall(f"GET {path} HTTP/1.1\\r\\nHost: localhost\\r\\nAuthorization: Bearer {TOKEN}\\r\\n\\r\\n".encode())
    return client, client.recv(65536)
"""


def start(body: str) -> "subprocess.Popen[str]":
    script = HEAD + textwrap.dedent(body)
    # the scripts leave their own clients open on purpose
    flags = ["-W", "error", "-W", "ignore::ResourceWarning", "-X", "faulthandler"]
    command = [sys.executable, *flags, "-c", script]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(body: str, timeout: float = 30) -> tuple[int, str, str]:
    process = start(body)
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        raise AssertionError(f"it hangs\n{output}\n{errors}") from None
    return process.returncode, output, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_ends_within_three_seconds_of_a_signal_and_restores_handlers(number: signal.Signals) -> None:
    process = start(
        """
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        server = DashboardServer(app, port=0)
        server.bind()
        print(server.port, flush=True)
        server.run()
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
        print("ended", server.signal, flush=True)
        """
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(f"GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {'t' * 32}\r\n\r\n".encode())
        assert b"200" in client.recv(1000)
        begun = time.monotonic()
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
    assert time.monotonic() - begun < 3.0
    assert (output.strip(), errors, process.returncode) == (f"ended {int(number)}", "", 0)


def test_interpreter_exits_at_once_with_everything_running() -> None:
    begun = time.monotonic()
    code, output, errors = run(
        """
        server = DashboardServer(app, port=0)
        server.start_thread()
        clients = [get(server, "/events") for _ in range(3)] + [get(server)]
        print("up", flush=True)
        """
    )
    assert (code, output.strip(), errors) == (0, "up", "")
    assert time.monotonic() - begun < 10


def test_exception_of_the_program_is_all_that_is_told() -> None:
    code, _, errors = run(
        """
        server = DashboardServer(app, port=0)
        server.start_thread()
        get(server, "/events")
        raise SystemExit(7)
        """
    )
    assert (code, errors) == (7, "")


def test_forked_child_has_no_server_and_holds_nothing_open() -> None:
    code, output, errors = run(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        server = DashboardServer(app, port=0)
        server.start_thread()
        stream, _ = get(server, "/events")
        stream.settimeout(5)
        time.sleep(0.3)
        pid = os.fork()
        if pid == 0:
            stream.close()
            print(server.finished, server.stop(), flush=True)
            time.sleep(1.5)
            os._exit(0)
        assert get(server)[1].startswith(b"HTTP/1.1 200"), "the parent goes on"
        port = server.port
        assert server.stop()
        while True:
            data = stream.recv(65536)
            if not data:
                break
        print("stream ended", flush=True)
        again = DashboardServer(build_dashboard(FakeProbe(), token=TOKEN), port=port)
        again.start_thread()
        assert get(again)[1].startswith(b"HTTP/1.1 200")
        assert again.stop()
        os.waitpid(pid, 0)
        """
    )
    assert (code, errors) == (0, "")
    assert output.split("\n")[:2] == ["True True", "stream ended"]


def test_running_out_of_descriptors_is_survived() -> None:
    code, output, errors = run(
        """
        import resource
        server = DashboardServer(app, port=0, limits=Limits(request=0.5))
        server.start_thread()
        get(server)[0].close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
        clients = []
        try:
            while True:
                clients.append(connect(server))
        except OSError:
            pass
        print(len(clients), flush=True)
        time.sleep(0.2)
        for client in clients:
            client.close()
        deadline = time.monotonic() + 8
        while True:
            try:
                client, answer = get(server)
                if answer.startswith(b"HTTP/1.1 200"):
                    break
            except OSError:
                pass
            assert time.monotonic() < deadline
            time.sleep(0.1)
        print("serves", server.error, server.dashboard.fault_count, server.exhausted > 1, flush=True)
        assert server.stop()
        """
    )
    assert code == 0, errors
    assert output.split("\n")[1] == "serves None 1 True"


def test_audit_on_a_full_disk_refuses_the_kill_and_serves_on() -> None:
    code, output, errors = run(
        """
        import json
        probe = FakeProbe()
        id = probe.add("work")
        server = DashboardServer(build_dashboard(probe, token=TOKEN, control=True, audit="/dev/full"), port=0)
        server.start_thread()
        client = connect(server)
        client.sendall(f"POST /api/greenlets/{id}/kill HTTP/1.1\\r\\nHost: localhost\\r\\n"
                       f"Authorization: Bearer {TOKEN}\\r\\n"
                       "Content-Type: application/json\\r\\nContent-Length: 2\\r\\n\\r\\n{}".encode())
        print(client.recv(65536).split()[1].decode(), probe.is_alive(id))
        print(get(server)[1].split()[1].decode(), flush=True)
        assert server.stop()
        """
    )
    assert (code, errors) == (0, "")
    assert output.split("\n")[:2] == ["503 True", "200"]


def test_loop_policy_of_the_program_does_not_decide_ours() -> None:
    code, output, errors = run(
        """
        import asyncio, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        class Policy(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self):
                raise RuntimeError("the program's own loop")
        asyncio.set_event_loop_policy(Policy())
        server = DashboardServer(app, port=0)
        server.start_thread()
        print(get(server)[1].split()[1].decode(), flush=True)
        assert server.stop()
        """
    )
    assert (code, output.strip(), errors) == (0, "200", "")
