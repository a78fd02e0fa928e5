"""Whom the guard lets in: rows 1, 2, 7, 8, 9 and 12 of the table of attacks."""

from typing import Any

import pytest

from greenscope.app.access import Access
from tests.app.guarding import BEARER, HOST, JSON, TOKEN, ask, control, make_guard

# -- rows 1, 7, 8: who ---------------------------------------------------------------------------------------


def test_guard_needs_the_token() -> None:
    assert ask().status == 200
    nobody = ask(headers=[HOST])
    assert (nobody.status, nobody.error, nobody.reached) == (401, "unauthorized", False)
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    wrong = [
        (b"authorization", value) for value in (b"Bearer x", b"Bearer", b"Basic " + TOKEN.encode(), TOKEN.encode())
    ]
    for header in wrong:
        assert ask(headers=[HOST, header]).status == 401
    assert ask(headers=[HOST, BEARER, BEARER]).status == 401


def test_guard_takes_the_cookie_of_its_port_only() -> None:
    access = Access(TOKEN)
    cookie = access.issue()

    def with_cookie(value: str) -> int:
        return ask(headers=[HOST, (b"cookie", value.encode())], guard=make_guard(access=access)).status

    assert with_cookie(f"greenscope-8484={cookie}") == 200
    assert with_cookie(f"a=b; greenscope-8484=junk; greenscope-8484={cookie}") == 200
    assert with_cookie(f"greenscope-8485={cookie}") == 401
    assert with_cookie(f"greenscope-8484={TOKEN}") == 401
    assert with_cookie("greenscope-8484") == 401


@pytest.mark.parametrize(
    "query", [b"token=%s", b"a=b&token=%s", b"%%74oken=%s", b"TOKEN=%s", b"a;token=%s", b"token%.0s"]
)
def test_guard_refuses_a_token_in_the_query_even_beside_a_right_one(query: bytes) -> None:
    answer = ask(query=query % TOKEN.encode())
    assert (answer.status, answer.reached) == (401, False)


def test_guard_answers_the_eleventh_bad_try_with_429() -> None:
    guard = make_guard()
    bad = [HOST, (b"authorization", b"Bearer wrong")]
    assert [ask(headers=bad, guard=guard).status for _ in range(11)] == [401] * 10 + [429]
    assert int(ask(headers=bad, guard=guard).headers["retry-after"]) >= 1
    assert ask(guard=guard).status == 200
    forwarded = [*bad, (b"x-forwarded-for", b"10.0.0.9"), (b"forwarded", b"for=10.0.0.9"), (b"x-real-ip", b"10.0.0.9")]
    assert ask(headers=forwarded, guard=guard).status == 429
    assert ask(headers=bad, guard=guard, client=("10.0.0.9", 1)).status == 401


def test_guard_shows_a_person_the_login_page() -> None:
    browser = [HOST, (b"accept", b"text/html,*/*"), (b"sec-fetch-site", b"none")]
    page = ask(path="/greenlets", headers=browser)
    assert (page.status, page.body) == (401, b"<h1>log in</h1>")
    assert page.headers["content-type"].startswith("text/html")
    for data in ("/api/health", "/events"):
        assert ask(path=data, headers=browser).error == "unauthorized"


def test_guard_leaves_the_door_open_and_nothing_else() -> None:
    for path in ("/login", "/static/1/app.css"):
        assert ask(path=path, headers=[HOST]).status == 200
    assert ask("POST", "/api/login", [HOST, JSON], [b"{}"]).status == 200
    for path in ("/login/x", "/api/login/x", "/static", "/api/loginx", "/xstatic/a", "/api/logout"):
        assert ask("POST", path, [HOST, JSON], [b"{}"]).status == 401
        assert ask("GET", path, [HOST]).status == 401
    assert ask("GET", "/api/login", [HOST]).status == 401
    assert ask("POST", "/login", [HOST, JSON], [b"{}"]).status == 401


def test_guard_without_authentication_reads_but_does_not_act() -> None:
    access = Access(TOKEN, "none")
    assert ask(headers=[HOST], guard=make_guard(access=access)).status == 200
    kill = ask("POST", "/api/greenlets/1/kill", [HOST, JSON], [b"{}"], guard=make_guard(access=access))
    assert (kill.status, kill.reached) == (401, False)
    assert control(guard=make_guard(access=access)).status == 200


def test_guard_trusts_the_unix_socket_not_the_port() -> None:
    access = Access(None, "uds")
    local: dict[str, Any] = {"server": ("/run/x.sock", None), "client": None}
    assert ask(headers=[HOST], guard=make_guard(access=access), **local).status == 200
    assert ask(headers=[HOST], guard=make_guard(access=access)).status == 401


# -- row 2: Host ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"evil.example", 421), (b"localhost6", 421), (b"0177.0.0.1", 421), (b"127.0.0.555", 421), (b"0.0.0.0", 421),
        (b"127.0.0.1.nip.io", 421), (b"localhost.", 421), (b"localhost/x", 400), (b"a@localhost", 400), (b"", 400),
        (b"LOCALHOST:8484", 200), (b"[::1]:8484", 200), (b"127.0.0.1", 200), (b"localhost:9999", 200),
    ],
)  # fmt: skip
def test_guard_answers_to_its_own_names(host: bytes, status: int) -> None:
    answer = ask(headers=[(b"host", host), BEARER])
    assert answer.status == status
    assert answer.reached is (status == 200)


def test_guard_wants_exactly_one_host() -> None:
    assert ask(headers=[HOST, HOST, BEARER]).status == 400
    assert ask(headers=[HOST, (b"host", b"evil.example"), BEARER]).status == 400
    assert ask(headers=[BEARER]).status == 400
    forwarded = [(b"host", b"evil.example"), (b"x-forwarded-host", b"localhost"), BEARER]
    assert ask(headers=forwarded).status == 421


# -- row 9: read-only ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api/spawn", "/api/greenlets/1/kill", "/api/groups/1/resize", "/", "/api/new", "/login"]
)
def test_read_only_refuses_every_post_but_login_and_logout(path: str) -> None:
    refused: list[tuple[str, ...]] = []
    guard = make_guard(control=False, on_refused=lambda *fields: refused.append(fields))
    answer = ask("POST", path, [HOST, BEARER, JSON], [b"{}"], guard=guard)
    assert (answer.status, answer.error, answer.reached) == (403, "read-only", False)
    assert refused == [(f"POST {path}", path, "token", "403 read-only")]
    for door in ("/api/login", "/api/logout"):
        assert ask("POST", door, [HOST, BEARER, JSON], [b"{}"], guard=make_guard(control=False)).status == 200


# -- row 12: refusals are told -------------------------------------------------------------------------------


def test_guard_reports_refused_control_and_not_refused_reading() -> None:
    refused: list[tuple[str, ...]] = []
    guard = make_guard(on_refused=lambda *fields: refused.append(fields))
    ask("POST", "/api/greenlets/7/kill", [HOST, JSON], [b"{}"], guard=guard)
    ask("DELETE", "/api/greenlets/7", [HOST, BEARER], guard=guard)
    ask(headers=[HOST], guard=guard)
    assert [(fields[0], fields[2], fields[3]) for fields in refused] == [
        ("POST /api/greenlets/7/kill", "anonymous", "401 unauthorized"),
        ("DELETE /api/greenlets/7", "anonymous", "405 method"),
    ]
