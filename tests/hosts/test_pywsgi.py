"""A server on gevent.pywsgi with one line: `greenscope.watch()`."""

import signal
from typing import Any

NEEDS = ("gevent",)

SERVER = """
from gevent import monkey

monkey.patch_all()

import pathlib
import sys

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

import greenscope


def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        gevent.sleep(60)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


monitor = greenscope.watch(port=0, control=True)
pathlib.Path("url").write_text(monitor.url)
server = WSGIServer(("127.0.0.1", int(sys.argv[1])), application, spawn=Pool(10), log=None, error_log=None)
gevent.signal_handler(15, server.stop)
server.serve_forever()
"""


def test_pywsgi_shows_its_requests_and_goes_on_when_one_is_killed(host: Any, tools: Any) -> None:
    port = tools.find_port()
    host.write("server.py", SERVER)
    server = host.start("python", "server.py", str(port))
    tools.wait_for(lambda: tools.fetch(port, "/") == 200, host.log())
    page = tools.Page((host.work / "url").read_text())
    slow = tools.Load(port, "/slow", threads=3, requests=1)

    def handlers() -> list[dict[str, Any]]:
        return [row for row in page.rows() if (row["place"] or {}).get("function") == "application"]

    rows = tools.wait_for(lambda: len(found := handlers()) == 3 and found, "the requests are not seen")
    assert {row["state"] for row in rows} == {"waiting"}
    (pool,) = [group for group in page.get("/api/groups")["rows"] if group["size"] == 10]
    assert pool["active"] == 3
    for row in rows:
        status, answer = page.ask("POST", f"/api/greenlets/{row['id']}/kill", {})
        assert (status, answer["outcome"], answer["state"]) == (200, "done", "killed")
    slow.wait()
    assert tools.fetch(port, "/") == 200
    tools.wait_for(lambda: not handlers(), "killed requests are still shown")
    server.send_signal(signal.SIGTERM)
    assert server.wait(10) == 0
    assert host.log() == ""
