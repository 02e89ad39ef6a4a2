"""Walks the newcomer's path as the pages show it, on a fresh clone, and times it.

    python3 tools/newcomer.py

Clones this repository into an empty directory, types the commands of docs/index.md ("Install") and
docs/quickstart.md ("Two devices for real") one after another, and puts in what a person would: the
address and the fingerprint that the listener shows. Ends with exit code 1 if the second device does
not hold what the first one saved. Needs git, a package index, and nothing that is installed here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

ROOT: Final = Path(__file__).resolve().parent.parent


def typed(page: str, heading: str) -> list[str]:
    """Return the commands that a section of a page shows."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    blocks = re.findall(r"^```console\n(.*?)^```", text.partition("\n## ")[0], re.DOTALL | re.M)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


class Walk:
    """A directory in which commands are typed, and how long they took."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = os.environ | {
            "PATH": f"{directory / 'settee' / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "XDG_DATA_HOME": str(directory / "data"),
            "SETTEE_PASSWORD": "a long password",
        }
        self.seconds: list[float] = []
        self.running: list[subprocess.Popen[str]] = []

    def type(self, command: str) -> str:
        """Run a command to its end; return what it wrote."""
        began_s = time.monotonic()
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        self._took(command, began_s)
        return ran.stdout

    def enter(self, folder: str) -> None:
        """Change the directory; the next commands are typed there."""
        self.directory /= folder
        self._took(f"cd {folder}", time.monotonic())

    def start(self, command: str, until: Sequence[str]) -> str:
        """Start a command; return what it wrote until all these words were there."""
        began_s = time.monotonic()
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        written = ""
        while not all(word in written for word in until):
            line = _open(process.stdout).readline()
            if not line:
                raise SystemExit(f"{command} ended before it said {until}:\n{written}")
            written += line
        self._took(command, began_s)
        return written

    def _took(self, command: str, began_s: float) -> None:
        self.seconds.append(time.monotonic() - began_s)
        print(f"{self.seconds[-1]:6.1f} s  {command}", flush=True)

    def end(self) -> None:
        """End what still runs."""
        for process in self.running:
            process.terminate()
            process.communicate(timeout=30)


def _open(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def walk(steps: Walk) -> bool:
    """Go the whole way; tell whether the second device has what the first one saved."""
    steps.type(f"git clone --quiet {ROOT} settee")
    steps.enter("settee")
    for command in typed("index.md", "Install"):
        steps.type(command)
    told = ""
    listed = ""
    for command in typed("quickstart.md", "Two devices for real"):
        if command.startswith("settee listen"):
            told = steps.start(command, ["wss://", "Fingerprint"])
        elif command.startswith("settee browse"):
            continue  # For whoever does not see the first device's screen.
        else:
            shown = re.search(r"wss://127\S+|wss://\S+", told)
            pin = re.search(r"Fingerprint\s+(\w+)", told)
            if shown is not None and pin is not None:
                command = re.sub(r"wss://\S+", shown[0], command)
                command = re.sub(r"--pin \S+", f"--pin {pin[1]}", command)
            listed = steps.type(command)
    return "apples" in listed


def main() -> int:
    """Walk, and say how many commands and seconds it took."""
    with tempfile.TemporaryDirectory() as directory:
        steps = Walk(Path(directory))
        try:
            arrived = walk(steps)
        finally:
            steps.end()
    print(f"{len(steps.seconds)} commands, {sum(steps.seconds):.0f} s")
    return 0 if arrived else 1


if __name__ == "__main__":
    sys.exit(main())
