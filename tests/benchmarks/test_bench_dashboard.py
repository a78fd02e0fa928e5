"""The benchmark of the dashboard works, small; and what it says of many readers holds in the suite, too."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import bench_dashboard  # noqa: E402


@pytest.fixture
def server() -> Iterator[bench_dashboard.Server]:
    server = bench_dashboard.Server(300)
    yield server
    server.close()


@pytest.fixture
def table() -> bench_dashboard.Table:
    return bench_dashboard.Table()


def test_many_readers_leave_a_plain_request_its_time_and_miss_nothing(
    server: bench_dashboard.Server, table: bench_dashboard.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):  # others use this machine, too
        table.failed = False
        bench_dashboard.bench_streams(server, table, 1_000, seconds=6)
        if not table.failed:
            break
    assert not table.failed, capsys.readouterr().out
    assert "1,000 streams: a plain request" in capsys.readouterr().out


def test_burst_is_counted_and_right_afterwards(
    server: bench_dashboard.Server, table: bench_dashboard.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    bench_dashboard.bench_burst(server, table, 0)
    told = capsys.readouterr().out
    assert not table.failed, told
    assert "dropped and counted                          0 " not in told, "the burst fitted the buffer: it was none"


def test_every_page_is_measured(
    server: bench_dashboard.Server, table: bench_dashboard.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    bench_dashboard.bench_pages(server, table, 0)
    told = capsys.readouterr().out
    assert not table.failed, told
    assert {"page /", "page /greenlets", "page /greenlets/ID"} <= {line[:40].strip() for line in told.splitlines()}


def test_table_remembers_a_bound_that_is_not_kept(
    table: bench_dashboard.Table, capsys: pytest.CaptureFixture[str]
) -> None:
    table.row("kept", "1", 1.0, 2.0)
    assert not table.failed
    table.row("missed", "3", 3.0, 2.0)
    assert table.failed
    assert "NOT KEPT" in capsys.readouterr().out.splitlines()[1]


def test_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench_dashboard.main(["nothing_like_it"])
    assert "there are: table" in capsys.readouterr().err
