"""Server and browser write numbers, places and pools alike: both halves are asked the same."""

from typing import Any

import pytest

from greenscope.app.pages.filters import FORMATS
from greenscope.app.pages.slots import slot_bar

DURATIONS = [None, 0, -1, 1e-9, 1e-7, 4.2e-6, 9.994e-6, 9.996e-6, 3.4e-4, 9.99e-4, 9.995e-4, 0.0123, 0.0999, 0.5]
DURATIONS += [0.9994, 0.9996, 1, 4.2149, 9.994, 9.996, 42.04, 59.94, 59.96, 60, 61.2, 3599.4, 3599.6, 7512]
DURATIONS += [86399, 86400, 1e6, 1e8]
RATES = [None, 0, 0.04, 0.06, 0.3, 12.34, 99.94, 99.96, 1204.4, 1e6]
SHARES = [None, 0, 0.0002, 0.0051, 0.0312, 0.5, 0.874, 1]
PLACE = {"file": "/srv/a/b.py", "line": 31, "function": "get"}
SITES = [None, "x.py:1", PLACE, {"file": "", "line": 0, "function": ""}]
POOLS = [(0, 8, 0), (8, 8, 3), (3, None, None), (0, None, None), (45, 50, 20), (50, 50, 0), (9, 4, 1), (30, 48, 0)]
CASES = [("duration", DURATIONS), ("rate", RATES), ("percent", SHARES), ("place", SITES), ("fullplace", SITES)]


def ask(page: Any, module: str, function: str, arguments: list[Any]) -> Any:
    return page.evaluate(
        """async ([module, name, calls]) => {
            const script = document.querySelector('script[type=module]').src.replace('app.js', module);
            const all = await import(script);
            return calls.map((call) => all[name](...call));
        }""",
        [module, function, arguments],
    )


@pytest.mark.parametrize(("name", "values"), CASES)
def test_browser_writes_as_the_server_does(tab: Any, name: str, values: list[Any]) -> None:
    tab.open("/audit")
    assert ask(tab.page, "format.js", name, [[value] for value in values]) == [FORMATS[name](value) for value in values]


def test_axis_writes_large_numbers_short(tab: Any) -> None:
    tab.open("/")
    written = tab.page.evaluate(
        """async () => {
            const script = document.querySelector('script[type=module]').src.replace('app.js', 'format.js');
            const { compact, rate } = await import(script);
            return [0, 9_999, 10_000, 250_000, 1_250_000, 3e9].map((value) => compact(value, rate));
        }"""
    )
    assert written == ["0", "9,999", "10K", "250K", "1.25M", "3B"]


def test_browser_draws_a_pool_as_the_server_does(tab: Any) -> None:
    tab.open("/audit")
    bars = [slot_bar(*pool) for pool in POOLS]
    expected = [{"taken": bar.taken, "free": bar.free, "queue": bar.queue, "level": bar.level} for bar in bars]
    assert ask(tab.page, "slots.js", "slotBar", [list(pool) for pool in POOLS]) == expected
