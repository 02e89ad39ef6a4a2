from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from settee import ClosedError, Database, DatabaseInUseError
from settee.peer.attach import attach, runtime_of


def test_all_peers_of_a_database_share_one_runtime(tmp_path: Path) -> None:
    with Database("a", directory=tmp_path) as db:
        assert runtime_of(db) is runtime_of(db)
        assert attach(db).runtime is runtime_of(db)


def test_closing_the_database_ends_the_runtime_and_gives_the_lease_back(tmp_path: Path) -> None:
    with Database("a", directory=tmp_path) as first:
        runtime = runtime_of(first)
        with (
            Database("a", directory=tmp_path) as second,
            pytest.raises(DatabaseInUseError, match="process"),
        ):
            attach(second)
    with pytest.raises(ClosedError):
        runtime.wait(runtime.run_in(runtime.reader.submit, lambda: None))
    with Database("a", directory=tmp_path) as third:
        attach(third)
    with pytest.raises(ClosedError, match="open it again"):
        attach(third)


def test_threads_that_attach_at_once_share_one_runtime(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def attached(db: Database) -> object:
        together.wait()
        return runtime_of(db)

    with ThreadPoolExecutor(8) as pool:
        for number in range(5):
            with Database(f"a{number}", directory=tmp_path) as db:
                assert len(set(pool.map(attached, [db] * 8))) == 1


def test_a_database_that_is_closed_while_a_peer_attaches_keeps_no_thread_and_no_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen when a task was cancelled that had just begun to replicate."""
    before = threading.active_count()
    db = Database("a", directory=tmp_path)
    lease_sync = db._store.lease_sync

    def closed_meanwhile() -> object:
        release = lease_sync()
        monkeypatch.setattr(db, "_closed", True)
        return release

    monkeypatch.setattr(db._store, "lease_sync", closed_meanwhile)
    with pytest.raises(ClosedError):
        attach(db)
    with Database("a", directory=tmp_path) as other:
        attach(other)
    monkeypatch.undo()
    db.close()
    assert threading.active_count() == before
