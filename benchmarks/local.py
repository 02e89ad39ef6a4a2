"""The embedded database beside bare apsw, TinyDB and the standard library's sqlite3, in one run.

``python -m benchmarks.local [--documents 20000] [--body-bytes 200] [--rounds 5]``

Every contestant gets the same Python dicts and gives dicts back. *Bare apsw* is what one would
write by hand for the same result: one table of ID and JSON text, the pragmas that settee sets, as
many documents per commit as settee's own batches, orjson in both directions; no revisions, no
sequences, no change feed, no threads. The rounds alternate (A B A B), each on fresh files, and the
ratio is taken in each, so that what else the machine does meets both; the medians are printed.
Exit code 1 if settee takes more than `FACTOR_MAX` times the seconds of bare apsw at saving many,
getting by ID or iterating.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import apsw
import orjson

from settee import Database
from settee.limits import SAVE_BATCH_REVISIONS_MAX

FACTOR_MAX: Final = 2.5
"""Seconds of settee over seconds of bare apsw: the promise."""

PROMISED: Final = ("save many", "get by id", "iterate")
CONTEXT_DOCUMENTS_MAX: Final = 2000
"""TinyDB rewrites its whole file with each commit and scans it for each document."""

SINGLE_SAVES: Final = 200

Item = tuple[str, dict[str, Any]]


class Contestant(Protocol):
    """A store of JSON documents that is open."""

    def save_many(self, items: Iterable[Item]) -> None:
        """Store documents, durably."""

    def save_each(self, items: Iterable[Item]) -> None:
        """Store documents with a commit each."""

    def get_each(self, ids: list[str]) -> int:
        """Read documents one by one; return how many were found."""

    def iterate(self) -> int:
        """Read all documents in the order of their IDs; return how many there are."""

    def close(self) -> None:
        """Close it."""


class Settee:
    """The database as users open it, but for a directory to throw away."""

    def __init__(self, directory: Path) -> None:
        self._db = Database("settee", directory=directory)
        self._documents = self._db.default_collection

    def save_many(self, items: Iterable[Item]) -> None:
        """Store documents, durably."""
        self._documents.save_many(items)

    def save_each(self, items: Iterable[Item]) -> None:
        """Store documents with a commit each."""
        put = self._documents.put
        for doc_id, body in items:
            put(doc_id, body)

    def get_each(self, ids: list[str]) -> int:
        """Read documents one by one; return how many were found."""
        get = self._documents.get
        return sum(get(doc_id) is not None for doc_id in ids)

    def iterate(self) -> int:
        """Read all documents in the order of their IDs; return how many there are."""
        return sum(1 for _ in self._documents.documents())

    def close(self) -> None:
        """Close it."""
        self._db.close()


class BareApsw:
    """One table of ID and JSON text, with the pragmas of `settee.store.connection`."""

    def __init__(self, directory: Path) -> None:
        self._connection = apsw.Connection(str(directory / "bare.sqlite3"))
        for pragma in (
            "page_size = 8192",
            "journal_mode = WAL",
            "cache_size = -16384",
            "mmap_size = 0",
            "temp_store = MEMORY",
            "cell_size_check = ON",
            "synchronous = FULL",
            "wal_autocheckpoint = 2000",
            "journal_size_limit = 33554432",
        ):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self._connection.execute("CREATE TABLE documents(id TEXT PRIMARY KEY, body TEXT NOT NULL)")

    def save_many(self, items: Iterable[Item]) -> None:
        """Store documents, durably, in settee's batches."""
        self.save_texts([(doc_id, orjson.dumps(body).decode()) for doc_id, body in items])

    def save_texts(self, rows: list[tuple[str, str]]) -> None:
        """Store bodies that are JSON texts already, as `save_many` does."""
        for start in range(0, len(rows), SAVE_BATCH_REVISIONS_MAX):
            with self._connection:
                self._connection.executemany(
                    "INSERT INTO documents VALUES (?, ?) "
                    "ON CONFLICT(id) DO UPDATE SET body = excluded.body",
                    rows[start : start + SAVE_BATCH_REVISIONS_MAX],
                )

    def save_each(self, items: Iterable[Item]) -> None:
        """Store documents with a commit each."""
        for item in items:
            self.save_many([item])

    def get_each(self, ids: list[str]) -> int:
        """Read documents one by one; return how many were found."""
        execute, loads, found = self._connection.execute, orjson.loads, 0
        for doc_id in ids:
            for (body,) in execute("SELECT body FROM documents WHERE id = ?", (doc_id,)):
                loads(body)
                found += 1
        return found

    def iterate(self) -> int:
        """Read all documents in the order of their IDs; return how many there are."""
        loads, found = orjson.loads, 0
        for _, body in self._connection.execute("SELECT id, body FROM documents ORDER BY id"):
            loads(body)
            found += 1
        return found

    def close(self) -> None:
        """Close it."""
        self._connection.close()


