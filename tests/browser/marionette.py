"""Firefox as Debian ships it, driven over Marionette, the protocol beneath geckodriver: no driver to install.

A message is its length in ASCII, a colon, and JSON: `[0, id, command, parameters]` there,
`[1, id, error, result]` back.
"""

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

#: seconds for Firefox to come up, and for one command
START, PATIENCE = 40.0, 20.0


class Firefox:
    """One headless Firefox with one window."""

    def __init__(self, executable: str, profile: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (profile / "user.js").write_text(
            f'user_pref("marionette.port", {port});\nuser_pref("browser.shell.checkDefaultBrowser", false);\n'
            'user_pref("datareporting.policy.dataSubmissionEnabled", false);\nuser_pref("app.update.enabled", false);\n'
        )
        command = [executable, "--headless", "--no-remote", "--marionette", "--profile", str(profile), "about:blank"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._socket = self._connect(port)
        self._reader = self._socket.makefile("rb")
        self._id = 0
        self._read()
        self.ask("WebDriver:NewSession", capabilities={})

    def _connect(self, port: int) -> socket.socket:
        deadline = time.monotonic() + START
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), PATIENCE)
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.close()
                    raise
                time.sleep(0.1)

    def _read(self) -> Any:
        length = bytearray()
        while (byte := self._reader.read(1)) != b":":
            if not byte:
                raise EOFError("Firefox has gone")
            length += byte
        return json.loads(self._reader.read(int(length)))

    def ask(self, command: str, **parameters: Any) -> Any:
        """Run one WebDriver command and return its result; raises RuntimeError with Firefox's words."""
        self._id += 1
        data = json.dumps([0, self._id, command, parameters]).encode()
        self._socket.sendall(b"%d:%b" % (len(data), data))
        _, _, error, result = self._read()
        if error:
            raise RuntimeError(f"{command}: {error['error']}: {error['message']}")
        return result

    def open(self, url: str) -> None:
        """Navigate; returns when the page has loaded."""
        self.ask("WebDriver:Navigate", url=url)

    def run(self, script: str) -> Any:
        """Return what an expression is in the page."""
        return self.ask("WebDriver:ExecuteScript", script=f"return ({script})", args=[])["value"]

    def wait(self, condition: str, seconds: float = PATIENCE) -> None:
        """Wait until an expression is true in the page."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self.run(condition):
                    return
            except RuntimeError:
                pass  # the page is just being replaced
            if time.monotonic() > deadline:
                raise TimeoutError(condition)
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """Click as a person does: the element must be visible and uncovered."""
        self.wait(f"!!document.querySelector({json.dumps(selector)})")
        found = self.ask("WebDriver:FindElement", using="css selector", value=selector)
        self.ask("WebDriver:ElementClick", id=next(iter(found["value"].values())))

    def type(self, selector: str, text: str) -> None:
        """Type into a field."""
        found = self.ask("WebDriver:FindElement", using="css selector", value=selector)
        self.ask("WebDriver:ElementSendKeys", id=next(iter(found["value"].values())), text=text)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        for part in ("_reader", "_socket"):
            if hasattr(self, part):
                getattr(self, part).close()
