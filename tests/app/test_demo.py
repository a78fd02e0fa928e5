"""The demo's work: what it finds in odd folders, and how it says so."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenscope.app.demo import Survey
from greenscope.app.demo.digest import DigestRecord
from greenscope.app.demo.survey import plain_files
from greenscope.app.demo.tally import Tally
from greenscope.runtime import get_hub, kill, spawn


@pytest.fixture
def survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Survey]:
    monkeypatch.setattr("random.uniform", lambda low, high: 0.0)
    survey = Survey(str(tmp_path))
    yield survey
    survey.service.close()
    assert get_hub().join(timeout=5), "nobody is left who would end in another test"


def test_tally_of_an_empty_folder_says_only_that() -> None:
    assert Tally("/tree").text(1.25) == "no files under /tree in 1.2 s"


def test_tally_counts_in_words_that_fit() -> None:
    tally = Tally("/tree", files=2, parsed=1, functions=1, odd=4, questions=1)
    tally.kinds.update([".py", "without suffix"])
    tally.add(DigestRecord("a.py", 5_000_000, "", 300_000))
    tally.add(DigestRecord("b", 10, "", 18))
    tally.odd_failures.update(["EOFError"])
    assert tally.text(3.0) == (
        "2 files under /tree in 3.0 s (1 .py, 1 without suffix)\n"
        "  5.0 MB, which compress to 29 %; 1 function in 1 parsed file; 1 question answered; all could be read; "
        "of the demo's own 4 odd files 1 could not be read (1 EOFError)"
    )


def test_tally_of_a_tiny_file_promises_no_saving() -> None:
    tally = Tally("/tree", files=1)
    tally.kinds.update([".a", ".b", ".b", ".c", ".d", ".e", ".f"])
    tally.add(DigestRecord("x", 1, "", 9))
    tally.fail(PermissionError("x"))
    assert tally.text(0.0) == (
        "1 file under /tree in 0.0 s (2 .b, 1 .a, 1 .c, 1 .d and 2 other kinds)\n"
        "  1 byte, which compressing makes no smaller; failed: 1 PermissionError"
    )


def test_plain_files_leaves_out_links_and_pipes_and_tells_unreadable_folders(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "self").symlink_to(".")
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    errors: list[OSError] = []
    assert list(plain_files(str(tmp_path), errors.append)) == [str(tmp_path / "file")]
    assert list(plain_files(str(tmp_path / "gone"), errors.append)) == []
    assert [type(error) for error in errors] == [FileNotFoundError]


def test_pass_tells_what_it_found_and_starts_anew(
    survey: Survey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.py").write_text("def f(): pass\n")
    first = survey.run_pass()
    assert first.startswith(f"1 file under {tmp_path} in ")
    assert "(1 .py)\n  14 bytes, which compressing makes no smaller; 1 function in 1 parsed file; all could" in first
    (tmp_path / "good.py").write_text("def f(:\n")
    second = survey.run_pass()
    assert "failed: 1 SyntaxError; of the demo's own 4 odd files " in second
    assert "SyntaxError: SyntaxError" not in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["walk", "sort", "collect"])
def test_pass_whose_stage_is_killed_is_given_up(survey: Survey, stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    def kill_stage() -> None:
        kill(next(one for one in survey.stages if one.name == stage))

    spawn(kill_stage)
    assert f"; given up, as '{stage}' ended too early" in survey.run_pass()
    assert survey.stages.join(timeout=5)