class StandardLibrary:
    """The same table by hand with `sqlite3` and `json`, and the library's own defaults."""

    def __init__(self, directory: Path) -> None:
        self._connection = sqlite3.connect(directory / "standard.sqlite3")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("CREATE TABLE documents(id TEXT PRIMARY KEY, body TEXT NOT NULL)")

    def save_many(self, items: Iterable[Item]) -> None:
        """Store documents, durably."""
        rows = [(doc_id, json.dumps(body)) for doc_id, body in items]
        for start in range(0, len(rows), SAVE_BATCH_REVISIONS_MAX):
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO documents VALUES (?, ?)",
                    rows[start : start + SAVE_BATCH_REVISIONS_MAX],
                )

    def save_each(self, items: Iterable[Item]) -> None:
        """Store documents with a commit each."""
        for item in items:
            self.save_many([item])

    def get_each(self, ids: list[str]) -> int:
        """Read documents one by one; return how many were found."""
        found = 0
        for doc_id in ids:
            statement = "SELECT body FROM documents WHERE id = ?"
            for (body,) in self._connection.execute(statement, (doc_id,)):
                json.loads(body)
                found += 1
        return found

    def iterate(self) -> int:
        """Read all documents in the order of their IDs; return how many there are."""
        rows = self._connection.execute("SELECT id, body FROM documents ORDER BY id")
        return sum(1 for _, body in rows if json.loads(body) is not None)

    def close(self) -> None:
        """Close it."""
        self._connection.close()


class TinyDB:
    """TinyDB with its defaults, the ID as a field; it does not sync to disk."""

    def __init__(self, directory: Path) -> None:
        tinydb: Any = importlib.import_module("tinydb")
        self._where = tinydb.where
        self._db = tinydb.TinyDB(directory / "tiny.json")

    def save_many(self, items: Iterable[Item]) -> None:
        """Store documents."""
        self._db.insert_multiple({"id": doc_id, **body} for doc_id, body in items)

    def save_each(self, items: Iterable[Item]) -> None:
        """Store documents, the whole file each time."""
        for item in items:
            self.save_many([item])

    def get_each(self, ids: list[str]) -> int:
        """Read documents one by one; return how many were found."""
        where = self._where
        return sum(self._db.get(where("id") == doc_id) is not None for doc_id in ids)

    def iterate(self) -> int:
        """Read all documents in the order of their IDs; return how many there are."""
        return len(sorted(self._db, key=lambda document: str(document["id"])))

    def close(self) -> None:
        """Close it."""
        self._db.close()


def bodies(count: int, body_bytes: int, first: int = 0) -> Iterator[Item]:
    """Make `count` documents of about `body_bytes` each, always the same."""
    chance = random.Random(first)
    filler = "x" * max(0, body_bytes - 90)
    for n in range(first, first + count):
        yield (
            f"document-{n:07}",
            {
                "type": "benchmark",
                "number": n,
                "price": chance.random(),
                "tags": ["a", "b"],
                "text": filler,
            },
        )


