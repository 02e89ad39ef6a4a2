"""Two processes on one database: what one writes the other one's sync sends, and one of them syncs.

Slow: each test starts processes of the command line.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from settee import Database, DatabaseInUseError, Replicator, URLEndpointListener

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to send"),
]

ARRIVAL_S_MAX = 1.0
ANYBODY_HERE = ["--anonymous", "--no-tls", "--host", "127.0.0.1"]


def _settee(directory: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "settee", *arguments],
        cwd=directory,
        env={**os.environ, "XDG_DATA_HOME": str(directory / "data")},
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )


class _Listening:
    """``settee listen`` beside us."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "settee", "listen", "kitchen", *ANYBODY_HERE, "--json"],
            cwd=directory,
            env={**os.environ, "XDG_DATA_HOME": str(directory / "data")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        begun: dict[str, Any] = json.loads(self._process.stdout.readline())
        self.url: str = begun["urls"][0]
        self.pid: int = self._process.pid

    def end(self) -> None:
        if self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=20)


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[_Listening]:
    found = _Listening(tmp_path)
    yield found
    found.end()


class _Arrivals:
    """When each document came to a database, by its ID."""

    def __init__(self, db: Database) -> None:
        self._queue: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
        self._changes = db.default_collection.changes(since=0)
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        for change in self._changes:
            now = time.time()
            for doc_id in change.document_ids:
                self._queue.put((doc_id, now))

    def of(self, doc_id: str) -> float:
        while True:
            found, at = self._queue.get(timeout=20)
            if found == doc_id:
                return at

    def close(self) -> None:
        self._changes.close()
        self._thread.join()


@pytest.mark.feature("DB-13", "CL-01")
def test_what_another_process_puts_arrives_at_the_other_peer_within_a_second(
    tmp_path: Path, listening: _Listening
) -> None:
    """Slow: measured from the commit of the third process, by the time in its revision."""
    with Database("van", directory=tmp_path) as van:
        arrivals = _Arrivals(van)
        replicator = Replicator(van, listening.url, continuous=True)
        try:
            replicator.start()
            assert replicator.wait_for("idle", 20)
            for number in range(3):
                put = _settee(tmp_path, "put", "kitchen", f"d{number}", json.dumps({"n": number}))
                assert put.returncode == 0, put.stderr
                arrived = arrivals.of(f"d{number}")
                assert arrived - _saved_at(tmp_path, f"d{number}") < ARRIVAL_S_MAX
                assert van.default_collection[f"d{number}"]["n"] == number
            assert _settee(tmp_path, "rm", "kitchen", "d1").returncode == 0
            arrivals.of("d1")
            assert sorted(van.default_collection) == ["d0", "d2"]
        finally:
            replicator.stop()
            arrivals.close()


def _saved_at(directory: Path, doc_id: str) -> float:
    """Return when a document was saved, seconds since 1970: its version's hybrid time."""
    with Database("kitchen", directory=directory) as db:
        store = db._store
        with store.reader() as reader:
            row = reader.row("SELECT vector FROM docs_1 WHERE id = ?", (doc_id,))
    assert row is not None
    return int(row[0].partition("@")[0], 16) / 1e9


@pytest.mark.feature("DB-13")
def test_what_comes_in_by_sync_is_seen_by_the_other_process(
    tmp_path: Path, listening: _Listening
) -> None:
    """Slow: the way back: a peer pushes to the listener, another process watches the database."""
    with Database("kitchen", directory=tmp_path) as kitchen:
        arrivals = _Arrivals(kitchen)
        try:
            with Database("van", directory=tmp_path) as van:
                van.default_collection["pushed"] = {"n": 1}
                result = van.replicate(listening.url, replicator_type="push")
                assert result.pushed == 1
                pushed_at = time.time()
            assert arrivals.of("pushed") - pushed_at < ARRIVAL_S_MAX
        finally:
            arrivals.close()


@pytest.mark.feature("DB-13")
def test_the_second_process_that_would_sync_is_told_which_one_does(
    tmp_path: Path, listening: _Listening
) -> None:
    """Slow: the listener's process has the lease; all but sync works in ours."""
    named = f"process {listening.pid} already runs sync"
    with Database("kitchen", directory=tmp_path) as kitchen:
        with pytest.raises(DatabaseInUseError, match=named):
            URLEndpointListener(kitchen, allow_anonymous=True, tls=False, host="127.0.0.1").start()
        with pytest.raises(DatabaseInUseError, match=named):
            kitchen.replicate("ws://127.0.0.1:9/van")
        kitchen.default_collection["a"] = {"n": 1}
        with pytest.raises(DatabaseInUseError, match="is open in process"):
            Database.delete(kitchen.path)
    said = _settee(tmp_path, "listen", "kitchen", *ANYBODY_HERE)
    assert said.returncode != 0
    assert named in said.stderr
    listening.end()
    with (
        Database("kitchen", directory=tmp_path) as kitchen,
        URLEndpointListener(kitchen, allow_anonymous=True, tls=False, host="127.0.0.1") as ours,
    ):
        assert ours.port


@pytest.mark.feature("MNT-01")
def test_compacting_beside_a_listener_takes_nothing_that_it_may_need(
    tmp_path: Path, listening: _Listening
) -> None:
    """Slow: a blob that a peer pushed lies there, young and maybe not yet named."""
    with Database("kitchen", directory=tmp_path) as kitchen:
        digest = kitchen._store.blobs.put(b"on its way")
        assert kitchen.compact().blobs_removed == 0
        assert kitchen._store.blobs.has(digest)
        listening.end()
        assert kitchen.compact().blobs_removed == 1
