"""Tokens, cookies, logout."""

import pytest

from greenscope.app.access import Access, Denied, Principal, cookie_name, make_token
from greenscope.app.limiter import AttemptLimiter

TOKEN = make_token()


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def ask(
    access: Access, bearer: str | None = None, cookies: tuple[str, ...] = (), local: bool = False
) -> Principal | Denied:
    return access.identify(bearer=bearer, cookies=list(cookies), peer="127.0.0.1", local_socket=local)


def test_access_takes_the_token_and_nothing_else() -> None:
    access = Access(TOKEN)
    assert ask(access, TOKEN) == Principal("token")
    for wrong in ("", TOKEN[:-1], TOKEN + "x", "é", TOKEN.swapcase()):
        found = ask(access, wrong)
        assert isinstance(found, Denied)
        assert found.status == 401
    nobody = ask(access)
    assert isinstance(nobody, Denied)
    assert nobody.status == 401


def test_access_answers_the_eleventh_bad_try_with_429_and_a_wait() -> None:
    access = Access(TOKEN, limiter=AttemptLimiter(clock=Clock()))
    statuses = [found.status for found in (ask(access, "wrong") for _ in range(12)) if isinstance(found, Denied)]
    assert statuses == [401] * 10 + [429] * 2
    last = ask(access, "wrong")
    assert isinstance(last, Denied)
    assert 0 < last.retry_after <= 6.0


def test_access_lets_the_owner_in_while_others_guess() -> None:
    access = Access(TOKEN, limiter=AttemptLimiter(clock=Clock()))
    cookie = access.issue()
    for _ in range(20):
        ask(access, "wrong")
    assert ask(access, TOKEN) == Principal("token")
    assert isinstance(ask(access, None, (cookie,)), Principal)


def test_access_makes_even_the_right_short_token_wait() -> None:
    access = Access("hunter2", limiter=AttemptLimiter(clock=Clock()))
    assert isinstance(ask(access, "hunter2"), Principal)
    for _ in range(10):
        ask(access, "wrong")
    found = ask(access, "hunter2")
    assert isinstance(found, Denied)
    assert found.status == 429


def test_cookie_outlives_a_restart_with_the_same_strong_token_only() -> None:
    assert isinstance(ask(Access(TOKEN), None, (Access(TOKEN).issue(),)), Principal)
    assert isinstance(ask(Access(make_token()), None, (Access(TOKEN).issue(),)), Denied)
    assert isinstance(ask(Access("hunter2"), None, (Access("hunter2").issue(),)), Denied)


def test_cookie_is_refused_when_changed() -> None:
    access = Access(TOKEN)
    cookie = access.issue()
    assert isinstance(ask(access, None, ("junk", cookie)), Principal)
    for index in range(len(cookie)):
        changed = cookie[:index] + ("0" if cookie[index] != "0" else "1") + cookie[index + 1 :]
        assert isinstance(ask(access, None, (changed,)), Denied), index
    for junk in ("", ".", "...", "v1.1.1.1", "é.é.é.é", "v1.9.x." + "0" * 64):
        assert isinstance(ask(access, None, (junk,)), Denied)


def test_cookie_ages_and_a_clock_set_back_does_not_end_it() -> None:
    clock = Clock()
    access = Access(TOKEN, wall=clock)
    cookie = access.issue()
    clock.now -= 3600
    assert isinstance(ask(access, None, (cookie,)), Principal)
    clock.now += 31 * 86400
    assert isinstance(ask(access, None, (cookie,)), Denied)


def test_revoke_refuses_the_cookie_and_calls_watchers_once() -> None:
    access = Access(TOKEN)
    cookie, other = access.issue(), access.issue()
    principal = ask(access, None, (cookie,))
    assert isinstance(principal, Principal)
    called: list[str] = []
    access.watch(principal.session, lambda: called.append("a"))
    unwatch = access.watch(principal.session, lambda: called.append("b"))
    unwatch()
    unwatch()
    access.revoke(principal.session)
    access.revoke(principal.session)
    assert called == ["a"]
    assert isinstance(ask(access, None, (cookie,)), Denied)
    assert isinstance(ask(access, None, (other,)), Principal)
    assert access._watchers == {}


def test_watching_leaves_nothing_behind() -> None:
    access = Access(TOKEN)
    for unwatch in [access.watch("s", lambda: None) for _ in range(5)]:
        unwatch()
    assert access._watchers == {}


def test_unix_socket_speaks_for_its_user_unless_a_token_was_given() -> None:
    assert ask(Access(None, "uds"), local=True) == Principal("unix socket")
    assert isinstance(ask(Access(None, "uds"), local=False), Denied)
    assert isinstance(ask(Access(TOKEN, "uds"), local=True), Denied)
    assert isinstance(ask(Access(TOKEN, "uds"), TOKEN, local=True), Principal)


def test_no_authentication_reads_but_is_not_trusted() -> None:
    found = ask(Access(None, "none"))
    assert found == Principal("anonymous", trusted=False)
    assert isinstance(ask(Access(TOKEN, "none"), "wrong"), Denied)


def test_access_refuses_senseless_settings() -> None:
    with pytest.raises(ValueError, match="needs one"):
        Access(None)
    with pytest.raises(ValueError, match="authentication"):
        Access(TOKEN, "basic")  # type: ignore[arg-type]


def test_cookie_name_carries_the_port() -> None:
    assert cookie_name(8484) == "greenscope-8484"
    assert cookie_name(None) == "greenscope-default"
