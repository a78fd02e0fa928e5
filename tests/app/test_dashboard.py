"""The dashboard as an app: settings, mounting, starting and ending, its own faults."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from greenscope.app.audit import AuditError
from greenscope.app.backends.fake import FakeProbe
from greenscope.app.dashboard import build_dashboard

TOKEN = "t" * 32


def test_settings_that_would_be_unsafe_are_errors() -> None:
    probe = FakeProbe()
    with pytest.raises(ValueError, match="token: authentication by token needs one"):
        build_dashboard(probe)
    with pytest.raises(ValueError, match="control: needs a token"):
        build_dashboard(probe, authentication="none", control=True)
    with pytest.raises(ValueError, match="hosts: '\\*'"):
        build_dashboard(probe, token=TOKEN, hosts=["*"])
    with pytest.raises(ValueError, match="token: this one does not fit"):
        build_dashboard(probe, token="a b")
    with pytest.raises(AuditError, match="cannot open"):
        build_dashboard(probe, token=TOKEN, audit="/nowhere/audit")


def test_nothing_runs_before_the_first_request() -> None:
    probe = FakeProbe()
    app = build_dashboard(probe, token=TOKEN)
    assert app.dashboard._task is None
    assert probe.attached == 0


def test_refused_requests_start_nothing(board: Any) -> None:
    del board.client.headers["authorization"]
    board.client.get("/api/health")
    assert board.dashboard._task is None
    assert board.probe.attached == 0


def test_first_request_starts_the_tick_once(board: Any) -> None:
    board.get("/api/health")
    task = board.dashboard._task
    assert task is not None
    board.get("/api/health")
    assert board.dashboard._task is task


def test_dashboard_works_in_one_loop_after_another(board: Any) -> None:
    transport = httpx.ASGITransport(app=board.app)

    async def work() -> int:
        async with httpx.AsyncClient(transport=transport, headers=dict(board.client.headers)) as client:
            answer = await client.get("http://localhost/api/greenlets")
            await asyncio.sleep(0)
            return answer.status_code

    for _ in range(3):
        assert asyncio.run(work()) == 200
        assert board.dashboard._task.cancelled() or board.dashboard._task.done()


def mounted(path: str, host_root: str = "", **options: Any) -> tuple[Starlette, Any]:
    app = build_dashboard(FakeProbe(), token=TOKEN, control=True, **options)

    async def home(request: Any) -> PlainTextResponse:
        return PlainTextResponse("host")

    return Starlette(routes=[Route("/", home), Mount(path, app)]), app


@pytest.mark.parametrize("root", ["", "/proxy/app"])
def test_mounted_dashboard_answers_below_its_path(root: str) -> None:
    host, app = mounted("/greenlets")
    transport = httpx.ASGITransport(app=host, root_path=root)

    async def work() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
            assert (await client.get(f"{root}/")).text == "host"
            stranger = await client.get(f"{root}/greenlets/api/health")
            assert stranger.status_code == 401
            page = await client.get(f"{root}/greenlets/", headers={"accept": "text/html"})
            assert page.status_code == 401
            assert f'"{root}/greenlets/static/' in page.text
            body = {"token": TOKEN}
            login = await client.post(f"{root}/greenlets/api/login", json=body)
            assert login.status_code == 200
            assert f"Path={root}/greenlets/" in login.headers["set-cookie"]
            assert login.headers["set-cookie"].startswith("greenscope-8000=")
            assert (await client.get(f"{root}/greenlets/api/health")).status_code == 200
            page = await client.get(f"{root}/greenlets/greenlets", headers={"accept": "text/html"})
            assert page.status_code == 200
            assert f'"{root}/greenlets/static/' in page.text
            document = (await client.get(f"{root}/greenlets/api/openapi.json")).json()
            assert document["servers"] == [{"url": f"{root}/greenlets"}]
            evil = await client.get(f"{root}/greenlets/api/health", headers={"host": "evil.example"})
            assert evil.status_code == 421

    asyncio.run(work())
    assert app.dashboard.fault_count == 0, app.dashboard.faults


def test_mounted_dashboard_answers_to_the_hosts_names() -> None:
    host, _ = mounted("/g", hosts=["app.example"])
    transport = httpx.ASGITransport(app=host)

    async def work() -> list[int]:
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(transport=transport, headers=headers) as client:
            return [
                (await client.get(f"http://{name}/g/api/health")).status_code
                for name in ("app.example", "www.app.example", "localhost")
            ]

    assert asyncio.run(work()) == [200, 421, 200]


def test_middleware_of_a_host_stands_behind_the_guard() -> None:
    app = build_dashboard(FakeProbe(), token=TOKEN)
    app.add_middleware(GZipMiddleware, minimum_size=1)
    transport = httpx.ASGITransport(app=app)

    async def work() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            refused = await client.get("/api/health")
            assert refused.status_code == 401
            assert "content-encoding" not in refused.headers
            answer = await client.get("/api/health", headers={"authorization": f"Bearer {TOKEN}"})
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.headers["x-frame-options"] == "DENY"

    asyncio.run(work())


def test_lifespan_of_its_own_closes_it(board: Any) -> None:
    sent: list[str] = []
    messages = ["lifespan.startup", "lifespan.shutdown"]

    async def receive() -> dict[str, Any]:
        return {"type": messages.pop(0)}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(board.app({"type": "lifespan", "app": board.app, "state": {}}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert board.dashboard.closed


def test_close_is_idempotent_and_answers_stay_readable(board: Any) -> None:
    board.get("/api/health")

    async def close() -> None:
        for _ in range(2):
            board.dashboard.close()
            await board.dashboard.wait_closed()

    board.client._runner.run(close())
    assert board.client.get("/api/greenlets").status_code == 200


def test_fault_of_our_own_is_told_and_counted(board: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> list[Any]:
        raise RuntimeError("a bug of ours")

    board.dashboard.feed.groups = broken
    for _ in range(12):
        answer = board.client.get("/api/groups")
        assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert board.get("/api/health")["faults"] == 12
    assert capsys.readouterr().err.count("RuntimeError: a bug of ours") == 10


def test_probe_that_cannot_attach_is_a_fault_not_a_crash(make_board: Callable[..., Any]) -> None:
    class Broken(FakeProbe):
        def attach(self) -> None:
            raise RuntimeError("no hub here")

    board = make_board(probe=Broken())
    for _ in range(5):
        assert board.client.get("/api/greenlets").status_code == 200
        board.client._runner.run(asyncio.sleep(0))
    assert "no hub here" in board.dashboard.faults[0]
    assert board.dashboard.fault_count == 1


def test_info_names_the_program(board: Any) -> None:
    assert board.dashboard.info["name"] == "crawler"
    assert board.dashboard.info["backend"] == "fake"
