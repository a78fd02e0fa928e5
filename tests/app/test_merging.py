"""One page over many processes: processes on paper behind real Unix sockets, and the real page over them."""

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenscope.app.backends import merged
from greenscope.app.backends.fake import FakeProbe
from greenscope.app.dashboard import build_dashboard
from greenscope.app.feed import Feed
from greenscope.app.merging import build_merged
from greenscope.app.model import Site, Stack
from greenscope.app.server import DashboardServer
from greenscope.app.spawnables import Spawnables
from tests.patience import wait_for

TOKEN = "correct-horse-battery-staple-token"


def crawl(url: str, depth: int = 2) -> None:
    """Crawl a site."""


class Process:
    """A process on paper: a scripted probe behind a Unix socket, under a pid of its own."""

    def __init__(self, folder: Path, pid: int, *, control: bool = True, name: str = "") -> None:
        self.pid = pid
        self.probe = FakeProbe()
        spawnables = Spawnables()
        spawnables.add(crawl)
        app = build_dashboard(
            self.probe,
            feed=Feed(self.probe, tick=0.05),
            authentication="uds",
            control=control,
            name=f"paper {pid}",
            spawnables=spawnables,
        )
        app.dashboard.info["pid"] = pid
        self.board = app.dashboard
        self.server = DashboardServer(app, uds=folder / (name or f"{pid}.sock"))

    def start(self) -> "Process":
        self.server.start_thread()
        return self

    def populate(self) -> list[int]:
        """Make a pool with one parked member, and one that runs."""
        pool = self.probe.open_group("workers", 4)
        main = self.probe.add("main")
        self.probe.start(main)
        member = self.probe.add("fetch", parent=main, group=pool)
        self.probe.start(member)
        self.probe.park(member, "socket.recv", "10.0.0.1:80")
        self.probe.run(main)
        return [main, member]


