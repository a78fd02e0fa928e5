"""The page over a folder that one of its processes serves: who has it, who gets it next, what it costs unseen."""

import http.client
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenscope.app import shared_page
from greenscope.app import socket_folder as place
from greenscope.app.backends.fake import FakeProbe
from greenscope.app.dashboard import build_dashboard
from greenscope.app.feed import Feed
from greenscope.app.routes import paths
from greenscope.app.server import DashboardServer
from greenscope.app.settings import UnfitSetting
from greenscope.app.shared_page import SharedPage, shared_token
from tests.patience import wait_for

TOKEN = "correct-horse-battery-staple-token"


class Process:
    """A process on paper, with its part in the shared page."""

    def __init__(self, folder: Path, pid: int, port: int) -> None:
        probe = FakeProbe()
        probe.start(probe.add("main"))
        app = build_dashboard(probe, feed=Feed(probe, tick=0.05), authentication="uds", name=f"paper {pid}")
        app.dashboard.info["pid"] = pid
        self.board = app.dashboard
        self.page = SharedPage(folder, port, token=TOKEN)
        self.has_port = self.page.bind()
        self.server = DashboardServer(app, uds=folder / f"{pid}.sock")
        self.server.start_thread()
        self.server.beside.append(self.page)


class Land:
    """A folder with processes that share a port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.processes = [Process(folder, 101, self.port), Process(folder, 102, self.port)]

    def ask(self, path: str, method: str = "GET", token: str = TOKEN) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if "json" in (answer.getheader("content-type") or "") else text
        finally:
            connection.close()

    def log_in(self) -> str:
        """Do as a browser does with the token; return its cookie."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            body = json.dumps({"token": TOKEN})
            connection.request("POST", "/api/login", body, {"Content-Type": "application/json"})
            return (connection.getresponse().getheader("set-cookie") or "").partition(";")[0]
        finally:
            connection.close()

    def is_logged_in(self, cookie: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/api/health", headers={"Cookie": cookie})
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def health(self) -> Any:
        return self.ask("/api/health")[1]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gs-", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture
def land(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Land]:
    monkeypatch.setattr(shared_page, "RETRY", 0.1)
    made = Land(folder)
    try:
        yield made
    finally:
        for process in made.processes:
            assert process.server.stop()


def test_first_answer_tells_of_all_processes_and_none_was_read_before(land: Land) -> None:
    assert [process.has_port for process in land.processes] == [True, False]
    server = land.processes[0].page.server
    wait_for(lambda: server.started)
    assert not server.dashboard.watching
    assert [process.board.stream.clients for process in land.processes] == [0, 0]
    assert {row["pid"]: row["state"] for row in land.health()["workers"]} == {101: "live", 102: "live"}
    assert [row["id"] for row in land.ask("/api/greenlets?state=live")[1]["rows"]] == ["101-1", "102-1"]
    assert [process.board.stream.clients for process in land.processes] == [1, 1]


def test_processes_are_let_go_when_nobody_looks_and_read_anew_when_somebody_does(land: Land) -> None:
    server = land.processes[0].page.server
    before = land.health()
    server.idle = 0.0
    wait_for(lambda: not server.dashboard.watching)
    wait_for(lambda: [process.board.stream.clients for process in land.processes] == [0, 0])
    assert len(server.dashboard.feed.population.lives) == 0
    server.idle = 60.0
    after = land.health()
    assert {row["pid"]: row["state"] for row in after["workers"]} == {101: "live", 102: "live"}
    assert before["epoch"] != after["epoch"], "numbers begin anew, so readers must know"
    assert after["faults"] == 0


def test_open_page_is_somebody_who_looks(land: Land) -> None:
    server = land.processes[0].page.server
    stream = http.client.HTTPConnection("127.0.0.1", land.port, timeout=10)
    stream.request("GET", "/events", headers={"Authorization": f"Bearer {TOKEN}"})
    answer = stream.getresponse()
    server.idle = 0.0
    turns: list[int] = []
    tick = server.on_tick

    async def count(counter: int) -> bool:
        turns.append(counter)
        return await tick(counter)

    server.on_tick = count  # type: ignore[method-assign]
    wait_for(lambda: len(turns) > 2)
    assert server.dashboard.watching
    answer.close()
    stream.close()
    wait_for(lambda: not server.dashboard.watching)


def test_port_goes_to_another_process_with_the_address_when_its_holder_ends(land: Land) -> None:
    first, second = land.processes
    url_file = land.folder / f"{land.port}.url"
    wait_for(lambda: first.page.server.started)
    assert url_file.read_text() == f"http://127.0.0.1:{land.port}/#token={TOKEN}\n"
    assert url_file.stat().st_mode & 0o777 == 0o600
    assert not second.page.server.started
    cookie = land.log_in()
    assert first.server.stop()
    wait_for(lambda: second.page.server.started)
    assert url_file.exists()
    wait_for(lambda: [row["pid"] for row in land.health()["workers"]] == [102])
    assert land.is_logged_in(cookie), "a browser must not have to ask for the token again"
    assert not land.is_logged_in(cookie[:-1])
    assert second.server.stop()
    assert not url_file.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", land.port)) != 0


def test_no_route_of_the_shared_page_answers_without_the_token(land: Land) -> None:
    app = land.processes[0].page.server.config.app
    for path in paths(app.routes):  # type: ignore[union-attr]
        if path not in ("/login", "/static/{path:path}"):
            for token in ("", "wrong-but-long-enough-to-be-one"):
                assert land.ask(path.replace("{id}", "101-1"), token=token)[0] in (401, 429), path


def test_page_that_has_not_begun_gives_its_port_back(folder: Path) -> None:
    page = SharedPage(folder, 0)
    assert page.bind()
    assert (folder / "0.url").exists()
    page.stop()
    assert not (folder / "0.url").exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", page.server.port)) != 0


def test_port_is_given_back_when_the_address_cannot_be_told(folder: Path) -> None:
    page = SharedPage(folder, 0, token=TOKEN)
    page.server.url_file = folder / "none" / "0.url"
    with pytest.raises(OSError, match="cannot write"):
        page.bind()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", page.server.port)) != 0


def test_token_is_made_once_for_its_user_alone(folder: Path) -> None:
    token = shared_token(folder)
    assert len(token) >= 32
    assert shared_token(folder) == token
    assert (folder / "token").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["token"]


def test_token_that_others_can_read_is_refused(folder: Path) -> None:
    shared_token(folder)
    (folder / "token").chmod(0o644)
    with pytest.raises(PermissionError, match="can be read by others"):
        shared_token(folder)


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "٣"])
def test_port_that_is_none_is_told_and_goes_no_further(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("GREENSCOPE_PORT", text)
    said: list[str] = []
    assert place.share_page(folder, said.append) is None
    assert said == [
        f"greenscope: no page over all processes: GREENSCOPE_PORT: {text!r} is no port; give a number from 1 to 65535"
    ]
    assert list(folder.iterdir()) == []


def test_no_page_is_shared_unless_a_port_is_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GREENSCOPE_PORT", raising=False)
    said: list[str] = []
    assert place.share_page(folder, said.append) is None
    assert (said, list(folder.iterdir())) == ([], [])


def test_page_is_told_without_its_token_and_a_port_of_somebody_else_as_such(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("GREENSCOPE_PORT", f" {port} ")
        monkeypatch.setenv("GREENSCOPE_TOKEN", TOKEN)
        waiting = place.share_page(folder, said.append)
        assert said == [f"greenscope: port {port} is in use; the page over all processes comes when it is free"]
    waiting.stop()
    page = place.share_page(folder, said.append)
    try:
        assert page.server.url.endswith(f"#token={TOKEN}")
        assert str(folder / f"{port}.url") in said[1]
        assert TOKEN not in said[1]
    finally:
        page.stop()


def test_token_that_does_not_fit_is_refused(folder: Path) -> None:
    with pytest.raises(UnfitSetting, match="token"):
        SharedPage(folder, 0, token="with a space")
    assert os.listdir(folder) == []
