"""One line in an existing program, and a dashboard mounted in somebody's app."""

import asyncio
import http.client
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

import greenscope
from greenscope.app.backends.choice import choose_backend
from greenscope.app.server import PortInUse
from greenscope.app.settings import UnfitSetting
from greenscope.runtime.instruments import hooks


def get(url: str, path: str) -> int:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    token = urllib.parse.unquote(parts.fragment.partition("token=")[2])
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    status = connection.getresponse().status
    connection.close()
    return status


def test_watch_serves_until_closed_and_leaves_no_hook() -> None:
    before = hooks.spawned
    with greenscope.watch(port=0, backend="native") as monitor:
        assert get(monitor.url, "/api/health") == 200
        assert get(monitor.url.partition("#")[0], "/api/health") == 401
        assert hooks.spawned != before
    assert monitor.closed
    assert hooks.spawned == before
    monitor.close()


def test_watch_is_read_only_unless_told_otherwise() -> None:
    with greenscope.watch(port=0, backend="native") as monitor:
        assert not monitor.server.dashboard.controllable
    with greenscope.watch(port=0, backend="native", control=True) as monitor:
        assert monitor.server.dashboard.controllable


@pytest.mark.parametrize(("end", "status"), [("", 0), ("raise SystemExit(3)", 3), ("1 / 0", 1)])
def test_program_that_never_closes_leaves_no_socket_file(tmp_path: Path, end: str, status: int) -> None:
    place = tmp_path / "socket"
    program = f"import greenscope\ngreenscope.watch(uds={str(place)!r}, backend='native')\nprint(1)\n{end}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert (result.returncode, result.stdout) == (status, "1\n")
    assert not list(tmp_path.iterdir())


def test_busy_port_is_a_typed_error_and_leaves_no_hook() -> None:
    before = hooks.spawned
    with greenscope.watch(port=0, backend="native") as monitor:
        port = monitor.server.port
        watched = hooks.spawned
        with pytest.raises(PortInUse, match=str(port)):
            greenscope.watch(port=port, backend="native")
        assert hooks.spawned == watched
    assert hooks.spawned == before


UNFIT = [
    ("backend", "asyncio"), ("backend", None), ("accounting", "some"), ("accounting", True), ("control", "no"),
    ("name", 5), ("name", ""), ("name", "a\nb"), ("token", ""), ("token", 5), ("token", b"secret"), ("token", "sécret"),
]  # fmt: skip
OF_THE_SERVER = [
    ("host", ""), ("host", None), ("host", b"127.0.0.1"), ("host", "127.0.0.1:80"), ("host", "http://localhost"),
    ("host", "a b"), ("host", "x" * 254), ("host", "y" * 64 + ".example"), ("host", "é.example"), ("port", "80"),
    ("port", 70000), ("port", -1), ("port", True), ("port", None), ("port", 80.0), ("uds", ""), ("uds", 5),
    ("uds", b"/tmp/socket"), ("uds", "a\0b"), ("uds", "/"),
]  # fmt: skip


@pytest.mark.parametrize(("parameter", "value"), UNFIT + OF_THE_SERVER)
def test_unfit_setting_of_watch_is_named_and_leaves_no_hook(parameter: str, value: Any) -> None:
    before = hooks.spawned
    with pytest.raises(UnfitSetting, match=rf"^{parameter}: .+ does not fit; \S") as caught:
        greenscope.watch(**{"port": 0, "backend": "native", parameter: value})
    assert caught.value.parameter == parameter
    assert "secret" not in str(caught.value)
    assert hooks.spawned == before


