from __future__ import annotations

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
