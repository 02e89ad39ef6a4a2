"""The server, from its start to its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# A real process with NiceGUI in it takes two seconds to start.
pytestmark = pytest.mark.slow


@pytest.mark.skipif(os.name == "nt", reason="signals are of POSIX")
def test_it_prints_an_address_on_loopback_and_ends_quietly(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if "PYTEST" not in key}
    process = subprocess.Popen(
        [sys.executable, "-m", "settee_inventory", "--port", "0", "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert re.fullmatch(
        r"The inventory of this device: http://127\.0\.0\.1:\d+/\?token=\S+\n", line
    )
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=20)
    assert (out, errors) == ("", "")
    assert process.returncode == 0
    # Everything lies in its directory, and nobody else may read what is secret.
    assert not (tmp_path / ".nicegui").exists()
    for name in ("token.json", "cookie.json"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
