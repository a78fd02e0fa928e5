"""The JSON API: each row of the interface's table."""

import csv
import io
import os
from collections.abc import Callable
from typing import Any

import pytest

from greenscope.app.backends.fake import ALL_CAPABILITIES, FakeProbe
from greenscope.app.query import ROW_FIELDS


def test_health_tells_who_and_how(board: Any) -> None:
    health = board.get("/api/health")
    expected = {"version", "pid", "epoch", "backend", "uptime", "hub_lag", "sample_age", "clients", "dropped", "cost"}
    assert expected <= set(health)
    assert health["backend"] == "fake"
    assert health["clients"] == 0
    assert health["faults"] == 0


def test_greenlets_answers_rows_by_query(board: Any) -> None:
    found = board.get("/api/greenlets?state=failed")
    assert (found["total"], found["matched"]) == (4, 1)
    assert set(ROW_FIELDS) <= set(found["rows"][0])
    assert found["rows"][0]["exception"]["type"] == "ValueError"
    assert [row["id"] for row in board.get("/api/greenlets?sort=-id&limit=2&offset=1")["rows"]] == ["3", "2"]


def test_greenlets_as_csv_is_what_is_shown(board: Any) -> None:
    board.dashboard.feed.tick()
    answer = board.client.get("/api/greenlets?sort=-id&format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "greenlets.csv" in answer.headers["content-disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [line["id"] for line in lines] == ["4", "3", "2", "1"]
    assert lines[0]["exception"].startswith("ValueError: bad")


def test_greenlet_answers_all_about_one(board: Any) -> None:
    found = board.get(f"/api/greenlets/{board.ids[1]}")
    assert found["function"] == "fetch"
    assert found["stack"]
    assert board.client.get("/api/greenlets/777").status_code == 404


@pytest.mark.parametrize("id", ["0x1", "-1", "abc", "1.0", "12-7", "9" * 30, "~"])
def test_ids_that_are_none_are_404(board: Any, id: str) -> None:
    for what in ("greenlets", "groups"):
        answer = board.client.get(f"/api/{what}/{id}")
        assert (answer.status_code, answer.json()["error"]) == (404, "unknown")
        assert board.post(f"/api/{what}/{id}/kill").status_code == 404
    assert board.post(f"/api/groups/{id}/resize", {"size": 2}).status_code == 404


def test_groups_and_one_group(board: Any) -> None:
    (row,) = board.get("/api/groups")["rows"]
    assert (row["name"], row["kind"], row["size"], row["active"], row["free"]) == ("workers", "pool", 4, 2, 2)
    assert board.get(f"/api/groups/{row['id']}")["id"] == row["id"]
    assert board.client.get("/api/groups/777").status_code == 404


def test_stacks_tree_waits_findings(board: Any) -> None:
    stacks = board.get("/api/stacks")
    assert sum(row["count"] for row in stacks["rows"]) == 2
    tree = board.get("/api/tree")
    assert tree["total"] == 4
    assert tree["rows"][0]["total"] == 4
    assert tree["rows"][0]["counts"]["failed"] == 1
    assert board.get("/api/tree?root=2&depth=1&width=1")["rows"][0]["id"] == "2"
    assert board.client.get("/api/tree?root=77").status_code == 404
    waits = board.get("/api/waits")
    assert {node["kind"] for node in waits["nodes"]} == {"greenlet", "resource"}
    assert any(node.get("name", "").startswith("fetch") for node in waits["nodes"])
    assert isinstance(board.get("/api/findings")["rows"], list)


def test_a_hundred_thousand_greenlets_do_not_hold_up_other_requests(make_board: Callable[..., Any]) -> None:
    import asyncio
    import time

    import httpx

    probe = FakeProbe()
    for number in range(100_000):
        id = probe.add("work", parent=number // 50 or None)
        probe.start(id)
        probe.park(id, "event", "go")
    board = make_board(probe=probe)
    board.dashboard.feed.tick()

    async def work() -> tuple[float, list[float]]:
        transport = httpx.ASGITransport(app=board.app)
        headers = dict(board.client.headers)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8484", headers=headers) as client:
            board.dashboard.closed = True  # no tick: what is measured is the answers
            begun = time.perf_counter()
            dear = [asyncio.ensure_future(client.get(f"/api/{what}")) for what in ("tree", "waits", "stacks")]
            gaps = []
            while not all(task.done() for task in dear):
                before = time.perf_counter()
                await asyncio.sleep(0)
                gaps.append(time.perf_counter() - before)
            for task in dear:
                assert task.result().status_code == 200
            return time.perf_counter() - begun, gaps

    took, gaps = asyncio.run(work())
    assert took < 20
    assert sorted(gaps)[int(len(gaps) * 0.99)] < 0.1


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/greenlets?limit=1001", "limit"), ("/api/greenlets?limit=x", "limit"),
        ("/api/greenlets?sort=nope", "sort"), ("/api/greenlets?state=dead", "state"),
        ("/api/greenlets?nope=1", "nope"), ("/api/greenlets?format=xml", "format"),
        ("/api/greenlets?offset=-1", "offset"), ("/api/greenlets?q=%22open", "q"),
        ("/api/greenlets?limit=1&limit=2", "limit"), ("/api/tree?depth=99", "depth"),
        ("/api/tree?width=0", "width"), ("/api/tree?root=x", "root"), ("/api/tree?depth=1&depth=2", "depth"),
        ("/api/health?x=1", "x"), ("/api/audit?limit=0", "limit"), ("/api/groups?x", "x"),
        ("/events?kinds=nope", "kinds"),
    ],
)  # fmt: skip
def test_senseless_parameters_are_422_and_named(board: Any, path: str, field: str) -> None:
    answer = board.client.get(path)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert answer.json()["message"]