class Taken(NamedTuple):
    """What a task took, per document."""

    wall_us: float
    cpu_us: float
    """Of all threads of the process."""


def timed(call: Callable[[], object], count: int) -> Taken:
    """Return what `call` takes per document of `count`, without the collector's pauses."""
    gc.collect()
    gc.disable()
    try:
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        call()
        cpu_s, wall_s = time.process_time() - began_cpu_s, time.perf_counter() - began_s
    finally:
        gc.enable()
    return Taken(1e6 * wall_s / count, 1e6 * cpu_s / count)


def one_round(make: Callable[[Path], Contestant], items: list[Item], each: int) -> dict[str, Taken]:
    """Run all tasks on a fresh store; return what each took."""
    wanted = random.Random(1).sample([doc_id for doc_id, _ in items], min(each, len(items)))
    singles = list(bodies(min(SINGLE_SAVES, len(items)), 200, first=len(items)))
    with tempfile.TemporaryDirectory() as directory:
        contestant = make(Path(directory))
        with contextlib.closing(contestant):
            taken = {
                "save many": timed(lambda: contestant.save_many(items), len(items)),
                "get by id": timed(lambda: contestant.get_each(wanted), len(wanted)),
                "iterate": timed(contestant.iterate, len(items)),
            }
            if make is not TinyDB:
                taken["save many again"] = timed(lambda: contestant.save_many(items), len(items))
            taken["save each"] = timed(lambda: contestant.save_each(singles), len(singles))
            assert contestant.get_each(wanted) == len(wanted)
            assert contestant.iterate() == len(items) + len(singles)
    return taken


def compare(documents: int, body_bytes: int, rounds: int) -> dict[str, list[dict[str, Taken]]]:
    """Run all contestants in turn, A B A B; return the rounds of each."""
    items = list(bodies(documents, body_bytes))
    makers: dict[str, tuple[Callable[[Path], Contestant], list[Item]]] = {
        "settee": (Settee, items),
        "bare apsw": (BareApsw, items),
        "sqlite3 + json": (StandardLibrary, items),
    }
    if importlib.util.find_spec("tinydb") is not None:
        makers["TinyDB"] = (TinyDB, items[:CONTEXT_DOCUMENTS_MAX])
    found: dict[str, list[dict[str, Taken]]] = {name: [] for name in makers}
    for number in range(rounds):
        for name, (make, given) in makers.items():
            if number == 0 or name != "TinyDB":  # Once is enough, and long.
                each = 100 if name == "TinyDB" else len(given)
                found[name].append(one_round(make, given, each))
    return found


def factor(found: dict[str, list[dict[str, Taken]]], task: str, field: int) -> float:
    """Return the median over the rounds of settee's cost over that of bare apsw beside it."""
    pairs = zip(found["settee"], found["bare apsw"], strict=True)
    return statistics.median(mine[task][field] / bare[task][field] for mine, bare in pairs)


def rows_of_table(
    found: dict[str, list[dict[str, Taken]]],
) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table of medians."""
    head = ["microseconds per document", *found, "settee / bare", "CPU alone"]
    rows = []
    for task in found["settee"][0]:
        cells = [
            f"{statistics.median(each[task].wall_us for each in rounds):,.1f}"
            if task in rounds[0]
            else "—"
            for rounds in found.values()
        ]
        ratios = [f"{factor(found, task, field):.2f}" for field in (0, 1)]
        rows.append([task, *cells, *ratios])
    return head, rows


def main() -> int:
    """Read the command line, run, print a table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.local", description=__doc__)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--body-bytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found = compare(options.documents, options.body_bytes, options.rounds)
    head, rows = rows_of_table(found)
    for cells in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(cells) + " |")
    outside = [
        f"{task} takes {factor(found, task, 0):.2f} times as long as bare apsw"
        for task in PROMISED
        if factor(found, task, 0) > FACTOR_MAX
    ]
    for line in outside:
        print(f"outside {FACTOR_MAX}: {line}", file=sys.stderr)
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
