"""The benchmarks themselves work: each does its work once, small."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import bench_growth  # noqa: E402
import bench_probe  # noqa: E402
import bench_runtime  # noqa: E402
import growth_work  # noqa: E402
import peers  # noqa: E402
import quiet  # noqa: E402
import runtime_work  # noqa: E402

from greenscope import runtime  # noqa: E402


@pytest.mark.parametrize("work", runtime_work.WORKS)
def test_work_is_done_once_small(work: str) -> None:
    assert runtime_work.WORKS[work](runtime, 200) > -1e6  # memory may shrink; what counts is that it ends


@pytest.mark.parametrize("work", growth_work.WORKS)
def test_work_of_many_is_done_once_small(work: str) -> None:
    assert growth_work.WORKS[work](runtime, 50) > 0.0


def test_growth_that_is_not_kept_is_told() -> None:
    growth = bench_growth.Growth
    assert bench_growth.fault(growth(1.0, 3.9), growth(2.0, 4.0)) == ""
    assert bench_growth.fault(growth(1.0, 5.0), growth(2.0, 4.0)) == "1.25x of gevent's"
    assert bench_growth.fault(growth(1.0, 5.0), growth(2.0, 7.0)) == "grows 5.0 times"
    assert bench_growth.fault(growth(1.0, 5.0), growth(2.0, 12.0)) == "", "gevent's grows more"


def test_rounds_count_that_were_done_while_the_machine_was_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    paces = iter([1.0, 1.1, 1.0, 1.7, 1.6, 1.0, 1.0, 1.0])
    monkeypatch.setattr(quiet, "pace", lambda: next(paces))
    figures = iter([10.0, 20.0, 30.0, 11.0])
    rounds = quiet.Rounds(best=2.0)
    for _ in range(4):
        rounds.measure(lambda: next(figures))
    assert rounds.quiet() == [10.0, 11.0]
    assert rounds.all() == [10.0, 20.0, 30.0, 11.0]


def test_bound_of_watching_is_as_wide_as_the_machine_is_slow() -> None:
    row = bench_probe.Row("work", "hooks", "text", most=1.0)
    assert row.fault(3.0, 4.0, 1.0, 0.5) == ""
    assert row.fault(3.0, 4.2, 1.3, 0.5) == "at this pace"
    assert row.fault(3.0, 4.4, 1.3, 0.5) == "NOT KEPT"
    assert row.fault(3.0, 4.6, 1.3, 1.4) == "below the floor"
    assert bench_probe.Row("work", "page", "text", least=0.97).fault(100.0, 104.0, 2.0, 0.0) == "NOT KEPT"
    assert bench_probe.Row("work", "page", "text", gap=5.0).fault(1.0, 5.5, 2.0, 0.0) == "NOT KEPT"


def test_rows_and_works_are_the_same() -> None:
    assert [row.work for row in bench_runtime.ROWS] == list(runtime_work.WORKS)


def test_bound_that_is_not_kept_is_told() -> None:
    row = bench_runtime.Row("work", "text", 0.5)
    assert bench_runtime.fault(row, 1.0, 4.0) == ""
    assert bench_runtime.fault(row, 3.0, 4.0) == "over 0.50x"
    assert bench_runtime.fault(bench_runtime.Row("work", "text", None, "B", 1024), 2000, 1) == "over 1024 B"


def test_failing_work_tells_why() -> None:
    with pytest.raises(RuntimeError, match="nothing_like_it"):
        peers.measure(bench_runtime.SCRIPT, "greenscope.runtime", "nothing_like_it")


def test_unknown_work_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench_runtime.main(["nothing_like_it"])
    assert "there are: spawn_all" in capsys.readouterr().err