def test_spawnables_and_spawn(board: Any) -> None:
    (row,) = board.get("/api/spawnables")["rows"]
    assert (row["name"], row["doc"], row["parameters"][0]["required"]) == ("crawl", "Crawl a site.", True)
    answer = board.post("/api/spawn", {"target": "crawl", "arguments": {"url": "u"}, "group": "1"})
    assert answer.status_code == 201
    id = answer.json()["id"]
    assert board.get(f"/api/greenlets/{id}")["groups"]
    assert board.post("/api/spawn", {"target": "os.system", "arguments": {}}).status_code == 404
    wrong = board.post("/api/spawn", {"target": "crawl", "arguments": {"url": "u", "depth": "deep"}})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "depth")


def test_kill_observes_and_audits_on_stream_and_page(board: Any) -> None:
    id = board.ids[1]
    answer = board.post(f"/api/greenlets/{id}/kill")
    assert (answer.status_code, answer.json()["state"]) == (200, "killed")
    assert board.post(f"/api/greenlets/{id}/kill").status_code == 409
    assert board.post("/api/greenlets/999/kill").status_code == 404
    assert [result for _, _, result in board.records()] == ["done", "gone", "unknown"]
    events = board.dashboard.feed.recent_events(["audit"])
    assert [event["result"] for event in events] == ["unknown", "gone", "done"]
    assert events[-1]["principal"] == "token"
    assert [row["result"] for row in board.get("/api/audit?limit=2")["rows"]] == ["unknown", "gone"]


def test_audit_of_a_spawn_and_a_kill_names_the_greenlet(board: Any) -> None:
    new = board.post("/api/spawn", {"target": "crawl", "arguments": {"url": "u"}}).json()["id"]
    board.post(f"/api/greenlets/{board.ids[1]}/kill")
    board.post("/api/spawn", {"target": "os.system"})
    named = [None, str(board.ids[1]), new]
    assert [row["greenlet"] for row in board.get("/api/audit")["rows"]] == named
    assert [event.get("greenlet") for event in board.dashboard.feed.recent_events(["audit"])] == named
    assert f'crawl <a href="/greenlets/{new}">#{new}</a>' in board.client.get("/audit").text


def test_greenlet_spawned_from_the_dashboard_says_so(board: Any) -> None:
    new = board.post("/api/spawn", {"target": "crawl", "arguments": {"url": "u"}}).json()["id"]
    found = board.get(f"/api/greenlets/{new}")
    assert (found["spawn_site"], found["from_dashboard"]) == (None, True)
    assert not board.get(f"/api/greenlets/{board.ids[1]}")["from_dashboard"]
    assert "Spawned from the dashboard" in board.client.get(f"/greenlets/{new}").text


@pytest.mark.parametrize(
    ("path", "body", "target"),
    [
        ("/api/greenlets/2/kill", {}, "greenlet 2"),
        ("/api/groups/1/kill", {}, "group 1"),
        ("/api/groups/1/resize", {"size": 9}, "group 1"),
        ("/api/spawn", {"target": "crawl", "arguments": {"url": "u"}}, "crawl"),
    ],
)
def test_request_meant_for_another_process_is_refused(board: Any, path: str, body: Any, target: str) -> None:
    own = board.get("/api/health")["epoch"]
    assert f'data-epoch="{own}"' in board.client.get("/").text
    assert f'<form class="kill" data-epoch="{own}"' in board.client.get("/greenlets/2/kill").text
    for answer in (
        board.post(path, {**body, "epoch": "0" * 12}),
        board.post(path, body, headers={"greenscope-epoch": "0" * 12}),
    ):
        assert (answer.status_code, answer.json()["error"], answer.json()["epoch"]) == (409, "other-process", own)
        assert str(os.getpid()) in answer.json()["message"]
    assert {(name, result) for _, name, result in board.records()} == {(target, "refused")}
    for wrong in (5, "", "x" * 12, "é"):
        refused = board.post(path, {**body, "epoch": wrong})
        assert (refused.status_code, refused.json()["field"]) == (422, "epoch")
    assert board.post(path, {**body, "epoch": own}).status_code in (200, 201)


def test_header_with_the_own_epoch_lets_a_kill_through(board: Any) -> None:
    own = board.get("/api/health")["epoch"]
    assert board.post("/api/greenlets/2/kill", headers={"greenscope-epoch": own}).status_code == 200


