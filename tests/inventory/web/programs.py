"""The real program, led through its pipes."""

from __future__ import annotations

import contextlib
import http.cookiejar
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PASSWORD = "a long secret"


class Program:
    """A device that is logged in, with what it tells and a client that has its cookie."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.ready = self.heard("ready")
        self.address: str = self.ready["address"]
        self.origin = self.address.partition("/?")[0]
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(jar)

    def heard(self, event: str) -> dict[str, Any]:
        """Return the next news of this kind."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            news: dict[str, Any] = json.loads(line)
            if news["event"] == event:
                return news
        raise AssertionError(f"it ended with {self.process.wait()} and never told of {event!r}")

    def order(self, do: str, **fields: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"number": 1, "do": do, **fields}) + "\n")
        self.process.stdin.flush()
        self.heard("done")

    def ask(
        self, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """Send a request; return status, body and headers of the answer."""
        url = path if path.startswith("http") else self.origin + path
        request = urllib.request.Request(url, body, headers)
        try:
            with self._opener.open(request, timeout=20) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), dict(error.headers)


@contextlib.contextmanager
def running(directory: Path, name: str = "Shop") -> Iterator[Program]:
    """Run a device until the end of the block; its end is that of its input."""
    # NiceGUI looks whether it is under test, and it is not.
    environment = {key: value for key, value in os.environ.items() if "PYTEST" not in key}
    process = subprocess.Popen(
        [
            sys.executable,
            *("-m", "settee_inventory", "--piped", "--loopback", "--port", "0"),
            *("--directory", str(directory)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdin is not None
    config = {"name": name, "icon": "warehouse", "colour": "teal", "user": "bob"}
    process.stdin.write(json.dumps({**config, "password": PASSWORD, "start": "sample"}) + "\n")
    process.stdin.flush()
    try:
        yield Program(process)
    finally:
        _, said = process.communicate(timeout=20)
        assert (process.returncode, said) == (0, "")
