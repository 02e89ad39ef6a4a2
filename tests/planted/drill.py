"""Plants bugs in copies of the source, one at a time, and runs what must find each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.planted.bugs import BUGS, Bug
from tests.planted.launch import ELSEWHERE

__all__ = [
    "ROOT",
    "DrillError",
    "Ran",
    "copy_source",
    "find",
    "live",
    "patch_of",
    "plant",
    "run",
    "why_missed",
]

ROOT: Final = Path(__file__).resolve().parent.parent.parent
_PATCHES: Final = Path(__file__).parent
_PATIENCE_S: Final = 120.0
"""A command takes a few seconds. One that runs for so long has found nothing."""

_BROKEN: Final = re.compile(
    r"\b(SyntaxError|IndentationError|ImportError|ModuleNotFoundError|NameError|"
    r"UnboundLocalError|AttributeError|fixture '\w+' not found|errors? during collection)\b"
)
"""What shows that the copy does not even run; then it is not the planted bug that was found."""


class DrillError(Exception):
    """The drill can't be done: a patch does not apply, or the wrong source was imported."""


class Ran(NamedTuple):
    """What became of a command."""

    code: int
    output: str
    took_s: float


def patch_of(name: str) -> Path:
    """Return where the patch of a bug lies."""
    return _PATCHES / f"{name}.patch"


def copy_source(folder: Path) -> None:
    """Copy the source into a folder; what is compiled of it stays valid."""
    shutil.copytree(ROOT / "src", folder / "src")


def plant(name: str, folder: Path) -> None:
    """Apply the patch of a bug to a copy of the source. Raises DrillError if it does not fit."""
    applied = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", str(patch_of(name))],
        cwd=folder,
        # A folder inside a repository would have git apply the patch to that, or to nothing.
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent), "GIT_DIR": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    if applied.returncode:
        raise DrillError(
            f"{name} does not apply to the source any more; make its patch anew: {applied.stderr}"
        )
    changed = re.findall(r"^\+\+\+ b/(\S+)", patch_of(name).read_text(encoding="utf-8"), re.M)
    if not changed or any(
        (ROOT / path).read_bytes() == (folder / path).read_bytes() for path in changed
    ):
        raise DrillError(f"{name} changed nothing")


def run(command: Sequence[str], folder: Path, patience_s: float = _PATIENCE_S) -> Ran:
    """Run a module with arguments against the source in `folder`. Raises DrillError."""
    source = folder / "src"
    environment = {name: v for name, v in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(source), str(ROOT)])
    environment["PYTHONHASHSEED"] = (
        "0"  # As the simulation wants it; else it would start itself anew.
    )
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.planted.launch", str(source), *command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise DrillError(f"{' '.join(command)} did not end in {patience_s:.0f} s") from exc
    if done.returncode == ELSEWHERE:
        raise DrillError(done.stdout)
    return Ran(done.returncode, done.stdout + done.stderr, time.monotonic() - began)


def why_missed(bug: Bug, ran: Ran) -> str:
    """Return why a bug does not count as found; "" if it does."""
    if ran.code == 0:
        return "everything stayed green"
    if ran.code != 1:
        return f"the command could not be run: exit code {ran.code}"
    if _BROKEN.search(ran.output):
        return "the copy does not even run"
    lacking = [text for text in bug.shown if text not in ran.output]
    return f"it failed, but shows nothing of {lacking}" if lacking else ""


def find(name: str, folder: Path) -> tuple[str, Ran]:
    """Plant a bug in a copy, in an empty folder, and look for it; return `why_missed` and all."""
    bug = BUGS[name]
    copy_source(folder)
    plant(name, folder)
    ran = run(bug.command, folder)
    return why_missed(bug, ran), ran


def live(name: str, folder: Path, lives: int, workers: int) -> Ran:
    """Plant a bug as `find` does, and let so many fleets live with it: which notice it?"""
    copy_source(folder)
    plant(name, folder)
    command = ("tests.simulation", "--seeds", str(lives), "--workers", str(workers))
    return run(command, folder, patience_s=60.0 + 30.0 * lives)
