"""Who is asking: the token, the cookie that stands for it after login, and logout.

A program presents the token itself (`Authorization: Bearer`). A browser reads it once from the address' fragment,
which no server, log or Referer ever sees, and exchanges it for a cookie: HttpOnly, SameSite=Strict, its name
carrying the port, because browsers share cookies between all ports of a host.

The cookie is `v1.<issued>.<nonce>.<mac>`, HMAC-SHA256 (RFC 2104) under a key that comes from the token, so it
outlives a restart with the same token. Were a token short enough to guess, a forged cookie would be another way to
guess it; then the key is random and dies with the process. Logout revokes the nonce and ends what is still open
under it, streams included. All comparisons are `hmac.compare_digest`.

Bad tokens are counted per peer and answered 429 when there were too many. A right token that is long enough not to be
guessable is honoured all the same, so that nobody can lock the owner out by guessing.
"""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from greenscope.app.limiter import AttemptLimiter
from greenscope.app.settings import check_token

Authentication = Literal["token", "none", "uds"]
AUTHENTICATIONS: tuple[Authentication, ...] = ("token", "none", "uds")

#: a token of this many characters cannot be guessed over the network at any rate
STRONG_TOKEN_LENGTH = 16
COOKIE_AGE = 30 * 86400.0
MAX_REVOKED = 4096
MAX_COOKIES_READ = 8


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request acts for: `name` goes to the audit; `session` is a cookie's nonce ("" without one)."""

    name: str
    session: str = ""
    #: False: may read, but not act, because no token was shown
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Denied:
    """No principal: `status` is 401 or 429, `retry_after` the seconds to wait with 429."""

    status: int
    message: str
    retry_after: float = 0.0


def make_token() -> str:
    """Make a new random token (256 bits, URL-safe)."""
    return secrets.token_urlsafe(32)


def cookie_name(port: int | None) -> str:
    """Return the login cookie's name for a browser that talks to `port` (None: the scheme's default)."""
    return f"greenscope-{port if port is not None else 'default'}"


class Access:
    """Decides who a request is from. Used from the dashboard's thread only; never blocks."""

    def __init__(
        self,
        token: str | None,
        authentication: Authentication = "token",
        *,
        limiter: AttemptLimiter | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if authentication not in AUTHENTICATIONS:
            raise ValueError(f"authentication: {authentication!r} is not one of {', '.join(AUTHENTICATIONS)}")
        if authentication == "token" and token is None:
            raise ValueError("token: authentication by token needs one")
        self.token = None if token is None else check_token(token)
        self.authentication = authentication
        self.limiter = limiter or AttemptLimiter()
        self._wall = wall
        self._strong = token is not None and len(token) >= STRONG_TOKEN_LENGTH
        seed = token.encode("ascii") if token is not None and self._strong else secrets.token_bytes(32)
        self._key = hmac.digest(seed, b"greenscope login cookie", "sha256")
        self._revoked: OrderedDict[str, None] = OrderedDict()
        self._watchers: dict[str, set[Callable[[], None]]] = {}

    def identify(
        self,
        *,
        bearer: str | None,
        cookies: list[str],
        peer: str,
        local_socket: bool,
    ) -> Principal | Denied:
        """Return who shows this Bearer token or one of these cookies, or why nobody is recognised.

        `peer` is the limiter's key, `local_socket` tells that the request came over a Unix socket.
        """
        if bearer is not None:
            return self.try_token(bearer, peer, "token")
        for cookie in cookies[:MAX_COOKIES_READ]:
            nonce = self._nonce_of(cookie)
            if nonce is not None:
                return Principal(f"cookie {nonce[:8]}", session=nonce)
        # The socket's permissions speak for its user; a token that was given is asked for all the same.
        if self.authentication == "uds" and self.token is None and local_socket:
            return Principal("unix socket")
        if self.authentication == "none":
            return Principal("anonymous", trusted=False)
        return Denied(401, "this dashboard needs its token: open the address that was printed when it started")

    def try_token(self, token: str, peer: str, name: str) -> Principal | Denied:
        """Compare a presented token; a wrong one is counted against `peer`."""
        matches = self.token is not None and hmac.compare_digest(
            hashlib.sha256(token.encode("utf-8", "replace")).digest(),
            hashlib.sha256(self.token.encode("ascii")).digest(),
        )
        wait = self.limiter.retry_after(peer)
        if matches and (self._strong or not wait):
            return Principal(name)
        if not matches and self.limiter.take(peer):
            return Denied(401, "this is not the token of this dashboard")
        return Denied(429, "too many wrong tokens from this address", wait or self.limiter.retry_after(peer))

    def issue(self) -> str:
        """Make the value of a new login cookie."""
        head = f"v1.{int(self._wall())}.{secrets.token_hex(16)}"
        return f"{head}.{self._mac(head)}"

    def _mac(self, head: str) -> str:
        return hmac.digest(self._key, head.encode("ascii", "replace"), "sha256").hex()

    def _nonce_of(self, cookie: str) -> str | None:
        head, _, mac = cookie.rpartition(".")
        parts = head.split(".")
        if (
            len(parts) != 3
            or parts[0] != "v1"
            or not hmac.compare_digest(self._mac(head).encode(), mac.encode("utf-8", "replace"))
        ):
            return None
        nonce = parts[2]
        # The mac is right, so the digits are ours. A clock that was set back must not end a session.
        return None if nonce in self._revoked or self._wall() - int(parts[1]) > COOKIE_AGE else nonce

    def revoke(self, session: str) -> None:
        """End a login session: its cookie is refused from now on, what is open under it is closed."""
        if not session:
            return
        self._revoked[session] = None
        while len(self._revoked) > MAX_REVOKED:
            self._revoked.popitem(last=False)
        for callback in list(self._watchers.pop(session, ())):
            callback()

    def watch(self, session: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when `session` is revoked; returns what ends the watching."""
        watchers = self._watchers.setdefault(session, set())
        watchers.add(callback)

        def unwatch() -> None:
            watchers.discard(callback)
            if not watchers and self._watchers.get(session) is watchers:
                del self._watchers[session]

        return unwatch
