"""gunicorn -k gevent with a Flask app, under load: every worker on one page, and gone from it when it is gone."""

import os
import signal
from typing import Any

import pytest

NEEDS = ("gunicorn", "flask", "gevent")

APP = """
import gevent
from flask import Flask

app = Flask(__name__)


def heartbeat():
    while True:
        gevent.sleep(0.5)


@app.get("/")
def index():
    gevent.sleep(0.01)
    return "hello"


@app.get("/slow")
def slow():
    gevent.sleep(60)
    return "at last"


gevent.spawn(heartbeat)
"""


@pytest.fixture
def port(host: Any, tools: Any) -> int:
    host.write("app.py", APP)
    return int(tools.find_port())


def start(host: Any, port: int, *options: str, **environment: str) -> Any:
    return host.start("gunicorn", "-k", "gevent", "-b", f"127.0.0.1:{port}", *options, "app:app", **environment)


def test_gunicorn_shows_all_workers_under_load_kills_a_request_and_sees_a_restart(
    host: Any, port: int, tools: Any
) -> None:
    assert "gunicorn -k gevent -w 2 -c python:greenscope.gunicorn app:app" in tools.README
    gunicorn = start(host, port, "-w", "2", "-c", "python:greenscope.gunicorn", GREENSCOPE_CONTROL="1")
    page = host.serve()
    tools.wait_for(lambda: len(page.workers()) == 2, host.log())
    pids = set(page.workers())
    assert gunicorn.pid not in pids
    load = tools.Load(port, "/", threads=4)
    slow = tools.Load(port, "/slow", threads=4, requests=1)
    try:
        tools.wait_for(lambda: sum(load.statuses.values()) > 100, "no load")
        rows = tools.wait_for(
            lambda: (
                len(found := [row for row in page.rows() if (row["place"] or {}).get("function") == "slow"]) == 4
                and found
            ),
            "the slow requests are not seen",
        )
        tools.wait_for(
            lambda: {row["pid"] for row in page.rows("state=live&q=function:heartbeat")} == pids, "no heartbeat"
        )
        assert {row["id"].partition("-")[0] for row in page.rows()} == {str(pid) for pid in pids}
        detail = page.get(f"/api/greenlets/{rows[0]['id']}")
        assert [frame["function"] for frame in detail["stack"]].count("slow") == 1
        status, answer = page.ask("POST", f"/api/greenlets/{rows[0]['id']}/kill", {})
        assert (status, answer["outcome"]) == (200, "done"), answer
        assert answer["ids"] == [rows[0]["id"]]
        tools.wait_for(lambda: slow.statuses, "the killed request was not ended")
        assert page.get(f"/api/greenlets?q=pid:{min(pids)}&state=live")["matched"] > 0
        assert "Greenlets" in page.get("/greenlets")

        os.kill(min(pids), signal.SIGKILL)
        tools.wait_for(lambda: min(pids) in page.workers("gone"), "the dead worker is not marked")
        news = tools.wait_for(lambda: set(page.workers()) - pids, "the new worker is not seen")
        assert max(pids) in page.workers()
        assert tools.wait_for(lambda: page.rows(f"q=pid:{min(news)}"), "the new worker has no greenlets")
    finally:
        load.stop()
        gunicorn.send_signal(signal.SIGQUIT)
    assert set(load.statuses) <= {0, 200}
    assert load.statuses[200] > 100
    assert host.log().count("greenscope serve") == 1, "told once, not per worker"
    assert gunicorn.wait(15) == 0
    slow.stop()
    tools.wait_for(lambda: not list(host.sockets.glob("*.sock")), "a socket is left")


