"""Measure the same work on several runtimes, each time in a fresh process, in turns.

A machine that is busy for a while then hurts all of them alike, and no run inherits the heap, the caches or the free
lists of another. `compare()` returns the median per runtime.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]

#: makes the C library keep the memory that it was given: what a fresh page costs is the machine's, and differs by tens
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
#: seconds for one run of one work
RUN_SECONDS = 120


def measure(script: Path, *arguments: str) -> float:
    """Run `script` in a process of its own; returns the number that it prints. Raises RuntimeError when it fails."""
    return float(run(script, *arguments))


def run(script: Path, *arguments: str) -> str:
    """Run `script` in a process of its own; returns what it prints. Raises RuntimeError when it fails."""
    found = [str(ROOT / ".dev"), *(path for path in sys.path if path)]
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
        env={**os.environ, **KEEP_MEMORY, "PYTHONPATH": os.pathsep.join(found)},
    )
    if done.returncode:
        raise RuntimeError(f"{script.name} {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


def options(arguments: list[str] | None, what: str, works: Collection[str], rounds: int) -> tuple[list[str], int]:
    """Return the works that are asked for, all by default, and how many rounds; exits with words for anything else."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("work", nargs="*", help="only these; the names are those of the functions that do them")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"runs of each work (default: {rounds})")
    given = parser.parse_args(arguments)
    unknown = set(given.work) - set(works)
    if unknown:
        parser.error(f"no such work: {', '.join(sorted(unknown))}; there are: {', '.join(works)}")
    return given.work or list(works), given.rounds


def compare(script: Path, work: str, packages: Sequence[str], rounds: int) -> dict[str, float]:
    """Measure `work` on each package in turns, `rounds` times; returns the medians."""
    found: dict[str, list[float]] = {package: [] for package in packages}
    for _ in range(rounds):
        for package in packages:
            found[package].append(measure(script, package, work))
    return {package: median(values) for package, values in found.items()}
