"""Check that a wheel holds every file of the package, and nothing else."""

import subprocess
import sys
import zipfile


def main(wheel: str, root: str) -> None:
    """Compare the wheel's files with what git tracks; exits with a message when they differ."""
    tracked = subprocess.run(["git", "-C", root, "ls-files"], check=True, capture_output=True, text=True).stdout.split()
    wanted = {
        f"greenscope/{path}" for path in tracked if path.split("/")[0] in ("app", "runtime", "templates", "static")
    }
    wanted |= {
        f"greenscope/{path.removeprefix('.dev/greenscope/')}"
        for path in tracked
        if path.startswith(".dev/greenscope/") and path.endswith((".py", ".typed"))
    }
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
    if missing := sorted(wanted - found):
        sys.exit(f"the wheel lacks {missing}")
    if extra := sorted(found - wanted):
        sys.exit(f"the wheel holds what is not tracked: {extra}")
    print(f"the wheel holds all {len(found)} files")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