def test_gunicorn_with_a_port_shows_all_workers_there_and_another_one_takes_it_over(
    host: Any, port: int, tools: Any
) -> None:
    shared = str(tools.find_port())
    command = "GREENSCOPE_PORT=8484 gunicorn -k gevent -w 2 -c python:greenscope.gunicorn app:app"
    assert command in tools.README
    gunicorn = start(
        host, port, "-w", "2", "-c", "python:greenscope.gunicorn", GREENSCOPE_PORT=shared, GREENSCOPE_CONTROL="1"
    )
    url_file = host.sockets / f"{shared}.url"
    tools.wait_for(lambda: len(list(host.sockets.glob("*.sock"))) == 2 and url_file.exists(), host.log())
    url = url_file.read_text().strip()
    assert url.startswith(f"http://127.0.0.1:{shared}/#token=")
    assert url_file.stat().st_mode & 0o777 == 0o600
    page = tools.Page(url)
    pids = {int(path.stem) for path in host.sockets.glob("*.sock")}
    assert set(page.workers()) == pids, "the first answer tells of all"
    assert "Processes" in page.get("/")
    holder = page.get("/api/health")["pid"]
    assert holder in pids
    (other,) = pids - {holder}

    def heartbeats() -> dict[int, str]:
        return {row["pid"]: row["id"] for row in page.rows("state=live&q=function:heartbeat")}

    try:
        found = tools.wait_for(lambda: len(beats := heartbeats()) == 2 and beats, "not both heartbeats")
        status, answer = page.ask("POST", f"/api/greenlets/{found[other]}/kill", {})
        assert (status, answer["outcome"], answer["ids"]) == (200, "done", [found[other]]), answer
        tools.wait_for(lambda: set(heartbeats()) == {holder}, "it lives on, or the wrong one was killed")
        assert tools.Page(f"http://127.0.0.1:{shared}/#token=wrong").ask("GET", "/api/greenlets")[0] == 401

        os.kill(other, signal.SIGKILL)
        tools.wait_for(lambda: other in page.workers("gone"), "the dead worker is not marked")
        tools.wait_for(lambda: len(page.workers()) == 2, "its successor is not seen")
        os.kill(holder, signal.SIGKILL)
        assert tools.wait_for(lambda: answers(page), "nobody took the port over") != holder
        tools.wait_for(lambda: len(page.workers()) == 2 and not pids & set(page.workers()), "not the new workers")
    finally:
        gunicorn.send_signal(signal.SIGQUIT)
    assert gunicorn.wait(15) == 0
    tools.wait_for(lambda: not list(host.sockets.glob("*.sock")), "a socket is left")
    assert not url_file.exists()
    assert host.log().count(f"http://127.0.0.1:{shared}/") == 1, "told once, not per worker"
    assert url.partition("token=")[2] not in host.log()
    assert "Traceback" not in host.log()


def answers(page: Any) -> int:
    try:
        return int(page.get("/api/health")["pid"])
    except OSError:
        return 0


@pytest.mark.parametrize("options", [("--max-requests", "15"), ("--max-requests", "15", "--preload")])
def test_gunicorn_that_replaces_its_workers_leaves_no_socket(
    host: Any, port: int, tools: Any, options: tuple[str, ...]
) -> None:
    gunicorn = start(host, port, "-w", "1", "-c", "python:greenscope.gunicorn", *options)
    (first,) = tools.wait_for(lambda: list(host.sockets.glob("*.sock")), host.log())
    load = tools.Load(port, "/", threads=2)
    try:
        tools.wait_for(lambda: set(host.sockets.glob("*.sock")) - {first} and not first.exists(), host.log())
    finally:
        load.stop()
    gunicorn.send_signal(signal.SIGTERM)
    assert gunicorn.wait(20) == 0, host.log()
    assert list(host.sockets.glob("*.sock")) == []
    assert "Traceback" not in host.log()


def test_gunicorn_with_a_config_of_its_own_is_watched_again_after_a_reload(host: Any, port: int, tools: Any) -> None:
    line = "from greenscope.gunicorn import post_worker_init\n"
    assert f"```python\n{line}```" in tools.README
    host.write("gunicorn.conf.py", f"{line}\nworkers = 1\n")
    gunicorn = start(host, port)
    (first,) = tools.wait_for(lambda: list(host.sockets.glob("*.sock")), host.log())
    gunicorn.send_signal(signal.SIGHUP)
    (second,) = tools.wait_for(lambda: set(host.sockets.glob("*.sock")) - {first}, host.log())
    tools.wait_for(lambda: not first.exists(), "the old worker's socket is left")
    assert second.stat().st_mode & 0o777 == 0o600
    assert host.sockets.stat().st_mode & 0o777 == 0o700
    page = host.serve()
    worker = tools.wait_for(lambda: page.workers().get(int(second.stem)), "the new worker is not on the page")
    assert worker["control"] is False
    (row, *_) = tools.wait_for(lambda: page.rows("q=function:heartbeat"), "the heartbeat is not seen")
    status, answer = page.ask("POST", f"/api/greenlets/{row['id']}/kill", {})
    assert status == 409
    assert "GREENSCOPE_CONTROL=1" in answer["message"]
    gunicorn.send_signal(signal.SIGTERM)
    assert gunicorn.wait(20) == 0
    assert not second.exists()


def test_gunicorn_without_gevent_starts_and_says_why_it_is_not_watched(host: Any, port: int, tools: Any) -> None:
    host.write("plain.py", 'def app(environ, start):\n    start("200 OK", [])\n    return [b"hello"]\n')
    gunicorn = host.start(
        "gunicorn", "-b", f"127.0.0.1:{port}", "-c", "python:greenscope.gunicorn", "plain:app", log="plain"
    )
    tools.wait_for(lambda: tools.fetch(port, "/") == 200, host.log("plain"))
    assert "not watched: this is no gevent worker" in host.log("plain")
    gunicorn.send_signal(signal.SIGTERM)
    assert gunicorn.wait(10) == 0
