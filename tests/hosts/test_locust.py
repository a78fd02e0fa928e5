"""Locust with 200 users: `import greenscope.locust` in the locustfile, all users on the page."""

from typing import Any

NEEDS = ("locust", "gevent")

SERVER = """
from gevent import monkey

monkey.patch_all()

import sys

import gevent
from gevent.pywsgi import WSGIServer


def application(environ, start_response):
    gevent.sleep(0.05)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


WSGIServer(("127.0.0.1", int(sys.argv[1])), application, log=None, error_log=None).serve_forever()
"""

LOCUSTFILE = """
from locust import HttpUser, constant, task

import greenscope.locust


class Visitor(HttpUser):
    wait_time = constant(1)

    @task
    def visit(self):
        self.client.get("/")
"""


def test_locust_shows_two_hundred_users(host: Any, tools: Any) -> None:
    assert LOCUSTFILE.strip() in tools.README
    port = tools.find_port()
    host.write("server.py", SERVER)
    host.write("locustfile.py", LOCUSTFILE)
    host.start("python", "server.py", str(port), log="server")
    tools.wait_for(lambda: tools.fetch(port, "/") == 200, host.log("server"))
    page = host.serve()
    target = f"http://127.0.0.1:{port}"
    locust = host.start("locust", "--headless", "-u", "200", "-r", "200", "-t", "8s", "-H", target)
    tools.wait_for(lambda: locust.pid in page.workers() or locust.poll() is not None, host.log())
    assert page.workers()[locust.pid]["name"] == "locust local"

    def users() -> list[dict[str, Any]]:
        return [row for row in page.rows(f"state=live&q=pid:{locust.pid}") if "run_user" in row["function"]]

    begun = {"waiting", "ready", "running"}  # the last of 200 may still be pending when all are seen
    tools.wait_for(lambda: [row["state"] in begun for row in users()] == [True] * 200, "the users are not seen at work")
    tools.wait_for(lambda: sum((row["switches"] or 0) > 3 for row in users()) > 100, "their work is not accounted")
    assert any(group["active"] >= 200 for group in page.get("/api/groups")["rows"])
    assert locust.wait(25) == 0, host.log()
    assert "greenscope serve" in host.log()
    assert "Traceback" not in host.log()
    tools.wait_for(lambda: not list(host.sockets.glob("*.sock")), "the socket is left")
    tools.wait_for(lambda: page.workers("gone"), "its end is not seen")
