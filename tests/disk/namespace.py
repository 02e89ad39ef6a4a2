"""Runs a scenario of this folder in a process that sees a file system of its own.

``unshare`` gives the process a mount namespace (as root, or as anybody where user namespaces are
allowed); in it a small tmpfs is mounted over a directory. Nothing of it is seen outside, and it is
gone with the process. Where no namespace may be made (some containers), `Limited` stands in for a
full disk: no file may grow any more (``RLIMIT_FSIZE``); the output says so.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_BOUND = 'mount --bind "$PLACE/{0}" "$PLACE/{0}" && mount -o remount,ro,bind "$PLACE/{0}"'
_READ_ONLY = {"mount": "", "directory": "app.settee", "file": "app.settee/db.sqlite3"}

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT_S = 120


@functools.cache
def unshare() -> tuple[str, ...]:
    """Return the command that gives a process mounts of its own; empty if it isn't allowed."""
    program = shutil.which("unshare")
    if program is None:
        return ()
    probe = "mount -t tmpfs -o size=1m settee /mnt && mount -o remount,ro /mnt"
    for options in (("-m",), ("-Urm",)):
        tried = subprocess.run(
            [program, *options, "sh", "-c", probe], capture_output=True, check=False
        )
        if tried.returncode == 0:
            return (program, *options)
    return ()


def run(module: str, *arguments: str, mount: str, place: Path) -> dict[str, Any]:
    """Run ``python -m tests.disk.MODULE PLACE …`` after `mount`, a shell command; return its JSON.

    In `mount`, ``$PLACE`` is the directory. With an empty `mount` nothing is mounted.
    """
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", f"tests.disk.{module}"]
    command += [str(place), *arguments]
    if mount:
        shell = f'{mount} && exec "$@"'
        command = [*unshare(), "sh", "-e", "-c", shell, "sh", *command]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PLACE": str(place)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{module}: exit code {done.returncode}\n{done.stderr[-6000:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_read_only(kind: str, place: Path) -> dict[str, Any]:
    """Run ``readonly use`` where a ``mount``, ``directory`` or ``file`` can't be written."""
    target = _READ_ONLY[kind]
    mount = _BOUND.format(target)
    if not unshare():
        print("no mount namespace may be made here: file modes stand in for read-only mounts")
        assert os.geteuid() != 0, "root without mount namespaces can make no read-only place"
        mount = ""
        path = place / target
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        return run("readonly", "use", mount=mount, place=place)
    finally:
        if not mount:
            path.chmod(0o755 if path.is_dir() else 0o644)
