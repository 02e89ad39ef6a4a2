"""``kill -9`` of either peer in the middle of a sync of 2,000 documents with pictures.

Slow: each moment starts four processes and moves 2,000 documents with full durability.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from settee import Database
from tests.crash.peers import COLLECTION, DOCUMENTS, picture, seed

pytestmark = pytest.mark.slow

MOMENTS = [0.05, 0.25, 0.5, 0.75, 0.95]
"""Shares of the documents that the passive peer lacks, stored when the victim is killed."""


class Child:
    """A peer in a process of its own."""

    def __init__(self, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.peers", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def lines(self) -> Iterator[list[Any]]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):  # The last one of a killed process may be half a line.
                yield json.loads(line)

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        code = self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("seeded")
    for name in ("active", "passive"):
        seed(directory, name)
    return directory


def contents(directory: Path, name: str) -> dict[str, tuple[int, bytes]]:
    with Database(name, directory=directory) as db:
        return {
            document.id: (document["n"], document["image"].read())
            for document in db.collection(COLLECTION).documents()
        }


def temporary_files(directory: Path) -> list[str]:
    """Return what a database directory holds beside its database, blobs and locks."""
    return sorted(
        str(path.relative_to(directory))
        for name in ("active", "passive")
        for path in (directory / f"{name}.settee").rglob("*")
        if path.is_file() and "staging" in path.parts
    )


@pytest.mark.feature("DB-03")
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("victim", ["passive", "active"])
def test_a_peer_that_is_killed_loses_nothing_acknowledged_and_both_end_equal(
    seeded: Path, tmp_path: Path, victim: str, moment: float
) -> None:
    for name in ("active", "passive"):
        shutil.copytree(seeded / f"{name}.settee", tmp_path / f"{name}.settee")
    half = DOCUMENTS // 2
    passive = Child("listen", tmp_path)
    told = passive.lines()
    _, url, pin = next(told)
    active = Child("sync", tmp_path, url, pin)
    for kind, count in told:
        if kind == "count" and count >= half + moment * half:
            break
    if victim == "passive":
        passive.kill()
        acknowledged = [d for kind, *v in active.lines() if kind == "pushed" for d in v[0]]
        active.wait()
    else:
        active.kill()
        acknowledged = []
        passive.wait()
    # Whoever was killed has all that it had acknowledged, pictures included.
    there = contents(tmp_path, "passive")
    for doc_id in acknowledged:
        n = int(doc_id.partition("::")[2])
        assert there[doc_id] == (n, picture(n))
    contents(tmp_path, victim)  # Whoever opens it next clears away what the dead left half done.
    assert temporary_files(tmp_path) == []

    passive = Child("listen", tmp_path)
    _, url, pin = next(passive.lines())
    active = Child("sync", tmp_path, url, pin)
    done = [line for line in active.lines() if line[0] == "done"]
    assert active.wait() == 0
    assert passive.wait() == 0
    assert done[0][3] == ""
    expected = {f"item::{n}": (n, picture(n)) for n in range(DOCUMENTS)}
    assert contents(tmp_path, "passive") == expected
    assert contents(tmp_path, "active") == expected
    assert temporary_files(tmp_path) == []
    # What was stored before is not sent again, but for a batch whose answer was lost.
    assert done[0][1] <= half - len(acknowledged)
