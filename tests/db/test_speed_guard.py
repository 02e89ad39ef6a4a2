"""What keeps the embedded database near bare SQLite: the number of statements, and CPU beside it.

`benchmarks.local` has the figures; these fail when somebody puts per document what was per batch.
Statements are counted, so that a busy machine can't turn them red; the one test of time compares
CPU seconds of the same process, with twice the room that the benchmark promises.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.local import BareApsw, bodies
from settee import Database
from settee.store.connection import Reader
from tests.db.conftest import Opener

COUNT = 2000


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that any connection of the store runs, in order."""
    seen: list[str] = []
    rows, run = Reader.rows, Reader.run

    def seen_rows(self: Reader, sql: str, bindings: tuple[object, ...] = ()) -> object:
        seen.append(sql)
        return rows(self, sql, bindings)

    def seen_run(self: Reader, sql: str, bindings: tuple[object, ...] = ()) -> None:
        seen.append(sql)
        run(self, sql, bindings)

    monkeypatch.setattr(Reader, "rows", seen_rows)
    monkeypatch.setattr(Reader, "run", seen_run)
    return seen


@pytest.mark.feature("DOC-28")
def test_saving_many_costs_few_statements(open_inline: Opener, statements: list[str]) -> None:
    items = open_inline("guard").default_collection
    statements.clear()
    items.save_many(bodies(COUNT, 200))
    assert len(statements) <= COUNT / 50 + 2 * 12  # A statement for 50 rows, and two commits.
    statements.clear()
    items.save_many(bodies(COUNT, 200))
    assert len(statements) <= COUNT / 50 + 2 * 14


def test_getting_by_id_is_one_statement(open_inline: Opener, statements: list[str]) -> None:
    items = open_inline("guard").default_collection
    items["a"] = {"n": 1}
    statements.clear()
    assert items["a"]["n"] == 1
    assert "b" not in items
    assert len(statements) == 2


def test_iterating_is_one_statement_for_a_page(open_inline: Opener, statements: list[str]) -> None:
    items = open_inline("guard").default_collection
    items.save_many(bodies(COUNT, 200))
    statements.clear()
    assert sum(1 for _ in items.documents()) == COUNT
    assert len(statements) <= COUNT / 500 + 1


def cpu_s(call: Callable[[], object]) -> float:
    gc.collect()
    began_s = time.process_time()
    call()
    return time.process_time() - began_s


@pytest.mark.slow
def test_cpu_stays_within_a_few_times_that_of_bare_apsw(tmp_path: Path) -> None:
    """Repeats 10,000 documents five times with each, A B A B, and compares the best."""
    items = list(bodies(10_000, 200))
    ids = [doc_id for doc_id, _ in items]
    best: dict[tuple[str, str], float] = {}
    for turn in range(5):
        directory = tmp_path / str(turn)
        directory.mkdir()
        bare = BareApsw(directory)
        with Database("settee", directory=directory, durability="memory") as db:
            ours = db.default_collection
            for task, who, call in (
                ("save many", "ours", lambda ours=ours: ours.save_many(items)),
                ("save many", "bare", lambda bare=bare: bare.save_many(items)),
                ("get", "ours", lambda ours=ours: [ours.get(each) for each in ids]),
                ("get", "bare", lambda bare=bare: bare.get_each(ids)),
                ("iterate", "ours", lambda ours=ours: sum(1 for _ in ours.documents())),
                ("iterate", "bare", lambda bare=bare: bare.iterate()),
            ):
                took_s = cpu_s(call)
                best[task, who] = min(took_s, best.get((task, who), took_s))
        bare.close()
    factors = {
        task: best[task, "ours"] / best[task, "bare"] for task in ("save many", "get", "iterate")
    }
    assert all(factor < 5 for factor in factors.values()), factors