class Land:
    """A folder with processes, and the page over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[Process] = []
        self.app = build_merged(folder, control=True, token=TOKEN)
        self.board = self.app.dashboard
        self.board.probe.forget = 1.0  # type: ignore[attr-defined]
        self.board.feed.interval = 0.05
        self.server = DashboardServer(self.app, port=0)

    def add(self, pid: int, **options: Any) -> Process:
        """Start a process with a few greenlets."""
        process = Process(self.folder, pid, **options)
        process.populate()
        self.processes.append(process)
        return process.start()

    def start(self) -> None:
        """Start the page."""
        self.server.start_thread()

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=15)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if "json" in (answer.getheader("content-type") or "") else text
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        status, answer = self.ask("GET", path)
        assert status == 200, (path, answer)
        return answer

    def states(self) -> dict[int, str]:
        return {row["pid"]: row["state"] for row in self.get("/api/health")["workers"]}

    def live(self, query: str = "") -> list[str]:
        return [row["id"] for row in self.get(f"/api/greenlets?state=live&limit=1000{query}")["rows"]]


@pytest.fixture
def land(monkeypatch: pytest.MonkeyPatch) -> Iterator[Land]:
    monkeypatch.setattr(merged, "SCAN", 0.1)
    monkeypatch.setattr(merged, "LOOK_EVERY", 0.05)
    folder = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))
    made = Land(folder)
    try:
        yield made
    finally:
        for server in (made.server, *(process.server for process in made.processes)):
            assert server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def two(land: Land) -> Land:
    land.add(101)
    land.add(102)
    land.start()
    wait_for(lambda: len(land.live()) == 4)
    return land


def test_merged_page_shows_the_greenlets_of_all_processes_under_ids_with_their_pid(two: Land) -> None:
    assert two.live() == ["101-1", "101-2", "102-1", "102-2"]
    row = next(row for row in two.get("/api/greenlets")["rows"] if row["id"] == "102-2")
    assert (row["pid"], row["parent"], row["groups"], row["state"]) == (102, "102-1", ["102-1"], "waiting")
    assert row["waiting_on"]["kind"] == "socket.recv"
    assert two.states() == {101: "live", 102: "live"}
    assert two.get("/api/health")["backend"] == "merged"
    counts = two.get("/api/greenlets?state=waiting")["matched"], two.get("/api/greenlets?state=running")["matched"]
    assert counts == (2, 2)


def test_merged_page_finds_sorts_and_filters_by_pid_and_by_a_group_of_one_process(two: Land) -> None:
    assert two.live("&q=pid:101") == ["101-1", "101-2"]
    assert two.live("&q=-pid:101") == ["102-1", "102-2"]
    assert two.live("&q=id:102-1") == ["102-1"]
    assert two.live("&group=102-1") == ["102-2"]
    assert two.live("&sort=-pid")[0].startswith("102-")
    assert wait_for(lambda: {id[-2:] for id in two.live("&sort=-wait_time")[:2]} == {"-2"}), "those that are parked"
    assert [group["id"] for group in two.get("/api/groups")["rows"]] == ["101-1", "102-1"] or len(two.live()) == 4
    group = two.get("/api/groups/101-1")
    assert [member["id"] for member in group["members"]] == ["101-2"]


def test_merged_page_tells_the_stack_and_the_waiters_of_one(two: Land) -> None:
    probe = two.processes[1].probe
    probe.park(1, "join", target=2)
    probe.set_stack(2, Stack((Site("fetch.py", 31, "get"),), ("recv()",)))
    wait_for(lambda: two.get("/api/greenlets/102-1")["waiting_on"])
    detail = two.get("/api/greenlets/102-2")
    assert detail["stack"] == [{"file": "fetch.py", "line": 31, "function": "get", "source": "recv()"}]
    assert [other["id"] for other in detail["waited_for_by"]] == ["102-1"]
    assert two.get("/api/greenlets/102-1")["waits_for"][0]["id"] == "102-2"
    edges = two.get("/api/waits")["edges"]
    assert {"source": "102-1", "target": "r1", "kind": "waits"} in edges or len(edges) > 1


def test_merged_page_groups_stacks_over_processes(two: Land) -> None:
    for process in two.processes:
        process.probe.set_stack(2, Stack((Site("fetch.py", 31, "get"),)))
    (row,) = wait_for(lambda: [row for row in two.get("/api/stacks")["rows"] if row["count"] == 2])
    assert row["ids"] == ["101-2", "102-2"]
    assert row["frames"][0]["function"] == "get"


@pytest.mark.parametrize(
    "path",
    ["/", "/greenlets", "/greenlets?open=101-2", "/greenlets/101-2", "/greenlets/101-2/kill", "/groups",
     "/groups/102-1", "/groups/102-1/kill", "/spawn", "/audit", "/findings", "/stacks", "/waits", "/tree", "/tail",
     "/processes"],
)  # fmt: skip
def test_merged_pages_are_drawn(two: Land, path: str) -> None:
    page = two.get(path)
    assert "<" in page
    assert two.board.fault_count == 0, two.board.faults


def test_processes_page_marks_who_has_ended_and_is_in_the_menu(two: Land) -> None:
    assert "/processes" in two.get("/")
    assert "q=pid%3A101" in two.get("/processes")
    two.processes[0].server.stop()
    page = wait_for(lambda: "gone" in (page := two.get("/processes")) and page)
    assert "its process has ended" in page
    assert "q=pid%3A101" not in page


def test_merged_table_has_a_column_for_the_process(two: Land) -> None:
    page = two.get("/greenlets")
    assert "c-pid" in page
    assert 'data-id="101-2"' in page


def test_kill_reaches_the_right_process_and_no_other(two: Land) -> None:
    status, answer = two.ask("POST", "/api/greenlets/102-2/kill", {})
    assert (status, answer["outcome"], answer["ids"]) == (200, "done", ["102-2"])
    assert not two.processes[1].probe.is_alive(2)
    assert two.processes[0].probe.is_alive(2)
    wait_for(lambda: two.live() == ["101-1", "101-2", "102-1"])
    assert two.get("/api/greenlets/102-2")["state"] == "killed"
    (record,) = two.get("/api/audit")["rows"]
    assert (record["target"], record["result"]) == ("greenlet 102-2", "done")
    (record,) = two.processes[1].board.audit.rows(10)
    assert record["principal"] == "unix socket"


def test_group_is_killed_and_pool_resized_in_its_process(two: Land) -> None:
    status, answer = two.ask("POST", "/api/groups/101-1/resize", {"size": 9})
    assert (status, answer["outcome"]) == (200, "done")
    wait_for(lambda: two.get("/api/groups/101-1")["size"] == 9)
    assert two.get("/api/groups/102-1")["size"] == 4
    status, answer = two.ask("POST", "/api/groups/101-1/kill", {})
    assert (status, answer["outcome"]) == (200, "done")
    assert not two.processes[0].probe.is_alive(2)


def test_spawn_goes_to_the_groups_process_and_its_own_judgement_comes_back(two: Land) -> None:
    (offered,) = two.get("/api/spawnables")["rows"]
    assert offered["name"] == "crawl"
    status, answer = two.ask("POST", "/api/spawn", {"target": "crawl", "arguments": {"url": "x"}, "group": "102-1"})
    assert status == 201
    assert answer["id"] == "102-3"
    assert two.processes[1].probe.is_alive(3)
    status, answer = two.ask("POST", "/api/spawn", {"target": "crawl", "arguments": {"url": 3}})
    assert (status, answer["message"]) == (409, "url: must be text")
    status, _ = two.ask("POST", "/api/spawn", {"target": "os.system", "arguments": {}})
    assert status == 404


def test_kill_in_a_process_that_is_read_only_is_refused_with_what_would_allow_it(land: Land) -> None:
    land.add(101, control=False)
    land.add(102)
    land.start()
    wait_for(lambda: len(land.live()) == 4)
    status, answer = land.ask("POST", "/api/greenlets/101-2/kill", {})
    assert status == 409
    assert "read-only; watch(control=True) or GREENSCOPE_CONTROL=1" in answer["message"]
    assert land.processes[0].probe.is_alive(2)
    status, answer = land.ask("POST", "/api/greenlets/999-2/kill", {})
    assert (status, answer["outcome"]) == (404, "unknown")


def test_kill_is_not_offered_when_all_processes_are_read_only(land: Land) -> None:
    land.add(101, control=False)
    land.start()
    wait_for(lambda: land.live())
    status, answer = land.ask("POST", "/api/greenlets/101-2/kill", {})
    assert status == 409
    assert answer["message"].startswith("All processes are watched read-only")


def test_new_process_is_found_within_two_seconds(two: Land) -> None:
    begun = time.monotonic()
    two.add(103)
    wait_for(lambda: "103-2" in two.live())
    assert time.monotonic() - begun < 2


def test_process_that_ends_is_marked_then_forgotten(two: Land) -> None:
    two.processes[0].server.stop()
    wait_for(lambda: two.states() == {101: "gone", 102: "live"})
    row = wait_for(lambda: (row := two.get("/api/greenlets/101-1"))["waiting_on"] and row)
    assert (row["state"], row["waiting_on"]["kind"], row["waiting_on"]["name"]) == ("waiting", "process", "has ended")
    assert any(hub["thread"] == "101 has ended" for hub in two.get("/api/health")["hubs"])
    status, answer = two.ask("POST", "/api/greenlets/101-1/kill", {})
    assert (status, answer["message"]) == (409, "process 101 has ended")
    wait_for(lambda: two.states() == {102: "live"})
    wait_for(lambda: two.live() == ["102-1", "102-2"])
    assert wait_for(lambda: [group["id"] for group in two.get("/api/groups")["rows"]] == ["102-1"])


def test_process_that_begins_anew_under_its_pid_has_a_new_epoch_and_no_old_greenlets(two: Land) -> None:
    first = next(row for row in two.get("/api/health")["workers"] if row["pid"] == 101)
    two.processes[0].probe.fail(2)
    wait_for(lambda: two.get("/api/greenlets/101-2")["state"] == "failed")
    two.processes[0].server.stop()
    again = Process(two.folder, 101)
    again.probe.start(again.probe.add("newcomer"))
    two.processes.append(again.start())
    wait_for(lambda: two.states()[101] == "live" and two.live("&q=newcomer"))
    assert two.live() == ["101-1", "102-1", "102-2"]
    assert two.ask("GET", "/api/greenlets/101-2")[0] == 404
    second = next(row for row in two.get("/api/health")["workers"] if row["pid"] == 101)
    assert first["epoch"] != second["epoch"]


def test_events_of_all_processes_are_in_the_stream_with_their_pid(two: Land) -> None:
    two.processes[0].probe.fail(2, "ValueError", "no")
    two.processes[1].board.feed.publish("finding", id="x", summary="it is stuck", greenlet="2")
    wait_for(lambda: any(event["kind"] == "finding" for event in two.board.feed.recent_events(["finding"])))
    wait_for(lambda: two.board.feed.recent_events(["failed"]))
    (failed,) = two.board.feed.recent_events(["failed"])
    assert (failed["greenlet"], failed["exception"]["message"]) == ("101-2", "no")
    (finding,) = two.board.feed.recent_events(["finding"])
    assert (finding["greenlet"], finding["summary"]) == ("102-2", "it is stuck")


def test_findings_are_those_of_the_processes(two: Land, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"id": "stuck-1", "severity": "warning", "state": "open", "culprit": {"greenlet": "2"}, "summary": "stuck"}]
    monkeypatch.setattr(two.processes[1].board, "findings", lambda: rows)
    (found,) = wait_for(lambda: two.get("/api/findings")["rows"])
    assert (found["id"], found["pid"], found["culprit"]["greenlet"]) == ("102-stuck-1", 102, "102-2")


def test_what_is_no_socket_or_answers_nonsense_is_told_and_nothing_else(two: Land) -> None:
    (two.folder / "file.sock").write_text("no socket")
    nonsense = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    nonsense.bind(str(two.folder / "bad.sock"))
    nonsense.listen(20)
    nonsense.settimeout(10)
    client, _ = nonsense.accept()
    client.recv(65536)
    client.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"m": "hello", "v": 99}\n')
    client.close()

    def refused() -> dict[str, str]:
        return {row["socket"]: row["reason"] for row in two.get("/api/health")["workers"] if row["state"] == "refused"}

    wait_for(lambda: "use one version" in refused().get("bad.sock", ""))
    assert refused()["file.sock"] == "file.sock is not a socket"
    assert len(two.live()) == 4
    nonsense.close()
    (two.folder / "bad.sock").unlink()
    wait_for(lambda: set(refused()) == {"file.sock"})
    assert two.board.fault_count == 0


def test_process_that_wants_a_token_is_told_as_such(land: Land) -> None:
    probe = FakeProbe()
    app = build_dashboard(probe, token=TOKEN, name="closed")
    server = DashboardServer(app, uds=land.folder / "closed.sock")
    server.start_thread()
    land.start()
    try:
        (row,) = wait_for(lambda: land.get("/api/health")["workers"])
        assert row["state"] == "refused"
        assert "needs its token" in row["reason"]
    finally:
        server.stop()


# -- the command


def test_serve_says_what_is_wrong_with_a_folder_that_is_not_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "greenscope", "serve", str(tmp_path / "none"), "--port", "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert result.returncode == 2
    assert "DIRECTORY: there is no folder" in result.stderr


def test_serve_refuses_a_folder_in_which_others_may_put_sockets(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    command = [sys.executable, "-m", "greenscope", "serve", str(tmp_path), "--port", "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert result.returncode == 2
    assert "others may write" in result.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_serve_ends_within_three_seconds_while_it_reads(two: Land, number: signal.Signals, status: int) -> None:
    url = two.folder / "url"
    command = [sys.executable, "-m", "greenscope", "serve", str(two.folder), "--port", "0", "--url-file", str(url)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(url.exists)
        wait_for(lambda: two.processes[0].board.stream.clients == 2)
        begun = time.monotonic()
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
        assert time.monotonic() - begun < 3
        assert process.returncode == status
        assert output == ""
        assert errors.startswith("greenscope: http://127.0.0.1:")
        assert errors.count("\n") == 1, errors
        wait_for(lambda: two.processes[0].board.stream.clients == 1)
    finally:
        process.kill()
        process.wait(5)
