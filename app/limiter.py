"""A limiter of bad tries: non-blocking, monotonic, bounded.

Each key (a peer's address) owns a bucket of tries that refills with time. A bad try takes one; an empty bucket
answers how long to wait. Nothing sleeps and nothing is scheduled: the state is computed from the clock when asked,
so a flood of guesses costs a dictionary look-up each and never slows another request. The table of keys is bounded;
the key unused for longest is forgotten first.

Formula: a token bucket, as in RFC 2697's single rate (committed rate 1/`interval`, burst `burst`).
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable


class AttemptLimiter:
    """Allow `burst` bad tries per key, then one more every `interval` seconds."""

    def __init__(
        self,
        *,
        burst: int = 10,
        interval: float = 6.0,
        keys: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if burst < 1 or interval <= 0 or keys < 1:
            raise ValueError("burst and keys must be at least 1, interval above 0 seconds")
        self.burst = burst
        self.interval = interval
        self.keys = keys
        self._clock = clock
        # key -> (tries left, monotonic second at which that was so)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def _left(self, key: str, now: float) -> float:
        left, since = self._buckets.get(key, (float(self.burst), now))
        return min(float(self.burst), left + max(0.0, now - since) / self.interval)

    def retry_after(self, key: str) -> float:
        """Return the seconds until `key` may try again; 0.0 means now. Does not block, takes no try."""
        left = self._left(key, self._clock())
        return 0.0 if left >= 1.0 else (1.0 - left) * self.interval

    def take(self, key: str) -> bool:
        """Take one try of `key`; False when none is left. Does not block."""
        now = self._clock()
        left = self._left(key, now)
        allowed = left >= 1.0
        self._buckets[key] = (left - 1.0 if allowed else left, now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > self.keys:
            self._buckets.popitem(last=False)
        return allowed


def peer_key(client: tuple[str, int] | list[object] | None) -> str:
    """Return the limiter's key for an ASGI `client`: the socket peer's address, IPv6 by its /64 network.

    Only the transport's own peer is used; no forwarded header is ever read.
    """
    if not client:
        return "local"
    host = str(client[0])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