@pytest.mark.parametrize(
    ("parameter", "value"),
    [*UNFIT, ("authentication", "basic"), ("hosts", "app.example"), ("hosts", [5]), ("hosts", None)],
)
def test_unfit_setting_of_a_mounted_dashboard_is_named(
    parameter: str, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnfitSetting, match=rf"^{parameter}: .+ does not fit; \S"):
        greenscope.create_dashboard(**{"backend": "native", parameter: value})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "no.such.host.invalid"}, "host: 'no.such.host.invalid' cannot be resolved"),
        ({"host": "192.0.2.1"}, "host, port: cannot listen on 192.0.2.1 port 0"),
        ({"uds": "/tmp/" + "x" * 200}, "uds: .* has at most"),
        ({"uds": "/proc/no/such"}, "uds: no socket can be made in /proc/no"),
        ({"uds": __file__}, "uds: .*test_watching.py exists and is not a socket"),
        ({"uds": __file__ + "/socket"}, "uds: no socket can be made in .*test_watching.py"),
    ],
)
def test_place_where_nobody_can_listen_is_named_and_leaves_no_hook(settings: dict[str, Any], message: str) -> None:
    before = hooks.spawned
    with pytest.raises(OSError, match=message):
        greenscope.watch(**{"port": 0, "backend": "native", **settings})
    assert hooks.spawned == before


def test_thread_that_cannot_start_leaves_no_hook_and_no_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def start(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("greenscope.app.watching.native_thread_starter", lambda: start)
    before = hooks.spawned
    with pytest.raises(RuntimeError, match="new thread"):
        greenscope.watch(uds=tmp_path / "socket", backend="native")
    assert hooks.spawned == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("imports", "backend"),
    [("greenscope.runtime.hub", "native"), ("gevent.hub", "gevent"), ("greenscope.runtime.hub, gevent.hub", "gevent")],
)
def test_backend_is_that_of_what_is_loaded(imports: str, backend: str) -> None:
    program = (
        f"import {imports}\nfrom greenscope.app.backends.choice import choose_backend\nprint(choose_backend('auto'))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert (result.stdout, result.stderr) == (f"{backend}\n", "")


def test_backend_that_is_named_is_taken() -> None:
    assert choose_backend("native") == "native"


@pytest.mark.parametrize("root", ["", "/behind/a/proxy"])
def test_dashboard_is_mounted_under_any_path(root: str) -> None:
    dashboard = greenscope.create_dashboard(token="t" * 32, backend="native", hosts=["app.example"])
    app = Starlette()
    app.mount("/greenlets", dashboard)

    async def visit() -> None:
        transport = httpx.ASGITransport(app=app, root_path=root)
        headers = {"Authorization": f"Bearer {'t' * 32}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://app.example", headers=headers) as client:
            answer = await client.get(f"{root}/greenlets/")
            assert answer.status_code == 200
            assert f'href="{root}/greenlets/' in answer.text
            assert (await client.get(f"{root}/greenlets/api/health")).status_code == 200
        dashboard.state.dashboard.close()
        await dashboard.state.dashboard.wait_closed()
        dashboard.state.dashboard.probe.close()

    asyncio.run(visit())


def test_program_that_watches_itself_ends_without_a_word(tmp_path: Path) -> None:
    program = (
        "import greenscope\n"
        "from greenscope.runtime import spawn, sleep\n"
        "monitor = greenscope.watch(port=0)\n"
        "workers = [spawn(sleep, 100) for _ in range(50)]\n"
        "sleep(0.05)\n"
        "print('done')\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


def test_forked_child_is_not_watched_and_the_parent_is() -> None:
    program = (
        "import os, greenscope\n"
        "from greenscope.runtime import spawn, sleep, joinall\n"
        "from greenscope.runtime.instruments import hooks\n"
        "monitor = greenscope.watch(port=0)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    assert not hooks.spawned\n"
        "    joinall([spawn(sleep, 0.01)])\n"
        "    os._exit(5)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5\n"
        "assert hooks.spawned\n"
        "import urllib.request\n"
        "url, _, token = monitor.url.partition('#token=')\n"
        "request = urllib.request.Request(url + 'api/health', headers={'Authorization': 'Bearer ' + token})\n"
        "print(urllib.request.urlopen(request, timeout=5).status)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert (result.returncode, result.stdout) == (0, "200\n"), result.stderr
