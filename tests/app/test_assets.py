"""Static files from a fixed table."""

from pathlib import Path
from typing import Any

import pytest

from greenscope.app.assets import MIME_TYPES, STATIC, Assets, accepts_gzip, packaged_assets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "app.js").write_text("import './b.js'")
    (tmp_path / "app.css").write_text("a{}")
    (tmp_path / "secret.txt").write_text("no")
    (tmp_path / "lib.LICENSE").write_text("MIT")
    return tmp_path


def test_assets_are_those_with_a_known_type(folder: Path) -> None:
    assets = Assets(folder)
    assert list(assets) == ["app.css", "js/app.js"]
    assert assets.url("js/app.js") == f"static/{assets.version}/js/app.js"
    with pytest.raises(KeyError, match="no static file"):
        assets.url("secret.txt")


def test_version_is_that_of_the_whole_set(folder: Path) -> None:
    before = Assets(folder).version
    assert Assets(folder).version == before
    (folder / "app.css").write_text("b{}")
    changed = Assets(folder).version
    assert changed != before
    (folder / "app.css").rename(folder / "b.css")
    assert Assets(folder).version not in (before, changed)


def test_packaged_assets_hold_scripts_and_styles() -> None:
    names = list(packaged_assets())
    assert any(name.endswith(".css") for name in names)
    assert any(name.endswith(".js") for name in names)


def test_every_asset_is_served_immutable_with_its_type(board: Any) -> None:
    del board.client.headers["authorization"]
    for name in packaged_assets():
        answer = board.client.get("/" + packaged_assets().url(name))
        assert answer.status_code == 200
        assert answer.content == (STATIC / name).read_bytes()
        assert answer.headers["content-type"] == MIME_TYPES[Path(name).suffix]
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_stale_version_gets_the_present_file_uncached(board: Any) -> None:
    name = next(iter(packaged_assets()))
    answer = board.client.get(f"/static/0123456789abcdef/{name}")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


@pytest.mark.parametrize(
    "path",
    ["..%2fpyproject.toml", "%2e%2e/%2e%2e/pyproject.toml", "..%5cx", "%00", "%2fetc%2fpasswd", "/etc/passwd",
     "x/%00.css", "x/..%2f..%2fapp%2fguard.py", "x//etc/passwd", "x/.", "x/../../app/guard.py", "x/vendor/../app.css",
     "x/", "x"],
)  # fmt: skip
def test_nothing_else_is_behind_static(board: Any, path: str) -> None:
    answer = board.client.get(f"/static/{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"


def test_ranges_are_not_answered_in_parts(board: Any) -> None:
    name = packaged_assets().url(next(iter(packaged_assets())))
    answer = board.client.get(f"/{name}", headers={"range": "bytes=0-1,1-2," + ",".join("0-1" for _ in range(500))})
    assert answer.status_code == 200
    assert "content-range" not in answer.headers


@pytest.mark.parametrize(
    ("header", "accepted"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("GZIP", True), ("gzip;q=0", False), ("gzip; q=0.000", False),
     ("gzip;q=0.001", True), ("", False), ("identity", False), ("x-gzip2", False)],
)  # fmt: skip
def test_gzip_is_sent_to_who_accepts_it(board: Any, header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
    name = max(packaged_assets(), key=lambda name: (STATIC / name).stat().st_size)
    answer = board.client.get("/" + packaged_assets().url(name), headers={"accept-encoding": header})
    assert answer.headers.get("content-encoding", "") == ("gzip" if accepted else "")
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.content == (STATIC / name).read_bytes()
    if accepted:
        assert int(answer.headers["content-length"]) < (STATIC / name).stat().st_size / 2
