"""Run every benchmark, one after the other: `python -m tests.benchmarks [NAME ...]`, for `make bench`.

A benchmark is a file bench_<name>.py that prints its table when it is run.
"""

import subprocess
import sys
from pathlib import Path


def main(names: list[str]) -> int:
    """Run the benchmarks named, all by default; returns 1 when one of them did."""
    here = Path(__file__).resolve().parent
    failed = 0
    for script in sorted(here.glob("bench_*.py")):
        name = script.stem.removeprefix("bench_")
        if not names or name in names:
            print(f"\n== {name}", flush=True)
            failed |= subprocess.run([sys.executable, str(script)], check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
