"""Mistakes of storage that others made: whatever else is going on, a write is done or told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from settee import Blob, Database


@pytest.mark.regression("database is locked")
def test_compacting_and_writing_from_two_handles_at_once_all_succeed(tmp_path: Path) -> None:
    """Two threads on each of two handles write, while both handles compact in turn."""
    errors: list[BaseException] = []
    done = threading.Event()

    def doing(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as exc:
            errors.append(exc)

    with (
        Database("both", directory=tmp_path, durability="memory") as one,
        Database("both", directory=tmp_path, durability="memory") as two,
    ):

        def write(db: Database, name: str) -> None:
            for n in range(40):
                content = Blob.from_bytes(f"{name} {n}".encode(), "text/plain")
                db.default_collection[f"{name}-{n}"] = {"n": n, "blob": content}
                if n % 4 == 3:
                    db.default_collection.delete(f"{name}-{n - 1}")

        def compact() -> None:
            while not done.is_set():
                for db in (one, two):
                    db.compact()

        writers = [
            threading.Thread(target=doing, args=[lambda db=db, name=name: write(db, name)])
            for db, name in ((one, "a"), (one, "b"), (two, "c"), (two, "d"))
        ]
        compacting = threading.Thread(target=doing, args=[compact])
        for thread in (*writers, compacting):
            thread.start()
        for thread in writers:
            thread.join()
        done.set()
        compacting.join()
        assert errors == []
        assert one.default_collection.count() == 4 * 30
        for document in two.default_collection.documents():
            name, _, n = document.id.partition("-")
            assert document["blob"].read() == f"{name} {n}".encode()
