"""celery worker -P gevent with tasks from a queue in a folder: the tasks on the page, one killed there."""

import signal
from typing import Any

NEEDS = ("celery", "gevent")

TASKS = """
import time

from celery import Celery

import greenscope.celery

app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": "queue",
    "data_folder_out": "queue",
    "control_folder": "control",
}
app.conf.worker_hijack_root_logger = False


@app.task
def nap(seconds):
    time.sleep(seconds)
    return seconds
"""

SEND = "import tasks; [tasks.nap.delay(60) for _ in range(5)]"


def test_celery_shows_its_tasks_and_a_killed_one_ends(host: Any, tools: Any) -> None:
    assert "import greenscope.celery" in tools.README
    assert "celery -A tasks worker -P gevent" in tools.README
    (host.work / "queue").mkdir()
    host.write("tasks.py", TASKS)
    worker = host.start(
        "celery", "-A", "tasks", "worker", "-P", "gevent", "-c", "20", "-l", "info", GREENSCOPE_CONTROL="1"
    )
    assert host.start("python", "-c", SEND, log="send").wait(20) == 0, host.log("send")
    page = host.serve()
    tools.wait_for(lambda: page.workers(), host.log())
    assert set(page.workers()) == {worker.pid}

    def naps() -> list[dict[str, Any]]:
        return [row for row in page.rows() if (row["place"] or {}).get("function") == "nap"]

    rows = tools.wait_for(lambda: len(found := naps()) == 5 and found, "the tasks are not seen")
    assert page.workers()[worker.pid]["name"].startswith("celery celery@")
    stack = page.get(f"/api/greenlets/{rows[0]['id']}")["stack"]
    assert any(frame["function"] == "nap" and frame["file"].endswith("tasks.py") for frame in stack)
    for row in rows:
        status, answer = page.ask("POST", f"/api/greenlets/{row['id']}/kill", {})
        assert (status, answer["outcome"]) == (200, "done"), answer
    tools.wait_for(lambda: not naps(), "killed tasks are still shown")
    worker.send_signal(signal.SIGTERM)
    worker.wait(20)
    tools.wait_for(lambda: not list(host.sockets.glob("*.sock")), "the socket is left")
    assert "greenscope serve" in host.log()
