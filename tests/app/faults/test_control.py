"""Faults: kills of what cannot be killed, kills twice, kills before the start."""

import gc
import json
import threading

from greenscope.app.backends.native import NativeProbe
from greenscope.app.watching import Monitor
from greenscope.runtime import GreenletExit, sleep, spawn, spawn_later
from greenscope.runtime.thread import RuntimeThread
from tests.app.faults.asking import ask, id_of, row_of_the_ended
from tests.patience import wait_for


def test_double_click_on_kill_is_one_kill_in_the_program(thread: RuntimeThread, monitor: Monitor) -> None:
    kills: list[str] = []

    def stubborn() -> None:
        while True:
            try:
                sleep(60)
            except GreenletExit:
                kills.append("killed")
                if len(kills) >= 5:
                    return

    greenlet = thread.call(spawn, stubborn)
    thread.call(sleep, 0)
    path = f"/api/greenlets/{id_of(greenlet)}/kill"
    wait_for(lambda: ask(monitor, f"/api/greenlets/{id_of(greenlet)}")[0] == 200)
    answers: list[tuple[int, bytes]] = []
    headers = {"Idempotency-Key": "one-click"}
    clicks = [threading.Thread(target=lambda: answers.append(ask(monitor, path, {}, headers))) for _ in range(4)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join(20)
    assert kills == ["killed"]
    assert {status for status, _ in answers} == {202}
    assert {json.loads(body)["outcome"] for _, body in answers} == {"alive"}
    thread.call(greenlet.kill, ValueError, False)


def test_kill_of_the_main_greenlet_of_the_dead_and_of_the_unknown_is_refused(
    thread: RuntimeThread, monitor: Monitor
) -> None:
    main = id_of(thread.hub.parent)
    ended = thread.call(spawn, abs, -1)
    wait_for(lambda: row_of_the_ended(monitor, id_of(ended)))
    status, body = ask(monitor, f"/api/greenlets/{main}/kill", {})
    assert status == 409, body
    assert ask(monitor, f"/api/greenlets/{id_of(ended)}/kill", {})[0] == 409
    assert ask(monitor, "/api/greenlets/987654321/kill", {})[0] == 404
    assert thread.call(abs, -2) == 2, "the hub lives"


def test_ids_go_up_and_are_never_used_twice(thread: RuntimeThread, probe: NativeProbe) -> None:
    ids = [thread.call(lambda: id_of(spawn(sleep, 0))) for _ in range(200)]
    gc.collect()
    ids += [thread.call(lambda: id_of(spawn(sleep, 0))) for _ in range(200)]
    assert ids == sorted(set(ids))


def test_kill_before_the_start_ends_it_without_a_run(thread: RuntimeThread, monitor: Monitor) -> None:
    ran: list[int] = []
    later = thread.call(spawn_later, 60, ran.append, 1)
    wait_for(lambda: ask(monitor, f"/api/greenlets/{id_of(later)}")[0] == 200)
    status, body = ask(monitor, f"/api/greenlets/{id_of(later)}/kill", {})
    assert (status, json.loads(body)["outcome"]) == (200, "done")
    thread.call(later.start)
    thread.call(sleep, 0.01)
    assert ran == []