def test_kill_keys_come_in_header_or_body(board: Any) -> None:
    path = f"/api/greenlets/{board.ids[1]}/kill"
    assert board.post(path, {"key": "k1"}).status_code == 200
    again = board.post(path, {"key": "k1"})
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert board.post(path, headers={"idempotency-key": "k1"}).status_code == 200
    assert board.post(path, {"key": "k2"}).status_code == 409
    for wrong in ({"key": 3}, {"key": "x" * 129}, {"key": "a b"}, {"signal": 9}):
        assert board.post(path, wrong).status_code == 422
    assert len(board.records()) == 2


def test_group_kill_and_resize(board: Any) -> None:
    assert board.post("/api/groups/1/resize", {"size": 9}).status_code == 200
    assert board.get("/api/groups/1")["size"] == 9
    assert board.post("/api/groups/1/resize", {"size": "9"}).json()["field"] == "size"
    assert board.post("/api/groups/1/resize", {"size": 9, "x": 1}).json()["field"] == "x"
    assert board.post("/api/groups/1/kill").status_code == 200
    assert not any(board.probe.is_alive(id) for id in board.ids[1:3])


def test_queued_and_alive_are_202(make_board: Callable[..., Any]) -> None:
    board = make_board()
    board.dashboard.control.timeout = 0.01
    board.probe.script_answer("kill", "held")
    answer = board.post(f"/api/greenlets/{board.ids[1]}/kill")
    assert (answer.status_code, answer.json()["outcome"]) == (202, "queued")
    board.probe.swallow_kills(board.ids[2])
    answer = board.post(f"/api/greenlets/{board.ids[2]}/kill")
    assert (answer.status_code, answer.json()["outcome"], answer.json()["state"]) == (202, "alive", "waiting")


def test_capabilities_that_are_missing_are_told(make_board: Callable[..., Any]) -> None:
    board = make_board(probe=FakeProbe(capabilities=ALL_CAPABILITIES - {"stacks", "waiting_on", "kill"}))
    assert board.get("/api/stacks")["available"] is False
    assert board.get("/api/waits")["reason"]
    assert board.post("/api/greenlets/1/kill").status_code == 409


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"a":1,"a":2}', b'{"key":NaN}', b"\xff", b"[" * 30_000, b'"x"', b"null"]
)
def test_bad_json_is_400_on_every_post(board: Any, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    for path in ("/api/spawn", "/api/greenlets/1/kill", "/api/groups/1/resize", "/api/login", "/api/logout"):
        answer = board.client.post(path, content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "json"), path
    assert board.records() == []


def test_login_gives_a_strict_cookie_for_the_token(board: Any) -> None:
    stranger = board.client
    del stranger.headers["authorization"]
    assert stranger.get("/api/health").status_code == 401
    assert board.post("/api/login", {"token": "wrong"}).status_code == 401
    assert board.post("/api/login", {"token": 3}).status_code == 422
    answer = board.post("/api/login", {"token": "correct-horse-battery-staple-token"})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("greenscope-8484=v1.")
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert attribute in cookie
    assert "token" not in cookie
    assert "Secure" not in cookie
    assert stranger.get("/api/health").status_code == 200


def test_logout_ends_the_session_for_good(board: Any) -> None:
    client = board.client
    board.post("/api/login", {"token": client.headers.pop("authorization").removeprefix("Bearer ")})
    value = client.cookies["greenscope-8484"]
    answer = board.post("/api/logout")
    assert answer.status_code == 200
    assert "Max-Age=0" in answer.headers["set-cookie"]
    client.cookies.set("greenscope-8484", value)
    assert client.get("/api/health").status_code == 401


def test_guessing_at_the_login_is_limited_and_audited(board: Any) -> None:
    statuses = [board.post("/api/login", {"token": f"guess{n}"}).status_code for n in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert board.get("/api/health")
    assert [action for action, _, _ in board.records()] == ["login"] * 12


def test_read_only_refuses_all_control_and_audits_it(make_board: Callable[..., Any]) -> None:
    board = make_board(control=False)
    for path in ("/api/spawn", "/api/greenlets/2/kill", "/api/groups/1/kill", "/api/groups/1/resize"):
        answer = board.post(path)
        assert (answer.status_code, answer.json()["error"]) == (403, "read-only")
    assert board.probe.is_alive(2)
    assert [result for _, _, result in board.records()] == ["refused"] * 4
    assert board.get("/api/health")["control"] is False


def test_secrets_of_the_program_are_in_no_answer(board: Any) -> None:
    canary = "hunter2-canary"
    board.post("/api/spawn", {"target": "crawl", "arguments": {"url": canary}})
    paths = ("greenlets", "greenlets/5", "audit", "tree", "waits", "stacks", "health", "groups", "groups/1")
    for path in paths:
        assert canary not in board.client.get(f"/api/{path}").text
    assert canary not in str(board.dashboard.feed.recent_events())
    token = board.client.headers["authorization"].removeprefix("Bearer ")
    for path in (*paths, "openapi.json"):
        assert token not in board.client.get(f"/api/{path}").text
