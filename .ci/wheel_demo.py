"""Run the installed `greenscope demo` from this folder, ask it for its greenlets, end it; every wait has a bound.

    python wheel_demo.py PATH_OF_GREENSCOPE

It is ended by SIGTERM, not SIGINT: what a shell has put into the background ignores that, and so do its children.
"""

import http.client
import json
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

#: seconds for the demo to be up, and to end
PATIENCE = 30
#: the exit status of a program that SIGTERM has ended
TERMINATED = 143


def ask_total(url: str) -> int:
    """Return how many greenlets the dashboard at an address shows; raises OSError and AssertionError."""
    parts = urllib.parse.urlsplit(url)
    token = urllib.parse.unquote(parts.fragment.partition("token=")[2])
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    connection.request("GET", "/api/greenlets", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    return int(json.load(answer)["total"])


def main(command: str) -> None:
    """Run it; raises AssertionError or TimeoutExpired when something is not as it should be."""
    deadline = time.monotonic() + PATIENCE
    file = Path("url")
    with subprocess.Popen([command, "demo", "--port", "0", "--url-file", str(file)]) as demo:
        try:
            while not file.exists():
                assert demo.poll() is None, f"the demo ended with {demo.returncode}"
                assert time.monotonic() < deadline, "the demo wrote no address"
                time.sleep(0.05)
            while (total := ask_total(file.read_text().strip())) <= 5:
                assert time.monotonic() < deadline, f"the demo shows {total} greenlets only"
                time.sleep(0.1)
            demo.terminate()
            status = demo.wait(PATIENCE)
            assert status == TERMINATED, f"the demo ended with {status}"
        finally:
            demo.kill()
    print("the installed wheel's demo showed", total, "greenlets, and ended when it was told to")


main(sys.argv[1])
