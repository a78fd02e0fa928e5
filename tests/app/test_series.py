"""Rates are growth per second, charts are columns of bounded length."""

from greenscope.app.series import Meter, Series


def test_meter_tells_growth_per_second() -> None:
    meter = Meter(("spawned", "failed"))
    for tick in range(61):
        meter.totals["spawned"] = 5 * tick if tick <= 40 else 200
        meter.mark(tick * 0.25)
    assert meter.rates(1.0) == {"spawned": 0.0, "failed": 0.0}
    assert meter.rates(10.0)["spawned"] == 10.0


def test_meter_needs_two_marks() -> None:
    meter = Meter(("spawned",))
    assert meter.rates(1.0) == {"spawned": 0.0}
    meter.mark(0.0)
    assert meter.rates(1.0) == {"spawned": 0.0}


def test_series_keeps_the_last_points_as_columns() -> None:
    series = Series(("live", "lag"), 3)
    for second in range(5):
        series.add(float(second), {"live": second * 10})
    assert series.data() == {"t": [2.0, 3.0, 4.0], "live": [20, 30, 40], "lag": [None, None, None]}
    assert series.data(3.0)["t"] == [4.0]
    assert series.newest() == {"t": 4.0, "live": 40, "lag": None}
    assert Series(("live",), 3).newest() is None
