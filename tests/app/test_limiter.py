"""The limiter: bursts, refilling, bounds."""

import pytest

from greenscope.app.limiter import AttemptLimiter, peer_key


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_limiter_allows_a_burst_then_refuses() -> None:
    limiter = AttemptLimiter(burst=10, interval=6.0, clock=Clock())
    assert [limiter.take("a") for _ in range(11)] == [True] * 10 + [False]


def test_limiter_refills_with_time() -> None:
    clock = Clock()
    limiter = AttemptLimiter(burst=2, interval=6.0, clock=clock)
    assert limiter.take("a")
    assert limiter.take("a")
    assert limiter.retry_after("a") == pytest.approx(6.0)
    clock.now += 5.9
    assert not limiter.take("a")
    clock.now += 0.2
    assert limiter.retry_after("a") == 0.0
    assert limiter.take("a")
    assert not limiter.take("a")


def test_limiter_keeps_keys_apart() -> None:
    limiter = AttemptLimiter(burst=1, clock=Clock())
    assert limiter.take("a")
    assert limiter.take("b")
    assert not limiter.take("a")


def test_limiter_forgets_the_oldest_key_beyond_its_bound() -> None:
    limiter = AttemptLimiter(burst=1, keys=3, clock=Clock())
    for key in "abcd":
        limiter.take(key)
    assert len(limiter._buckets) == 3
    assert limiter.take("a")
    assert not limiter.take("d")


def test_limiter_survives_a_clock_that_goes_back() -> None:
    clock = Clock()
    limiter = AttemptLimiter(burst=1, interval=1.0, clock=clock)
    limiter.take("a")
    clock.now -= 3600
    assert limiter.retry_after("a") == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", [{"burst": 0}, {"interval": 0}, {"keys": 0}])
def test_limiter_refuses_senseless_settings(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        AttemptLimiter(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("client", "key"),
    [
        (None, "local"),
        (("127.0.0.1", 5), "127.0.0.1"),
        (("2001:db8:1:2:3::4", 5), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:ffff::4", 6), "2001:db8:1:2::/64"),
        (("testclient", 50000), "testclient"),
    ],
)
def test_peer_key_is_the_transports_peer(client: tuple[str, int] | None, key: str) -> None:
    assert peer_key(client) == key
