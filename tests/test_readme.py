"""The README is held to the truth: its programs run, its commands parse, its options exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from greenscope.app.cli import build_parser, split_program

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


PROGRAMS = blocks("python")
COMMANDS = [
    line.removeprefix("$ ").partition("  #")[0].strip()
    for block in blocks("console")
    for line in block.splitlines()
    if line.startswith("$ ")
]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_program_of_the_readme_runs_and_prints_what_it_says(program: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=30, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    for said in re.findall(r"print\(.*\)  # (\[.*\])$", program, re.MULTILINE):
        assert said in result.stdout


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("greenscope ")])
def test_command_of_the_readme_is_understood(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in shlex.split(command)[1:] if not word.startswith("[")]
    own, rest = split_program([word for word in words if not word.endswith("]")])
    if own == ["--version"]:
        with pytest.raises(SystemExit, match="0"):
            build_parser().parse_args(own)
        assert "greenscope" in capsys.readouterr().out
        return
    assert build_parser().parse_args(own).command in ("run", "demo", "serve")
    assert rest in ([], ["--depth", "3"])


def test_options_of_the_readme_are_those_of_the_command_line() -> None:
    table = set(re.findall(r"`(--[a-z-]+)", README[README.index("| option |") : README.index("## Safe")]))
    actions = build_parser()._subparsers._group_actions[0].choices["run"]._actions  # type: ignore[union-attr,index]
    offered = {option for action in actions for option in action.option_strings if option.startswith("--")}
    assert table == offered - {"--help"}


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in COMMANDS:
        if command.startswith("make "):
            assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE), command


def test_pictures_of_the_readme_exist() -> None:
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).read_bytes().startswith(b"\x89PNG"), picture
